"""Executing runs: in this process, by a bounded pool of local workers, or as a SLURM array; through submitit.

Whoever executes a run holds its lock and leaves its result in a file, so the files alone say what is waiting, running
and finished, and two sweeps that share a run do it once. A worker takes many runs: torch and numba are imported once.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import submitit
import torch

from harness.environment import KEEP_MEMORY
from harness.errors import UserError
from harness.run import Job, execute, forget_if_abandoned, progress_path, record_failure
from harness.settings import LauncherSettings
from results.store import read_run, run_path

SECONDS_BETWEEN_LOOKS = 0.3
A_WEEK_IN_MINUTES = 7 * 24 * 60


@dataclass(frozen=True)
class RunState:
    """What the files say of a run."""

    status: Literal["waiting", "running", "done", "failed"]
    worker: str | None = None
    progress: dict[str, Any] | None = None  # fields of harness.loop.Progress, while running
    accuracy: float | None = None  # on the test set, when done; None of a measurement
    error: str | None = None  # when failed


Watcher = Callable[[dict[str, RunState]], None]
"""Is shown the state of every run by id, a few times a second."""


def look(job: Job) -> RunState:
    """The state of a run now. Raises `ResultError` when its result is damaged."""
    path = run_path(job.results, job.run_id)
    if path.exists():
        row = read_run(path, columns=["status", "error", "test_accuracy"])
        if row["status"] == "failed":
            return RunState("failed", error=row["error"])
        return RunState("done", accuracy=row["test_accuracy"])
    try:
        progress = json.loads(progress_path(job.results, job.run_id).read_text())
    except (OSError, ValueError):  # not begun, or finished this moment
        return RunState("waiting")
    return RunState("running", worker=progress.pop("worker"), progress=progress)


def resolve_launcher(launcher: LauncherSettings) -> str:
    """`slurm`, `local` or `debug`; `auto` is SLURM where sbatch exists. Raises `UserError` without sbatch."""
    has_slurm = shutil.which("sbatch") is not None
    if launcher.kind == "slurm" and not has_slurm:
        raise UserError("launcher=slurm, but there is no sbatch on this machine. Use launcher=local.")
    if launcher.kind == "auto":
        return "slurm" if has_slurm else "local"
    return launcher.kind


def worker_count(launcher: LauncherSettings, runs: int) -> int:
    """Local workers for so many runs: as set, else one a GPU, else one a core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = launcher.workers or torch.cuda.device_count() or max(1, cores // launcher.threads)
    return max(1, min(wanted, runs))


def launch(jobs: Sequence[Job], launcher: LauncherSettings, kind: str, watch: Watcher) -> None:
    """Execute `jobs` and return when each has a result. Raises `UserError` when workers cannot be started."""
    if kind == "debug":
        for job in jobs:
            execute(job, "debug")
            watch({other.run_id: look(other) for other in jobs})
        return
    crew: _Crew = _SlurmArray(jobs, launcher) if kind == "slurm" else _LocalPool(jobs, launcher)
    try:
        _wait(jobs, crew, watch)
    except BaseException:
        crew.cancel()
        raise


def _wait(jobs: Sequence[Job], crew: _Crew, watch: Watcher) -> None:
    finished: dict[str, RunState] = {}
    while True:
        crew.tend(finished)
        states = {job.run_id: finished.get(job.run_id) or look(job) for job in jobs}
        finished = {run_id: state for run_id, state in states.items() if state.status in ("done", "failed")}
        watch(states)
        if len(finished) == len(jobs):
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


class _Crew(ABC):
    """The submitit jobs that execute the runs."""

    @abstractmethod
    def tend(self, finished: dict[str, RunState]) -> None:
        """Look after the workers: record the run that a dead one was at, and replace it."""

    @abstractmethod
    def cancel(self) -> None:
        """Stop all workers."""


def _work(jobs: Sequence[Job], threads: int) -> None:
    """What a worker does: every run that nobody else is at."""
    torch.set_num_threads(threads)
    worker = submitit.JobEnvironment().job_id
    for job in jobs:
        execute(job, worker)


def _logs(jobs: Sequence[Job]) -> Path:
    return jobs[0].results / "logs"


@contextmanager
def _worker_environment() -> Iterator[None]:
    """Environment variables that processes started inside inherit."""
    root = str(Path(__file__).resolve().parent.parent)
    wanted = {
        # workers import this very code, whatever folder they start in (it may have a models/ of its own)
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        **KEEP_MEMORY,
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _ended_early(worker: submitit.Job[None], where: Path) -> str:
    log = (worker.stderr() or worker.stdout() or "").strip().splitlines()
    last = f" Its last words: {log[-1]}" if log else ""
    return (
        f"The process of this run ended before the run did; the machine may have run out of memory.{last} "
        f"Its log is in {where}. Run the sweep again with retry=true."
    )


class _LocalPool(_Crew):
    """A bounded number of worker processes on this machine."""

    def __init__(self, jobs: Sequence[Job], launcher: LauncherSettings) -> None:
        self._jobs = list(jobs)
        self._threads = launcher.threads
        self._size = worker_count(launcher, len(jobs))
        self._started = 0
        self._workers: list[tuple[submitit.Job[None], int]] = []

    def tend(self, finished: dict[str, RunState]) -> None:
        for worker, slot in [pair for pair in self._workers if pair[0].done()]:
            self._workers.remove((worker, slot))
            for job in self._jobs:
                if job.run_id not in finished and look(job).worker == worker.job_id:
                    record_failure(job, _ended_early(worker, _logs(self._jobs)))
            self._last = worker
        ours = {worker.job_id for worker, _ in self._workers}
        for job in self._jobs:
            if job.run_id not in finished and look(job).worker not in {None, *ours}:
                forget_if_abandoned(job)
        waiting = [job for job in self._jobs if job.run_id not in finished and look(job).status == "waiting"]
        free = sorted(set(range(self._size)) - {slot for _, slot in self._workers})
        for slot in free[: max(0, len(waiting) - len(self._workers))]:
            self._start(slot)

    def _start(self, slot: int) -> None:
        if self._started >= self._size + len(self._jobs):
            raise UserError(f"Worker processes end without taking a run. {_ended_early(self._last, _logs(self._jobs))}")
        self._started += 1
        executor = submitit.LocalExecutor(folder=_logs(self._jobs))
        gpus = torch.cuda.device_count()
        executor.update_parameters(
            timeout_min=A_WEEK_IN_MINUTES,
            gpus_per_node=min(gpus, 1),
            visible_gpus=[slot % gpus] if gpus else (),
        )
        with _worker_environment():
            self._workers.append((executor.submit(_work, self._jobs, self._threads), slot))

    def cancel(self) -> None:
        for worker, _ in self._workers:
            worker.cancel()


class _SlurmArray(_Crew):
    """One array job, one task a run."""

    def __init__(self, jobs: Sequence[Job], launcher: LauncherSettings) -> None:
        executor = submitit.SlurmExecutor(folder=_logs(jobs))
        optional = {"partition": launcher.partition, "account": launcher.account}
        executor.update_parameters(
            job_name="spike-ssm",
            array_parallelism=launcher.max_parallel,
            time=launcher.timeout_minutes,
            cpus_per_task=launcher.threads,
            mem=f"{launcher.memory_gb}GB",
            **({"gpus_per_node": launcher.gpus} if launcher.gpus else {}),
            **{name: value for name, value in optional.items() if value is not None},
        )
        self._jobs = list(jobs)
        try:
            with _worker_environment():
                self._tasks = executor.map_array(_work, [[job] for job in jobs], [launcher.threads] * len(jobs))
        except submitit.core.utils.FailedJobError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise UserError(
                f"SLURM did not take the jobs: {reason}. Mend the launcher.* settings (sweeps/launcher/slurm.yaml), "
                "or use launcher=local."
            ) from error

    def tend(self, finished: dict[str, RunState]) -> None:
        for job, task in zip(self._jobs, self._tasks, strict=True):
            if job.run_id not in finished and task.done() and look(job).status in ("waiting", "running"):
                record_failure(job, f"SLURM says {task.state}. {_ended_early(task, _logs(self._jobs))}")

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel(check=False)
