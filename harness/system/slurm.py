"""What SLURM says of jobs, and what it is told: through its own commands, each bounded in time.

Works without accounting (`sacct`). Where SLURM gives no answer, that is said; nothing is guessed. Job ids are spelled
as squeue spells them: `1234`, or `1234_5` for a task of an array. They tell little alone: another cluster has the same
ones, and SLURM begins anew when it has none left. So a job is believed to be the one that was meant when its user and
its name are right too (`fates`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import psutil

JOB_NAME = "spike-ssm"
"""What the names of a sweep's jobs begin with; those of earlier versions are no longer than this."""

LIVE = frozenset(
    {
        *("CONFIGURING", "COMPLETING", "PENDING", "RUNNING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING"),
        *("RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED"),
    }
)
"""States of jobs that will still do something; all others are final."""

GONE = "GONE"
"""Our word for a job that SLURM knows no more, where there is no accounting that tells how it ended."""

UNKNOWN = "UNKNOWN"
"""Our word for a job of which nothing can be said here."""

DEFAULT_ARRAY_SIZE = 1001
"""MaxArraySize where the configuration cannot be read: SLURM's own default."""

_SECONDS = 30
_IDS_A_CALL = 500


@dataclass(frozen=True)
class OwnedJob:
    """A job, and whose it is, by which it is told from a later or another cluster's of that id; "" where not noted."""

    id: str
    user: str = ""
    cluster: str = ""
    name: str = ""


@dataclass(frozen=True)
class JobState:
    """What SLURM says of a job: its state, e.g. RUNNING or OUT_OF_MEMORY, or `GONE`; its user, its name."""

    state: str
    user: str = ""
    name: str = ""

    @property
    def is_live(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in LIVE


@dataclass(frozen=True)
class Fate:
    """What is known of a job: its state by SLURM, `GONE`, or `UNKNOWN` and a sentence why.

    mine: this user submitted it, and may say what became of it.
    """

    state: str
    why: str = ""
    mine: bool = False

    @property
    def is_live(self) -> bool | None:
        """Whether the job waits or runs; None where SLURM does not tell."""
        return None if self.state in (GONE, UNKNOWN) else self.state in LIVE


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


def user() -> str:
    """This process's user, as SLURM calls it."""
    return psutil.Process().username()


def cluster() -> str:
    """The name of the cluster that this machine belongs to; "" where there is none, or SLURM does not answer."""
    return os.environ.get("SLURM_CLUSTER_NAME") or _configured("ClusterName") or ""


def fates(jobs: Collection[OwnedJob], here: str | None = None) -> dict[OwnedJob, Fate]:
    """What is known of each of the jobs; here: this machine's cluster, asked for where it is None."""
    here, me = cluster() if here is None else here, user()
    askable = [job for job in jobs if not here or job.cluster in ("", here)]
    states = job_states({job.id for job in askable}) if askable else {}
    found = {job: _fate(job, states, here, me) for job in askable}
    return {job: found.get(job) or Fate(UNKNOWN, f"Its job {job.id} is of the cluster {job.cluster}.") for job in jobs}


def _fate(job: OwnedJob, states: dict[str, JobState] | None, here: str, me: str) -> Fate:
    """The fate of a job that SLURM was asked about by user `me` on cluster `here`, which gave `states`."""
    if states is None:
        why = "does not answer" if shutil.which("squeue") else "cannot be asked on this machine"
        return Fate(UNKNOWN, f"SLURM {why} about its job {job.id}.")
    said = states.get(job.id)
    if said and said.state != GONE and job.user in ("", said.user) and job.name in ("", said.name):
        return Fate(said.state, mine=said.user == me)
    if job.user != me:
        return Fate(UNKNOWN, f"SLURM does not tell {me} of job {job.id}{f' of {job.user}' if job.user else ''}.")
    if said is None or not here or job.cluster != here:
        return Fate(UNKNOWN, f"SLURM no longer knows its job {job.id}, nor does its accounting list it.")
    if said.user == me and said.is_live:  # ours under another name, or another of ours
        return Fate(UNKNOWN, f"SLURM calls job {job.id} {said.name}, and not {job.name}.")
    return Fate(GONE, f"SLURM no longer knows its job {job.id}, and does not say how it ended.", mine=True)


def job_states(ids: Collection[str]) -> dict[str, JobState] | None:
    """The states of the jobs that have the `ids` now, whoever's they are; None when SLURM does not answer.

    squeue also lists jobs that ended minutes ago. The others are looked up in the accounting: where there is none they
    are `GONE`, where it does not list them they are left out.
    """
    found: dict[str, JobState] = {}
    for part in _parts(sorted({job.split("_")[0] for job in ids})):
        listed = _listed(part)
        if listed is None:
            return None
        found |= {job: JobState(state, owner, name) for job, state, owner, name in _rows(listed, 4)}
    left = [job for job in ids if job not in found]
    accounted = _accounted(left) if left else {}
    found |= dict.fromkeys(left, JobState(GONE)) if accounted is None else accounted
    return {job: found[job] for job in ids if job in found}


def is_live(job: OwnedJob) -> bool | None:
    """Whether the job waits or runs; None when SLURM does not say."""
    return fates([job])[job].is_live


def _listed(ids: Sequence[str]) -> str | None:
    """What squeue lists of these jobs; None when it does not answer. Of one that it does not know it makes an error."""
    done = _run("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%u|%j", f"--jobs={','.join(ids)}")
    if done is None or done.returncode == 0:
        return None if done is None else done.stdout
    if "Invalid job id" not in done.stderr:
        return None
    halves = [_listed(half) for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :])] if len(ids) > 1 else []
    return None if None in halves else "".join(half for half in halves if half)


