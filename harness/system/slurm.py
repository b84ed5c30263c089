"""What SLURM says of jobs, and what it is told: through its own commands, each bounded in time.

Works without accounting (`sacct`). Where SLURM gives no answer, None says so; nothing is guessed. Job ids are spelled
as squeue spells them: `1234`, or `1234_5` for a task of an array.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass

LIVE = frozenset(
    {
        *("CONFIGURING", "COMPLETING", "PENDING", "RUNNING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING"),
        *("RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED"),
    }
)
"""States of jobs that will still do something; all others are final."""

DEFAULT_ARRAY_SIZE = 1001
"""MaxArraySize where the configuration cannot be read: SLURM's own default."""

_SECONDS = 30
_IDS_A_CALL = 500  # a command line is bounded


@dataclass(frozen=True)
class JobState:
    """A job's state, e.g. RUNNING or OUT_OF_MEMORY, and the reason SLURM gives ("" where it gives none)."""

    state: str
    reason: str = ""

    @property
    def is_live(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in LIVE


def is_available() -> bool:
    """Whether this machine belongs to a SLURM cluster, whose controller may be away for the moment."""
    if any(shutil.which(command) is None for command in ("sbatch", "srun")):
        return False
    try:
        answer = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return True
    return "configuration source" not in answer.stderr  # the commands are installed, and nothing else


def automatic_launcher() -> str:
    """What `launcher=auto` means here: `slurm` on a machine of a cluster, else `local`."""
    return "slurm" if is_available() else "local"


def job_states(ids: Collection[str]) -> dict[str, JobState] | None:
    """The states of those of the jobs `ids` that SLURM still knows; None when it does not answer.

    squeue also lists jobs that ended minutes ago. The others are looked up in the accounting, where there is one.
    """
    listed = _ask("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", "--me")
    if listed is None:
        return None
    queue = {job: JobState(state, "" if reason == "None" else reason) for job, state, reason in _rows(listed, 3)}
    found = {job: queue[job] for job in ids if job in queue}
    return {**_accounted([job for job in ids if job not in queue]), **found}


def is_live(job: str, restart: int) -> bool | None:  # noqa: ARG001 (what a lease asks; squeue does not tell lives apart)
    """Whether the job waits or runs; None when SLURM does not say."""
    states = job_states([job])
    return states[job].is_live if states and job in states else None


def _accounted(ids: Iterable[str]) -> dict[str, JobState]:
    """What the accounting says of `ids`; nothing where there is none."""
    wanted = sorted(set(ids))
    if not wanted or shutil.which("sacct") is None:
        return {}
    found: dict[str, JobState] = {}
    parents = sorted({job.split("_")[0] for job in wanted})
    for start in range(0, len(parents), _IDS_A_CALL):
        part = ",".join(parents[start : start + _IDS_A_CALL])
        options = ("--noheader", "--parsable2", "--allocations", "--array", "--format=JobID,State")
        listed = _ask("sacct", *options, f"--jobs={part}")
        for job, state in _rows(listed or "", 2):
            found[job] = JobState(state.split()[0])  # CANCELLED by 1000
    return {job: found[job] for job in wanted if job in found}


def cancel(ids: Collection[str]) -> None:
    """End the jobs, waiting or running; those that have ended are left as they are."""
    wanted = list(ids)
    for start in range(0, len(wanted), _IDS_A_CALL):
        _ask("scancel", *wanted[start : start + _IDS_A_CALL])


def max_array_size() -> int:
    """The most tasks that an array may have here."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config") or "")
    return int(found[1]) if found else DEFAULT_ARRAY_SIZE


def this_job() -> str | None:
    """The id of the job that this process is part of, if any."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def state_of_this_job() -> str | None:
    """What SLURM says of the job that this process is part of; None when it does not answer."""
    job = this_job()
    states = job_states([job]) if job else None
    return states[job].state if states and job in states else None


def restarts() -> int:
    """How often this process's job was requeued."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def requeue_this_job() -> bool:
    """Send this process's job back to the queue, which ends the process soon. False when SLURM does not do it."""
    job = this_job()
    return job is not None and _ask("scontrol", "requeue", job) is not None


def _ask(*command: str) -> str | None:
    """What the command prints; None when it fails, takes too long or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = [[field.strip() for field in line.split("|")] for line in text.splitlines()]
    return [row for row in rows if len(row) == fields]
