"""What is known of a run, and from where: its own files first, then whoever it was handed to.

Nothing here imports torch: `python -m harness.status` answers at once. A state is never a guess: where nobody here can
tell, it is `unknown`. A run counts as failed when its result says so, or when the process that was at it is gone for
certain and nobody else has it; what becomes of another user's job is not this user's to record.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from spike_ssm.harness.state import lease
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.state.submissions import Submission, submissions
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.private import private_root
from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.reading import Outcome, ids_there, read_outcomes
from spike_ssm.results.schema import FAILURES, Status
from spike_ssm.results.verify.limits import is_possible

State = Literal[Status, "waiting", "queued", "running", "preempted", "unknown"]
STATES: tuple[str, ...] = get_args(State)
FINISHED: tuple[str, ...] = get_args(Status)

SECONDS_BETWEEN_QUESTIONS = 3.0
"""The least time between two questions to SLURM about the same jobs."""

SECONDS_OF_DOUBT = 10.0
"""Seconds after which a job that ended counts as ended without a result: file systems and SLURM's books lag."""

SECONDS_OF_ABSENCE = 60.0
"""Seconds for which SLURM must have known nothing of a job that is to count as ended."""
_AGAIN = "It is waited for; retry=true runs it again."

_ENDINGS: dict[str, Status] = {
    "TIMEOUT": "timed out",
    "DEADLINE": "timed out",
    "OUT_OF_MEMORY": "out of memory",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
}


@dataclass(frozen=True)
class RunState:
    """What is known of a run.

    waiting: handed to nobody; queued: its job waits or has runs before it; preempted: begun, and its job waits to go
    on; unknown: whoever has it cannot be asked from here, or its result file cannot be read now, so that it is neither
    finished nor to be run; the others are what they say. `recorded`: a file of the run says so, not only SLURM.
    `record_after_s`: seconds for which a failure that only SLURM tells must stand before it may be recorded; None where
    that is another's to do. `unprepared`: it failed by its surroundings, before it began, without a result, and the
    next attempt runs it. `begun`: it waits, and goes on from a checkpoint when somebody takes it.
    """

    status: State
    worker: str | None = None  # that is at it
    progress: dict[str, Any] | None = None  # fields of harness.training.trainer.Progress, while running
    measure: str | None = None  # of a finished run, in words: its test accuracy or perplexity
    error: str | None = None  # why it failed or is unknown, and what else there is to know of one that runs
    recorded: bool = False
    record_after_s: float | None = None
    unprepared: bool = False
    begun: bool = False

    @property
    def is_live(self) -> bool:
        """Whether somebody has it, at work or in a queue, or may have it."""
        return self.status in ("queued", "running", "preempted", "unknown")

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more, unless somebody asks for it."""
        return self.status in FINISHED

    @property
    def is_unreadable(self) -> bool:
        """Whether it has a result that cannot be read now."""
        return self.recorded and not self.is_finished

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a result that counts."""
        return self.status in FAILURES


