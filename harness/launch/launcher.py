"""Handing runs to processes that execute them, and waiting until each has ended.

Whoever executes a run holds its lease and leaves its result in a file, so the files alone say what is waiting, running
and finished: two sweeps that share a run do it once, and a sweep that was submitted needs nobody who waits for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict

from spike_ssm.harness.launch import slurm_arrays
from spike_ssm.harness.launch.local_pool import Pool
from spike_ssm.harness.run.failure import record_failure
from spike_ssm.harness.run.job import Execution, Job
from spike_ssm.harness.state.submissions import Submission, record
from spike_ssm.harness.state.survey import RunState, Survey
from spike_ssm.harness.system.environment import worker_environment
from spike_ssm.results.errors import UserError
from spike_ssm.results.process import Process

SECONDS_BETWEEN_SURVEYS = 0.3
SECONDS_OF_DOUBT = 10.0
"""Seconds after which a job that ended counts as ended without a result: file systems and SLURM's books lag."""

Watcher = Callable[[dict[str, RunState]], None]
"""Called with the state of every run by id, a few times per second."""


def submit(jobs: Sequence[Job], sweep: str, words: Sequence[str], execution: Execution) -> None:
    """Have `jobs` executed without waiting: by SLURM, or by a process of its own that repeats the command `words`.

    Raises `UserError` when they are not taken.
    """
    kind = jobs[0].settings.launcher.kind
    if kind == "slurm":
        slurm_arrays.submit(jobs, sweep, execution.work)
        return
    if kind == "debug":
        raise UserError("launcher=debug runs in this process, so it has to wait; use launcher=local with wait=false.")
    log = jobs[0].results / "logs" / f"{sweep}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with worker_environment(), log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "spike_ssm.harness.sweep", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    _record_local(jobs, sweep, process.pid)


def _record_local(jobs: Sequence[Job], sweep: str, pid: int) -> None:
    held = {"": [job.run_id for job in jobs]}
    record(jobs[0].results, Submission("local", sweep, held, asdict(Process.of(pid))))


def launch(jobs: Sequence[Job], sweep: str, watch: Watcher, execution: Execution, again: Collection[str] = ()) -> None:
    """Have `jobs` executed and return when each has a result. Raises `UserError` when that cannot be.

    again: ids of the runs whose results were discarded. A SLURM job that left one may still be ending, and will not
    come back to its run.
    """
    kind = jobs[0].settings.launcher.kind
    survey = Survey(jobs[0].results, [job.run_id for job in jobs])
    if kind == "debug":
        for job in jobs:
            execution.execute(job)
            watch(survey.states())
        return
    if kind == "slurm":
        states = survey.states()
        if todo := [job for job in jobs if job.run_id in again or not states[job.run_id].is_live]:
            slurm_arrays.submit(todo, sweep, execution.work)
        wait(jobs, survey, watch)
        return
    _record_local(jobs, sweep, os.getpid())
    pool = Pool(jobs, execution.work)
    try:
        wait(jobs, survey, watch, pool.tend)
    except BaseException:
        pool.cancel()
        raise


def wait(
    jobs: Sequence[Job], survey: Survey, watch: Watcher, tend: Callable[[Mapping[str, RunState]], None] | None = None
) -> None:
    """Return when each of `jobs` has a result; those that ended without one are given a failed one."""
    doubted: dict[str, float] = {}
    while True:
        states = survey.states()
        watch(states)
        for job in jobs:
            state = states[job.run_id]
            if not state.is_finished or state.recorded:
                doubted.pop(job.run_id, None)
            elif time.monotonic() - doubted.setdefault(job.run_id, time.monotonic()) > SECONDS_OF_DOUBT:
                record_failure(job, state.status, state.error or "", survey.watch)
        if all(state.recorded for state in states.values()):
            return
        if tend is not None:
            tend(states)
        time.sleep(SECONDS_BETWEEN_SURVEYS)
