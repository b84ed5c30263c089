"""Handing runs to processes that execute them, and waiting until each has ended.

Whoever executes a run holds its lease and leaves its result in a file, so the files alone say what is waiting, running
and finished: two sweeps that share a run do it once, and a sweep that was submitted needs nobody who waits for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from spike_ssm.harness.launch import slurm_arrays
from spike_ssm.harness.launch.local_pool import Pool
from spike_ssm.harness.run.failure import record_failure
from spike_ssm.harness.run.job import Execution, Job
from spike_ssm.harness.run.log import open_log
from spike_ssm.harness.state import lease
from spike_ssm.harness.state.submissions import Submission, record
from spike_ssm.harness.state.survey import SECONDS_OF_DOUBT, RunState, Survey
from spike_ssm.harness.system.environment import worker_environment
from spike_ssm.harness.system.signals import interruptible, raise_if_interrupted
from spike_ssm.results.errors import UserError
from spike_ssm.results.process import Process

SECONDS_BETWEEN_SURVEYS = 0.3
RESTS, LONGEST_REST_S = 20, 3.0
"""A rest after a survey is so many times as long, since the cores are the runs', and no longer than people wait."""

WAITED_FOR = (
    "This command waits for its result, and takes the run over when nothing has been heard of the holder for "
    f"{lease.PATIENCE_S:.0f} s."
)

Watcher = Callable[[dict[str, RunState]], None]
"""Called with the state of every run by id, every `SECONDS_BETWEEN_SURVEYS` or, with many runs, more rarely."""


