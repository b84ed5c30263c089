"""One run as a job: claimed by a lease, executed once, its result or its failure stored."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs
import torch

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data import TASKS, Dataset
from spike_ssm.harness.errors import sentence
from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.harness.robustness.evaluator import evaluate_robustness
from spike_ssm.harness.robustness.trained import trained_run
from spike_ssm.harness.run.process_group import ALONE, Team
from spike_ssm.harness.state.lease import Lease, Watch
from spike_ssm.harness.state.survey import checkpoints_folder, lease_path, log_path, log_tail, progress_path
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.environment import code_version, environment
from spike_ssm.harness.system.signals import interruptible
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.fit import Progress, pick_device, run_training
from spike_ssm.harness.training.trackers import open_tracker
from spike_ssm.harness.training.weights import keep_weights
from spike_ssm.results.store import run_path, write_json, write_run

SECONDS_BETWEEN_REPORTS = 0.5

_log = logging.getLogger(__name__)

Report = Callable[[Progress], None]

_START = Progress(epoch=0, epochs=0, done=0.0, loss=float("nan"), validation_accuracy=None)


@dataclass(frozen=True)
class Job:
    """What a worker needs to execute a run."""

    run_id: str
    settings: Settings
    results: Path  # absolute
    machine_shared: bool  # other runs may use this machine at the same time
    code_version: str = ""  # when it was submitted


def cache_folder(settings: Settings) -> Path:
    """Where prepared data lies."""
    if settings.paths.cache:
        return Path(settings.paths.cache).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("spike-ssm"))


def files_folder(settings: Settings) -> Path:
    """Where the tasks' original files lie."""
    data = settings.paths.data
    return cache_folder(settings) / "files" if not data else Path(data).expanduser().absolute()


def execute(job: Job, worker: str, watch: Watch | None = None, team: Team = ALONE) -> bool:
    """Execute the run unless it has a result or another process is at it. Returns whether it was executed here.

    A run that fails leaves a result too, with its error: it neither stops the others nor runs again unasked. A run that
    is interrupted leaves a checkpoint, from which the next call goes on. `watch`: what was seen of holders elsewhere.
    The others of the `team` that this process leads train the run along.
    """
    claim = Lease.acquire(lease_path(job.results, job.run_id), slurm_alive=slurm.is_live, watch=watch)
    if claim is None:
        return False
    with claim:
        if run_path(job.results, job.run_id).exists():
            return False
        checkpoints = Checkpoints(checkpoints_folder(job.results, job.run_id), job.run_id)
        _log.info("Run %s begins, worker %s, code %s.", job.run_id, worker, code_version())
        try:
            row = {**_identity(job), **_outcome(job, worker, checkpoints, team)}
            if claim.held():
                write_run(job.results, row)
                if row["status"] == "done":
                    checkpoints.remove()  # a failed run's is there to be looked at, and to go on from
        finally:
            progress_path(job.results, job.run_id).unlink(missing_ok=True)
    return True


def record_failure(job: Job, status: str, error: str, watch: Watch | None = None) -> None:
    """Store a failure that the run could not store itself, unless somebody is at the run again.

    status: one of `results.schema.FAILURES`. `watch` as in `execute`.
    """
    claim = Lease.acquire(lease_path(job.results, job.run_id), slurm_alive=slurm.is_live, watch=watch)
    if claim is None:
        return
    with claim:
        if not run_path(job.results, job.run_id).exists():
            log = log_tail(log_path(job.results, job.run_id))
            write_run(job.results, {**_identity(job), "status": status, "error": error, "log_tail": log})
        progress_path(job.results, job.run_id).unlink(missing_ok=True)


def _identity(job: Job) -> dict[str, Any]:
    settings = job.settings
    return {
        "id": job.run_id,
        "task": settings.task.name,
        "neuron": settings.neuron.name,
        "scale": settings.scale.name,
        "seed": settings.seed,
        "config": json.dumps(settings.identity(), sort_keys=True),
        "code_version": code_version(),
    }


def _outcome(job: Job, worker: str, checkpoints: Checkpoints, team: Team) -> dict[str, Any]:
    started = time.perf_counter()
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        measured = {"status": "done", **_measure(job, _reporter(job, worker), checkpoints, team)}
    except Exception as error:
        _log.info("Run %s failed.", job.run_id, exc_info=error)
        lacks_memory = _is_out_of_memory(error)
        measured = {
            "status": "out of memory" if lacks_memory else "failed",
            "error": sentence(error) + (f" {_less_memory(job.settings)}" if lacks_memory else ""),
            "traceback": traceback.format_exc(),
            "log_tail": log_tail(log_path(job.results, job.run_id)),
        }
    return {
        "started_at": moment,
        "duration_s": time.perf_counter() - started,
        "environment": json.dumps(environment(torch.device("cpu")), sort_keys=True),
        "machine_shared": job.machine_shared,
        "code_warning": _code_warning(job),
        **measured,
    }


