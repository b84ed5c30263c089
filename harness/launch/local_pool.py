"""A bounded number of worker processes on this machine, replaced when they die; started through submitit."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil
import submitit
import torch

from spike_ssm.harness.config.settings import LauncherSettings
from spike_ssm.harness.run.failure import record_failure
from spike_ssm.harness.run.job import Job, Work
from spike_ssm.harness.run.order import submission_folder, write_order
from spike_ssm.harness.state.survey import RunState
from spike_ssm.harness.system.environment import SWEEP, worker_environment
from spike_ssm.harness.system.signals import out_of_earshot, presses
from spike_ssm.results.errors import UserError
from spike_ssm.results.process import Process

A_WEEK_IN_MINUTES = 7 * 24 * 60
SECONDS_TO_SAVE = 5.0
"""After a second Ctrl-C workers have so long for their checkpoints."""

SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_BETWEEN_REMINDERS = 1.0
"""A worker that starts this moment may not hear the first time that it is to stop."""


def worker_count(launcher: LauncherSettings, runs: int) -> int:
    """Local workers for so many runs: as set, else one for each GPU, or core, that its processes need."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = launcher.workers or (torch.cuda.device_count() or cores // launcher.threads) // launcher.processes
    return max(1, min(wanted, runs))


def runs_at_once(launcher: LauncherSettings, runs: int) -> int:
    """Number of the runs that the launcher executes at once, at most."""
    by_kind = {"local": worker_count(launcher, runs), "slurm": launcher.max_parallel}
    return by_kind.get(launcher.kind, 1)


class Pool:
    """Worker processes that `work` off a list of runs, each those that no other one has claimed."""

    def __init__(self, jobs: Sequence[Job], work: Work) -> None:
        self._jobs = list(jobs)
        self._work = work
        self._launcher = jobs[0].settings.launcher
        self._size = worker_count(self._launcher, len(jobs))
        self._started = 0
        self._folder = submission_folder(here=True)
        self._order = write_order(self._folder, self._jobs, self._launcher.threads)
        self._workers: list[tuple[submitit.Job[None], int]] = []
        self._begun: dict[str, float] = {}  # run id -> when it was first seen running

    def tend(self, states: Mapping[str, RunState]) -> None:
        """Record the run that a dead worker was at, end runs that take too long, and start workers for what waits."""
        for worker, slot in [pair for pair in self._workers if pair[0].done()]:
            self._workers.remove((worker, slot))
            self._record_death(worker, states)
            self._last = worker
        self._end_late_runs(states)
        waiting = sum(states[job.run_id].status in ("waiting", "queued", "preempted") for job in self._jobs)
        free = sorted(set(range(self._size)) - {slot for _, slot in self._workers})
        for slot in free[: max(0, waiting - len(self._workers))]:
            self._start(slot)

    def stop(self) -> None:
        """Have all workers save a checkpoint and end, and wait until they have.

        Those are killed that take longer than `launcher.grace_seconds`, or after a second Ctrl-C `SECONDS_TO_SAVE`; a
        third one raises `KeyboardInterrupt` at once, with all of them killed.
        """
        deadline = time.monotonic() + self._launcher.grace_seconds
        remind, hurried = 0.0, False
        self._say_how_long()
        try:
            while (working := self._working()) and (now := time.monotonic()) < deadline:
                if now >= remind:
                    remind = now + SECONDS_BETWEEN_REMINDERS
                    for process in [task for worker in working for task in _tasks(worker)]:
                        with suppress(psutil.NoSuchProcess):
                            process.terminate()
                if presses() > 1 and not hurried:
                    deadline, hurried = min(deadline, now + SECONDS_TO_SAVE), True
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            for process in [each for worker in self._working() for each in _family(worker)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def _say_how_long(self) -> None:
        if count := len(self._working()):
            print(
                f"{count} worker{'s' if count > 1 else ''} to end within {self._launcher.grace_seconds} s "
                "(launcher.grace_seconds), with a checkpoint of each run. "
                f"Ctrl-C again waits no longer than {SECONDS_TO_SAVE:.0f} s; a third time ends them at once.",
                file=sys.stderr,
            )

    def _working(self) -> list[submitit.Job[None]]:
        return [worker for worker, _ in self._workers if not worker.done()]

    def _start(self, slot: int) -> None:
        if self._started >= self._size + len(self._jobs):
            raise UserError(f"Worker processes end without taking a run. {_last_words(self._last)}")
        self._started += 1
        executor = submitit.LocalExecutor(folder=self._folder)
        gpus, processes = torch.cuda.device_count(), self._launcher.processes
        visible = sorted({(slot * processes + number) % gpus for number in range(processes)}) if gpus else []
        executor.update_parameters(
            timeout_min=A_WEEK_IN_MINUTES,
            tasks_per_node=processes,
            gpus_per_node=len(visible),
            visible_gpus=visible,
        )
        with worker_environment(**{SWEEP: Process.current().token()}), out_of_earshot():
            self._workers.append((executor.submit(self._work, self._order), slot))

    def _record_death(self, worker: submitit.Job[None], states: Mapping[str, RunState]) -> None:
        for job in self._jobs:
            if states[job.run_id].is_finished or _worker_of(job) != worker.job_id:
                continue
            record_failure(
                job,
                "failed",
                "The process of this run ended before the run did; the machine may have run out of memory. "
                f"{_last_words(worker)} Its log is {job.files.log}; its last checkpoint is kept. "
                "Run the sweep again with retry=true.",
            )

    def _end_late_runs(self, states: Mapping[str, RunState]) -> None:
        """End the workers whose run exceeds the time limit, and say so in the run's result."""
        limit = self._launcher.timeout_minutes
        ours = {worker.job_id: worker for worker, _ in self._workers}
        for job in self._jobs:
            worker = ours.get(states[job.run_id].worker or "")
            if states[job.run_id].status != "running" or worker is None:
                continue
            begun = self._begun.setdefault(job.run_id, time.monotonic())
            if limit is None or time.monotonic() - begun <= 60 * limit:
                continue
            family = _family(worker)
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, SECONDS_TO_SAVE)  # the lease of a process that still ends is not given up
            record_failure(
                job,
                "timed out",
                f"The run took longer than launcher.timeout_minutes={limit}. Its last checkpoint is kept: raise the "
                "limit and run the sweep again with retry=true.",
            )


def _worker_of(job: Job) -> str | None:
    """The worker that last reported on the run."""
    progress = job.files.read_progress()
    return None if progress is None else progress["worker"]


def _family(worker: submitit.Job[None]) -> list[psutil.Process]:
    """The worker's processes; submitit's local job id is the number of the one that watches over the others."""
    try:
        watcher = psutil.Process(int(worker.job_id))
        return [*watcher.children(recursive=True), watcher]
    except psutil.NoSuchProcess:
        return []


def _tasks(worker: submitit.Job[None]) -> list[psutil.Process]:
    """The worker's processes that take runs; before there are any, the one that starts them."""
    try:
        watcher = psutil.Process(int(worker.job_id))
        return watcher.children() or [watcher]
    except psutil.NoSuchProcess:
        return []


def _last_words(worker: submitit.Job[None]) -> str:
    log = (worker.stderr() or worker.stdout() or "").strip().splitlines()
    return f"Its last words: {log[-1]}" if log else "It left no words."
