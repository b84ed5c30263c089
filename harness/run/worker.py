"""What a worker process does: one run after the other, each with a log of its own, until it is asked to stop.

Locally the sweep asks, by SIGTERM, and where it was killed the worker sees that it is gone. On SLURM two signals ask:
SIGUSR2 when the time limit is near or a job with more right to the node waits, and SIGTERM for the latter, too, or when
the job is cancelled. The run saves a checkpoint. After SIGUSR2 the worker sends its job back to the queue, from where
it goes on later. After SIGTERM it ends as soon as SLURM has done with the job, because a cancelled job must not come
back; if that does not happen, the job was preempted with a long grace time, and goes back to the queue too.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import submitit

from spike_ssm.harness.config.compose import settings_from_json
from spike_ssm.harness.run.compute import train_along
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.failure import record_failure
from spike_ssm.harness.run.job import Execution, Job
from spike_ssm.harness.run.log import own_log
from spike_ssm.harness.run.order import read_order
from spike_ssm.harness.run.process_group import assemble
from spike_ssm.harness.state import lease
from spike_ssm.harness.state.lease import PATIENCE_S, POLLS, Watch
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.environment import SWEEP, compute_with
from spike_ssm.harness.system.signals import Interrupted, stop_with, stoppable
from spike_ssm.results.process import Process

SECONDS_TO_BE_ENDED = 120.0
"""More than the usual KillWait, SLURM's time between SIGTERM and SIGKILL when a job is cancelled."""

SLACK_S = 90.0
"""A worker starts so much later than its job at the most."""

_log = logging.getLogger(__name__)


def work(order: str) -> None:
    """Execute every run of the order in this file that nobody else is at.

    Returns early when asked to stop, the run's checkpoint saved.
    """
    with stoppable():
        if (sweep := Process.from_token(os.environ.get(SWEEP, ""))) is not None:
            stop_with(sweep)
        _work_off(order)


def _work_off(order: str) -> None:
    started = time.monotonic()
    jobs, threads = read_order(order, settings_from_json)
    compute_with(threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    name = submitit.JobEnvironment().job_id
    watch = Watch()
    group = assemble(submitit.JobEnvironment())
    if not group.leads:
        with suppress(Interrupted):
            train_along(jobs, group)
        return
    for job in _offered(jobs):
        if not job.results.is_dir():
            _log.warning("The results folder %s was moved or removed: this worker stops.", job.results)
            break
        try:
            _limit_memory(job.settings.launcher.memory_gb)
            with own_log(job.files.log):
                execute(job, name, watch, group)
        except Interrupted as interrupted:
            _leave(job, interrupted.signal, time.monotonic() - started)
            return
        if group.broken:
            return
    group.dismiss()


EXECUTION = Execution(work, lambda job, watch: execute(job, "debug", watch))
"""How the commands have their runs executed."""


def _offered(jobs: Sequence[Job]) -> Iterator[Job]:
    """Every run once, and those again whose holder nobody can see from here, until it is heard of or taken for dead."""
    yield from jobs
    deadline = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < deadline and (unseen := [job for job in jobs if _is_held_unseen(job)]):
        time.sleep(PATIENCE_S / POLLS)
        yield from unseen


def _is_held_unseen(job: Job) -> bool:
    holder = lease.read(job.files.lease)
    return holder is not None and lease.seen_alive(holder, slurm.is_live) is None


def _limit_memory(gigabytes: int | None) -> None:
    """Let requests beyond the limit fail. On SLURM, which watches over the memory itself, ours would be in its way."""
    if gigabytes is not None and slurm.this_job() is None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (gigabytes * 10**9, hard))


def _still_wanted() -> bool:
    """Whether SLURM lets this job go on although it sent SIGTERM long ago: it was preempted, and not cancelled."""
    deadline = time.monotonic() + SECONDS_TO_BE_ENDED
    while time.monotonic() < deadline:
        if slurm.state_of_this_job() != "RUNNING":
            return False
        time.sleep(1.0)
    return True


def _leave(job: Job, by: signal.Signals, seconds: float) -> None:
    """Send this worker's job back to the queue, as far as it has a queue and a right to it."""
    if job.settings.launcher.kind != "slurm":  # inside a job of SLURM, too, which is the user's own
        return
    if by != signal.SIGUSR2 and not _still_wanted():
        return
    launcher = job.settings.launcher
    limit = launcher.timeout_minutes or 0
    at_its_limit = seconds > 60 * limit - launcher.grace_seconds - SLACK_S
    if at_its_limit and slurm.restarts() >= launcher.requeues:
        record_failure(
            job,
            "timed out",
            f"The time limit of {limit} minutes ended the run {slurm.restarts() + 1} times. Its last checkpoint is "
            "kept: raise launcher.timeout_minutes or launcher.requeues and run the sweep again with retry=true.",
        )
    elif slurm.requeue_this_job():
        time.sleep(SECONDS_TO_BE_ENDED)