class Survey:
    """Looks at runs as often as it is asked to, and at SLURM no oftener than every few seconds."""

    def __init__(self, results: Path, run_ids: Iterable[str], watch: lease.Watch | None = None) -> None:
        self._results = results
        self._run_ids = list(run_ids)
        self._finished: dict[str, RunState] = {}
        self.watch = watch or lease.Watch(lease.PATIENCE_S)
        self._fates: dict[slurm.OwnedJob, slurm.Fate] = {}
        self._cluster = ""
        self._asked = float("-inf")

    def states(self) -> dict[str, RunState]:
        """The state of every run now, by id."""
        open_runs = [run_id for run_id in self._run_ids if run_id not in self._finished]
        there = ids_there(self._results)
        ended = [run_id for run_id in open_runs if there is None or run_id in there]
        found = {i: _recorded(outcome) for i, outcome in read_outcomes(self._results, ended).items() if outcome}
        self._finished |= {run_id: state for run_id, state in found.items() if state.is_finished}
        open_runs = [run_id for run_id in open_runs if run_id not in found]
        faults = {path.stem for path in (self._results / "state").glob("*.fault")}
        handed = _by_run(submissions(self._results), set(open_runs)) if open_runs else {}
        holders = {run_id: _holder(RunFiles(self._results, run_id).lease) for run_id in open_runs}
        jobs = {job for holder in holders.values() if isinstance(holder, lease.Holder) and (job := holder.owned_job())}
        jobs |= {one.owned(job) for places in handed.values() for one, job in places if one.kind == "slurm"}
        self._ask_slurm(jobs)
        unfinished = {
            each: self._unfinished(each, holders[each], handed.get(each, []), each in faults) for each in open_runs
        }
        known = {**unfinished, **found, **self._finished}
        return {run_id: known[run_id] for run_id in self._run_ids}

    def _ask_slurm(self, jobs: set[slurm.OwnedJob]) -> None:
        asked_lately = time.monotonic() - self._asked < SECONDS_BETWEEN_QUESTIONS
        if not jobs or (asked_lately and jobs <= self._fates.keys()):
            return
        self._cluster = self._cluster or slurm.cluster()
        self._fates = slurm.fates(jobs, self._cluster)
        self._asked = time.monotonic()

    def _unfinished(
        self, run_id: str, holder: lease.Holder | OSError | None, places: list[tuple[Submission, str]], at_fault: bool
    ) -> RunState:
        """The state of a run without a result, whose lease is `holder`'s and which was handed to `places`.

        at_fault: there is a file that says why it could not begin.
        """
        files = RunFiles(self._results, run_id)
        if isinstance(holder, OSError):
            return RunState("unknown", error=f"Its lease {files.lease} cannot be read now ({holder.strerror}).")
        if holder is not None and lease.is_alive(files.lease, holder, self._is_job_alive, self.watch):
            return self._held(files, holder)
        if at_fault:
            return RunState("failed", error=files.read_fault(), recorded=True, unprepared=True)
        ends = [end for one, job in places if (end := self._place_state(one, job))]
        if "live" in ends:
            return RunState("preempted" if files.checkpoints.exists() else "queued")
        if not ends or isinstance(ends[-1], str):
            return RunState("waiting", begun=files.checkpoints.exists())
        return ends[-1] if ends[-1].status == "unknown" else _with_log(ends[-1], files)

    def _held(self, files: RunFiles, holder: lease.Holder) -> RunState:
        """The state of a run that `holder` is at, or was when it was last heard of."""
        progress = files.read_progress()
        running = RunState("running")
        if progress is not None:
            running = RunState("running", worker=progress.pop("worker"), progress=progress)
        silent_s = lease.seconds_since_beat(files.lease)
        if (
            lease.seen_alive(holder, self._is_job_alive) is not None
            or self.watch.has_heard(files.lease, holder)
            or silent_s is None
            or silent_s <= lease.PATIENCE_S
        ):
            return running
        return RunState(
            "unknown",
            error=f"Last heard of {_ago(silent_s)} ago: {holder}. A sweep that finds it silent for "
            f"{lease.PATIENCE_S:.0f} s takes the run over.",
        )

    def _is_job_alive(self, job: slurm.OwnedJob) -> bool | None:
        fate = self._fates.get(job)
        return fate.is_live if fate else None

    def _place_state(self, submission: Submission, job: str) -> RunState | Literal["live"] | None:
        """What whoever was handed an unfinished run says of it: it may come to it yet, or how it ended if it says."""
        if submission.kind == "local":
            process = submission.process
            alive = process and process.lives()
            if alive is None:
                where = f"process {process.pid} on host {process.host}" if process else "an unnamed process"
                return RunState("unknown", error=f"It was handed to {where}, which cannot be asked from here. {_AGAIN}")
            return "live" if alive else None
        fate = self._fates[submission.owned(job)]
        if fate.state == slurm.UNKNOWN:
            return RunState("unknown", error=f"{fate.why} {_AGAIN}")
        if fate.is_live:
            return "live"
        if fate.state == slurm.GONE:
            return RunState("failed", error=fate.why, record_after_s=SECONDS_OF_ABSENCE)
        error = f"SLURM says {fate.state} of its job {job}."
        record_after_s = SECONDS_OF_DOUBT if fate.mine else None
        return RunState(_ENDINGS.get(fate.state, "failed"), error=error, record_after_s=record_after_s)


def _holder(path: Path) -> lease.Holder | OSError | None:
    """Who holds lease `path`, None when nobody does, the error where it cannot be read now."""
    try:
        return lease.read(path)
    except OSError as error:
        return error


def _ago(seconds: float) -> str:
    """The time in words."""
    for name, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _with_log(state: RunState, files: RunFiles) -> RunState:
    jobs = f" Logs of jobs are below {private_root()}, by the job's number."
    where = f" Its log is {files.log}." if files.log.exists() else jobs
    return replace(state, error=f"{state.error}{where}")


def look(results: Path, run_id: str) -> RunState:
    """The state of one run now. A damaged result counts as failed and says so."""
    return Survey(results, [run_id]).states()[run_id]


def _recorded(outcome: Outcome | UserError) -> RunState:
    """The state of a run that has a result file."""
    if isinstance(outcome, UnreadableError):
        return RunState("unknown", error=str(outcome), recorded=True)
    if isinstance(outcome, UserError):
        return RunState("failed", error=str(outcome), recorded=True)
    measure = None
    if outcome.test_perplexity is not None:
        measure = f"test perplexity {outcome.test_perplexity:.1f}"
    elif outcome.test_accuracy is not None:
        measure = f"test accuracy {outcome.test_accuracy:.1%}"
    if not (
        is_possible("test_accuracy", outcome.test_accuracy) and is_possible("test_perplexity", outcome.test_perplexity)
    ):
        measure = f"an impossible {measure}"
    return RunState(outcome.status, measure=measure, error=outcome.error, recorded=True)


def _by_run(every: Collection[Submission], wanted: set[str]) -> dict[str, list[tuple[Submission, str]]]:
    """Run id -> the submissions and jobs that hold it, the latest last."""
    found: dict[str, list[tuple[Submission, str]]] = {}
    for submission in every:
        for job, run_ids in submission.jobs.items():
            for run_id in wanted.intersection(run_ids):
                found.setdefault(run_id, []).append((submission, job))
    return found