def _code_warning(job: Job) -> str | None:
    """A sentence where the code is not the one that the run was submitted with."""
    now = code_version()
    if job.code_version in ("", now):
        return None
    sentence = f"The code changed between submission ({job.code_version}) and start ({now}); the latter counts."
    _log.warning(sentence)
    return sentence


def _less_memory(settings: Settings) -> str:
    """What can be done about a step that needs too much."""
    steps = "" if settings.launcher.recompute_activations else " or set launcher.recompute_activations=true"
    return (
        f"Lower optim.batch_size ({settings.optim.batch_size}){steps}; launcher.memory_gb is the limit of a process, "
        f"and launcher.processes ({settings.launcher.processes}) share a batch."
    )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _measure(job: Job, report: Report, checkpoints: Checkpoints, team: Team) -> dict[str, Any]:
    settings = job.settings
    if settings.task.name in MEASUREMENTS:
        run = _measure_neuron(settings, report)
    elif settings.robustness is not None:
        run = _evaluate_trained(job, report)
    else:
        run = _train_network(job, report, checkpoints, team)
    return {
        **run,
        "environment": json.dumps(
            {**environment(pick_device(settings.device)), "processes": team.count}, sort_keys=True
        ),
    }


def _train_network(job: Job, report: Report, checkpoints: Checkpoints, team: Team) -> dict[str, Any]:
    settings = job.settings
    data = _data(settings)
    team.call(job.run_id)
    every_s = 60 * settings.launcher.checkpoint_minutes
    tracker = open_tracker(settings.tracker, job.results, job.run_id, settings.identity())
    with closing(tracker), interruptible():
        trained = run_training(
            settings,
            data,
            report,
            checkpoints=checkpoints,
            every_s=every_s,
            after_epoch=tracker.log,
            together=team.together(),
            keep=partial(keep_weights, job.results, job.run_id) if settings.keeps_weights() else lambda _: None,
        )
    return {**trained, **(_of_data(data) if settings.test else {})}


def _evaluate_trained(job: Job, report: Report) -> dict[str, Any]:
    settings = job.settings
    trained = trained_run(job.results, settings.trained().run_id())
    data, folders = _data(settings), (cache_folder(settings), files_folder(settings))
    told = _share(report)
    return {**evaluate_robustness(settings, data, trained, folders, told), **_of_data(data)}


def _of_data(data: Dataset) -> dict[str, Any]:
    return {**asdict(data.baselines), "data_notes": list(data.facts.notes)}


def _share(report: Report) -> Callable[[float], None]:
    """Reports the finished share of what trains nothing."""
    return lambda done: report(replace(_START, done=done))


def train_along(jobs: Sequence[Job], team: Team) -> None:
    """By those of a team that do not lead it: take part in every run of `jobs` that the leader calls them to."""
    by_id = {job.run_id: job for job in jobs}
    while not team.broken and (run_id := team.called()):
        settings = by_id[run_id].settings
        try:
            with interruptible():
                run_training(settings, _data(settings), lambda _: None, together=team.together())
        except Exception as error:
            team.fail(error)
            _log.exception("Process %d could not train run %s along.", team.rank, run_id)


def _data(settings: Settings) -> Dataset:
    task, _ = TASKS[settings.task.name]
    return task(settings.task).prepare(cache_folder(settings), files_folder(settings))


def _measure_neuron(settings: Settings, report: Report) -> dict[str, Any]:
    measure, _ = MEASUREMENTS[settings.task.name]
    return measure(
        settings.task,
        settings.neuron,
        seed=settings.seed,
        device=pick_device(settings.device),
        report=_share(report),
    )


def _reporter(job: Job, worker: str) -> Report:
    """Writes a run's progress to its file, twice a second at most."""
    path, last = progress_path(job.results, job.run_id), 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_REPORTS:
            last = now
            write_json(path, {"worker": worker, **asdict(progress)})

    trains = job.settings.task.name not in MEASUREMENTS and job.settings.robustness is None
    epochs = job.settings.optim.epochs if trains else 0
    write_json(path, {"worker": worker, **asdict(replace(_START, epochs=epochs))})
    return report
