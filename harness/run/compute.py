"""What a run computes: a training, an evaluation of a trained network, or a measurement of a neuron alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from spike_ssm.harness.config.settings import Settings, cache_folder, files_folder
from spike_ssm.harness.data import find_task
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.harness.robustness.evaluator import evaluate_robustness
from spike_ssm.harness.robustness.trained import trained_run
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.process_group import ProcessGroup
from spike_ssm.harness.system.environment import pick_device
from spike_ssm.harness.system.provenance import environment
from spike_ssm.harness.system.signals import interruptible
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.trackers import open_tracker
from spike_ssm.harness.training.trainer import Progress
from spike_ssm.harness.training.weights import description, keep_weights
from spike_ssm.results.errors import UnpreparedError, UserError

Report = Callable[[Progress], None]
"""Told how far a run has come."""

_log = logging.getLogger(__name__)


NOT_BEGUN = Progress(epoch=0, epochs=0, done=0.0, loss=float("nan"), validation_accuracy=None)


def compute(job: Job, report: Report, checkpoints: Checkpoints, group: ProcessGroup) -> dict[str, Any]:
    """The columns of `results.schema.RUN` that the run finds out.

    Raises what the run fails by, and `UnpreparedError` where not it but its surroundings are at fault: the device, the
    data, the tracker, the trained network.
    """
    settings = job.settings
    device = pick_device(settings.device, settings.launcher.gpus)
    if settings.task.name in MEASUREMENTS:
        run = _measure_neuron(settings, device, report)
    elif settings.robustness is not None:
        run = _evaluate_trained(job, report)
    else:
        run = _train_network(job, report, checkpoints, group)
    asked = {"device_asked": settings.device, "gpus_asked": settings.launcher.gpus}
    return {**run, "environment": json.dumps({**environment(device, group.count), **asked}, sort_keys=True)}


def _train_network(job: Job, report: Report, checkpoints: Checkpoints, group: ProcessGroup) -> dict[str, Any]:
    settings = job.settings
    data = _data(settings)
    tracker = open_tracker(settings.tracker, job.results, job.run_id, settings.identity())
    group.call(job.run_id)
    every_s = 60 * settings.launcher.checkpoint_minutes
    described = description(settings, data.facts)
    keep = partial(keep_weights, job.results, job.run_id, network=described, guard=checkpoints.guard)
    keeping = {"keep": keep} if settings.keeps_weights() else {}
    hooks = Hooks(report, tracker.log, **keeping)
    with closing(tracker), interruptible():
        trained = run_training(
            settings, data, hooks, checkpoints=checkpoints, every_s=every_s, together=group.together()
        )
    return {**trained, **(_of_data(data) if settings.test else {})}


def _evaluate_trained(job: Job, report: Report) -> dict[str, Any]:
    settings = job.settings
    with _needed():
        trained = trained_run(job.results, settings.trained().run_id())

    def prepare(task: TaskSettings) -> Dataset:
        return _data(replace(settings, task=task))

    data = prepare(settings.task)
    return {**evaluate_robustness(settings, data, trained, prepare, _share(report)), **_of_data(data)}


def _of_data(data: Dataset) -> dict[str, Any]:
    found = data.baselines
    return {
        "shortcut_accuracy": found.shortcut_accuracy,
        "majority_accuracy": found.majority_accuracy,
        "shortcut_perplexity": found.shortcut_perplexity,
        "rules": [{"name": name, "accuracy": accuracy} for name, accuracy in found.rules.items()],
        "data_notes": list(data.facts.notes),
    }


def _share(report: Report) -> Callable[[float], None]:
    """Reports the finished share of what trains nothing."""
    return lambda done: report(replace(NOT_BEGUN, done=done))


def train_along(jobs: Sequence[Job], group: ProcessGroup) -> None:
    """Take part in every run of `jobs` that the leader of the group calls this process to, which does not lead it."""
    by_id = {job.run_id: job for job in jobs}
    while not group.broken and (run_id := group.called()):
        settings = by_id[run_id].settings
        try:
            pick_device(settings.device, settings.launcher.gpus)
            with interruptible():
                run_training(settings, _data(settings), together=group.together())
        except Exception as error:
            group.fail(error)
            _log.exception("Process %d could not train run %s along.", group.rank, run_id)


def _data(settings: Settings) -> Dataset:
    task, _ = find_task(settings.task.name)
    with _needed():
        return task(settings.task).prepare(cache_folder(settings), files_folder(settings))


@contextmanager
def _needed() -> Iterator[None]:
    """What a run needs is no part of it: errors for people are `UnpreparedError` here."""
    try:
        yield
    except UserError as error:
        raise UnpreparedError(str(error)) from error


def _measure_neuron(settings: Settings, device: torch.device, report: Report) -> dict[str, Any]:
    measure, _ = MEASUREMENTS[settings.task.name]
    return measure(
        settings.task,
        settings.neuron,
        seed=settings.seed,
        device=device,
        report=_share(report),
    )