def _accounted(ids: Iterable[str]) -> dict[str, JobState] | None:
    """What the accounting says of `ids`; None where there is none."""
    found: dict[str, JobState] = {}
    for part in _parts(sorted({job.split("_")[0] for job in ids})):
        options = ("--noheader", "--parsable2", "--allocations", "--array", "--allusers")
        listed = _ask("sacct", *options, "--format=JobID,State,User,JobName", f"--jobs={','.join(part)}")
        if listed is None:
            return None
        for job, state, owner, name in _rows(listed, 4):
            if state:  # the first word of CANCELLED by 1000
                found[job] = JobState(state.split()[0], owner, name)
    return found


def cancel(ids: Collection[str]) -> None:
    """End the jobs, waiting or running; those that have ended are left as they are."""
    for part in _parts(list(ids)):
        _ask("scancel", *part)


def cancel_named(name: str) -> list[str] | None:
    """End the jobs of this name; their ids, None when SLURM does not answer."""
    listed = _ask("squeue", "--noheader", f"--name={name}", "--format=%F")  # of an array, the number of all its tasks
    if listed is None:
        return None
    found = sorted(set(listed.split()))
    cancel(found)
    return found


def max_array_size() -> int:
    """The most tasks that an array may have here; 1 where the cluster has no arrays, which its 0 says."""
    size = _configured("MaxArraySize") or ""
    return max(1, int(size)) if size.isdecimal() else DEFAULT_ARRAY_SIZE


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


def _configured(name: str) -> str | None:
    """The value of an entry of the cluster's configuration; None when it cannot be read."""
    found = re.search(rf"^{name}\s*=\s*(\S+)", _ask("scontrol", "show", "config") or "", re.MULTILINE)
    return found[1] if found else None


def _ask(*command: str) -> str | None:
    """What the command prints; None when it fails, takes too long or is not there."""
    done = _run(*command)
    return done.stdout if done and done.returncode == 0 else None


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """The command when it has ended; None when it takes too long or is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return None


def _rows(text: str, fields: int) -> list[list[str]]:
    """The lines of that many fields; the last may hold the separator."""
    rows = [[field.strip() for field in line.split("|", fields - 1)] for line in text.splitlines()]
    return [row for row in rows if len(row) == fields]


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    """The ids by the call: a command line is bounded."""
    return [ids[start : start + _IDS_A_CALL] for start in range(0, len(ids), _IDS_A_CALL)]
