"""Failures that a run could not store itself."""

from __future__ import annotations

from contextlib import suppress

from spike_ssm.harness.run.job import Job
from spike_ssm.harness.state.lease import Lease, Watch
from spike_ssm.harness.system import slurm
from spike_ssm.results.files import may_exist
from spike_ssm.results.store import write_run


def record_failure(job: Job, status: str, error: str, watch: Watch | None = None) -> None:
    """Store a failure of `job`, unless a process has claimed the run again.

    status: one of `results.schema.FAILURES`. watch: what was seen of holders elsewhere.
    """
    claim = Lease.acquire(job.files.lease, slurm_alive=slurm.is_live, watch=watch)
    if claim is None:
        return
    with claim:
        if not may_exist(job.files.result):
            log = job.files.log_tail()
            write_run(job.results, {**job.identity(), "status": status, "error": error, "log_tail": log})
        with suppress(OSError):
            job.files.progress.unlink(missing_ok=True)