def submit(jobs: Sequence[Job], sweep: str, words: Sequence[str], execution: Execution) -> list[str]:
    """Have `jobs` executed without waiting: by SLURM, or by a process of its own that repeats the command `words`.

    Returns the ids of what SLURM was handed. Raises `UserError` when they are not taken.
    """
    kind = jobs[0].settings.launcher.kind
    if kind == "slurm":
        return slurm_arrays.submit(jobs, sweep, execution.work)
    if kind == "debug":
        raise UserError("launcher=debug runs in this process, so it has to wait; use launcher=local with wait=false.")
    log = open_log(jobs[0].results / "logs" / f"{sweep}.log")
    with worker_environment(), os.fdopen(log, "ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "spike_ssm.harness.sweep", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    _record_local(jobs, sweep, process.pid)
    return []


def _record_local(jobs: Sequence[Job], sweep: str, pid: int) -> None:
    held = {"": [job.run_id for job in jobs]}
    record(jobs[0].results, Submission("local", sweep, held, Process.of(pid)))


def launch(jobs: Sequence[Job], sweep: str, watch: Watcher, execution: Execution, again: Collection[str] = ()) -> None:
    """Have `jobs` executed and return when each has a result. Raises `UserError` when that cannot be.

    Raises `Interrupted` when this process is asked to stop, once local workers have left checkpoints and ended.

    again: ids of the runs whose results were discarded. A SLURM job that left one may still be ending, and will not
    come back to its run.
    """
    kind = jobs[0].settings.launcher.kind
    survey = Survey(jobs[0].results, [job.run_id for job in jobs])
    if kind == "debug":
        _execute_here(jobs, survey, watch, execution)
        return
    with interruptible():  # what was handed to whom is recorded first
        if kind == "slurm":
            _execute_on_slurm(jobs, sweep, survey, watch, execution, again)
            return
        _record_local(jobs, sweep, os.getpid())
        pool = Pool(jobs, execution.work)
        try:
            wait(jobs, survey, watch, pool.tend)
        except BaseException:
            pool.stop()
            raise


def _execute_here(jobs: Sequence[Job], survey: Survey, watch: Watcher, execution: Execution) -> None:
    """Execute the runs in this process; where another one is at a run, wait for its result or its death."""
    states, told = survey.states(), set[str]()
    watch(states)  # how a run ended earlier
    for job in jobs:
        while not states[job.run_id].recorded:
            _require_folder(job.results)
            if _is_held(job, states[job.run_id]):
                if job.run_id not in told:
                    print(f"Run {job.run_id} is held by {lease.read(job.files.lease)}. {WAITED_FOR}")
                    told.add(job.run_id)
                time.sleep(SECONDS_BETWEEN_SURVEYS)
            else:
                watch({**states, job.run_id: RunState("running")})
                with _watched(job.run_id, survey, watch):
                    executed = execution.execute(job, survey.watch)
                if not executed:  # somebody was quicker
                    time.sleep(SECONDS_BETWEEN_SURVEYS)
            states = survey.states()
            watch(states)


@contextmanager
def _watched(run_id: str, survey: Survey, watch: Watcher) -> Iterator[None]:
    """While this process executes the run, a thread looks at the states, and alone asks the survey.

    The run counts as running, also where its files do not say so yet.
    """
    over = Event()

    def look() -> None:
        with suppress(OSError, UserError):  # this process says it when the run has ended
            while not over.wait(SECONDS_BETWEEN_SURVEYS):
                states = survey.states()
                shows = states[run_id].is_finished or states[run_id].status == "running"
                watch(states if shows else {**states, run_id: RunState("running")})

    thread = Thread(target=look, name="the display of a run", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _is_held(job: Job, state: RunState) -> bool:
    """Whether a process is at the run, or may be, whatever became of the jobs it was handed to."""
    return state.status == "running" or (state.status == "unknown" and job.files.lease.exists())


def _require_folder(results: Path) -> None:
    """Raise `UserError` when the results folder is no longer there, before anything makes another in its place."""
    if not results.is_dir():
        raise UserError(
            f"The results folder {results} was moved or removed while its runs were waited for. Runs at work stop; "
            "move the folder back and run the sweep again, or name it with paths.results=FOLDER."
        )


def _execute_on_slurm(
    jobs: Sequence[Job], sweep: str, survey: Survey, watch: Watcher, execution: Execution, again: Collection[str]
) -> None:
    """Have SLURM execute what nobody else is at or, while that is waited for, will not finish."""
    submitted: set[str] = set()

    def submit_these(ids: set[str]) -> None:
        if todo := [job for job in jobs if job.run_id in ids - submitted]:
            slurm_arrays.submit(todo, sweep, execution.work)
            submitted.update(job.run_id for job in todo)

    def submit_waiting(states: Mapping[str, RunState]) -> None:
        submit_these({run_id for run_id, state in states.items() if state.status == "waiting"})

    submit_these({run_id for run_id, state in survey.states().items() if run_id in again or not state.is_live})
    wait(jobs, survey, watch, submit_waiting)


def wait(
    jobs: Sequence[Job], survey: Survey, watch: Watcher, tend: Callable[[Mapping[str, RunState]], None] | None = None
) -> None:
    """Return when each of `jobs` has a result, or has failed as another user's job.

    Those of this user that ended without one are given a failed one. A result that cannot be read is waited for a
    moment, and then left as it is.
    """
    doubted: dict[str, float] = {}
    settled: set[str] = set()
    while True:
        begun = time.process_time()
        raise_if_interrupted()
        for results in {job.results for job in jobs}:
            _require_folder(results)
        states = survey.states()
        watch(states)
        for job in jobs:
            state = states[job.run_id]
            if state.is_finished == state.recorded:
                doubted.pop(job.run_id, None)
                settled.discard(job.run_id)
                continue
            for_s = time.monotonic() - doubted.setdefault(job.run_id, time.monotonic())
            if state.is_unreadable and for_s > SECONDS_OF_DOUBT:
                settled.add(job.run_id)
            if state.record_after_s is not None and for_s > state.record_after_s:
                record_failure(job, state.status, state.error or "", survey.watch)
            elif state.is_finished and state.record_after_s is None:
                settled.add(job.run_id)
        if all(run_id in settled or (state.recorded and state.is_finished) for run_id, state in states.items()):
            return
        if tend is not None:
            tend(states)
        time.sleep(rest(time.process_time() - begun))


def rest(seconds: float) -> float:
    """Seconds until the next survey, after one that kept a core busy for so many."""
    return max(SECONDS_BETWEEN_SURVEYS, min(RESTS * seconds, LONGEST_REST_S))
