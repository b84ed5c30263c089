"""One run as a job: claimed by a lock, executed once, its result or its failure stored."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs
import torch
from filelock import FileLock, Timeout

from harness.environment import code_version, environment
from harness.errors import UserError
from harness.loop import Progress, pick_device, run_training
from harness.measurements import MEASUREMENTS
from harness.settings import Settings
from harness.tasks import TASKS
from results.store import run_path, write_json, write_run

SECONDS_BETWEEN_REPORTS = 0.5

_START = Progress(epoch=0, epochs=0, done=0.0, loss=float("nan"), validation_accuracy=None)


@dataclass(frozen=True)
class Job:
    """What a worker needs to execute a run."""

    run_id: str
    settings: Settings
    results: Path  # absolute
    machine_shared: bool  # other runs may use this machine at the same time


def lock_path(results: Path, run_id: str) -> Path:
    """Held, for as long as its process lives, by whoever executes the run."""
    return results / "state" / f"{run_id}.lock"


def progress_path(results: Path, run_id: str) -> Path:
    """What the run last said of itself."""
    return results / "state" / f"{run_id}.json"


def cache_folder(settings: Settings) -> Path:
    """Where prepared data lies."""
    if settings.paths.cache is not None:
        return Path(settings.paths.cache).expanduser().absolute()
    return Path(platformdirs.user_cache_dir("spike-ssm"))


def files_folder(settings: Settings) -> Path:
    """Where the tasks' original files lie."""
    data = settings.paths.data
    return cache_folder(settings) / "files" if data is None else Path(data).expanduser().absolute()


def execute(job: Job, worker: str) -> bool:
    """Execute the run unless it has a result or another process is at it. Returns whether it was executed here.

    A run that fails leaves a result too, with its error: it neither stops the others nor runs again unasked.
    """
    path = lock_path(job.results, job.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        claim = FileLock(path).acquire(timeout=0)
    except Timeout:
        return False
    with claim:
        if run_path(job.results, job.run_id).exists():
            return False
        try:
            write_run(job.results, {**_identity(job.settings), **_outcome(job, worker)})
        finally:
            progress_path(job.results, job.run_id).unlink(missing_ok=True)
    return True


def forget_if_abandoned(job: Job) -> None:
    """Remove the progress of a run whose process died without a word, so that the run counts as waiting again."""
    with suppress(Timeout), FileLock(lock_path(job.results, job.run_id)).acquire(timeout=0):
        progress_path(job.results, job.run_id).unlink(missing_ok=True)


def record_failure(job: Job, error: str) -> None:
    """Store a failure that the run could not store itself."""
    write_run(job.results, {**_identity(job.settings), "status": "failed", "error": error})
    progress_path(job.results, job.run_id).unlink(missing_ok=True)


def _identity(settings: Settings) -> dict[str, Any]:
    return {
        "id": settings.run_id(),
        "task": settings.task.name,
        "neuron": settings.neuron.name,
        "scale": settings.scale.name,
        "seed": settings.seed,
        "config": json.dumps(settings.identity(), sort_keys=True),
        "code_version": code_version(),
    }


def _outcome(job: Job, worker: str) -> dict[str, Any]:
    started = time.perf_counter()
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        measured = {"status": "done", **_measure(job, _reporter(job, worker))}
    except Exception as error:
        measured = {"status": "failed", "error": _sentence(error), "traceback": traceback.format_exc()}
    return {
        "started_at": moment,
        "duration_s": time.perf_counter() - started,
        "environment": json.dumps(environment(torch.device("cpu")), sort_keys=True),
        "machine_shared": job.machine_shared,
        **measured,
    }


def _measure(job: Job, report: Callable[[Progress], None]) -> dict[str, Any]:
    settings = job.settings
    run = _measure_neuron if settings.task.name in MEASUREMENTS else _train_network
    return {
        **run(settings, report),
        "environment": json.dumps(environment(pick_device(settings.device)), sort_keys=True),
    }


def _train_network(settings: Settings, report: Callable[[Progress], None]) -> dict[str, Any]:
    task, _ = TASKS[settings.task.name]
    data = task(settings.task).prepare(cache_folder(settings), files_folder(settings))
    return {
        **run_training(settings, data, report),
        **asdict(data.baselines),
        "data_notes": list(data.facts.notes),
    }


def _measure_neuron(settings: Settings, report: Callable[[Progress], None]) -> dict[str, Any]:
    measure, _ = MEASUREMENTS[settings.task.name]
    return measure(
        settings.task,
        settings.neuron,
        seed=settings.seed,
        device=pick_device(settings.device),
        report=lambda done: report(replace(_START, done=done)),
    )


def _sentence(error: Exception) -> str:
    text = str(error).strip() or "no message"
    return text if isinstance(error, UserError | ValueError) else f"{type(error).__name__}: {text}"


def _reporter(job: Job, worker: str) -> Callable[[Progress], None]:
    """Writes a run's progress to its file, twice a second at most."""
    path, last = progress_path(job.results, job.run_id), 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_REPORTS:
            last = now
            write_json(path, {"worker": worker, **asdict(progress)})

    epochs = 0 if job.settings.task.name in MEASUREMENTS else job.settings.optim.epochs
    write_json(path, {"worker": worker, **asdict(replace(_START, epochs=epochs))})
    return report
