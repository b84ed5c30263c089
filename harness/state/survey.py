"""What is known of a run, and from where: its own files first, then whoever it was handed to.

Nothing here imports torch: `python -m harness.status` answers at once. A state is never a guess. A run counts as
failed when its result says so, or when the process that was at it is gone for certain and nobody else has it.
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
from spike_ssm.results.errors import UserError
from spike_ssm.results.process import Process
from spike_ssm.results.schema import FAILURES, Status
from spike_ssm.results.store import Outcome, read_outcomes, run_path

State = Literal[Status, "waiting", "queued", "running", "preempted"]
STATES: tuple[str, ...] = get_args(State)
FINISHED: tuple[str, ...] = get_args(Status)

SECONDS_BETWEEN_QUESTIONS = 3.0
"""The least time between two questions to SLURM."""


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
    on; the others are what they say. `recorded`: the result file says so, not only SLURM.
    """

    status: State
    worker: str | None = None  # that is at it
    progress: dict[str, Any] | None = None  # fields of harness.training.trainer.Progress, while running
    measure: str | None = None  # of a finished run, in words: its test accuracy or perplexity
    error: str | None = None
    recorded: bool = False

    @property
    def is_live(self) -> bool:
        """Whether somebody has it, at work or in a queue."""
        return self.status in ("queued", "running", "preempted")

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more, unless somebody asks for it."""
        return self.status in FINISHED

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a result that counts."""
        return self.status in FAILURES


class Survey:
    """Looks at runs as often as it is asked to, and at SLURM no oftener than every few seconds."""

    def __init__(self, results: Path, run_ids: Iterable[str]) -> None:
        self._results = results
        self._run_ids = list(run_ids)
        self._finished: dict[str, RunState] = {}
        self.watch = lease.Watch()
        self._jobs: dict[str, slurm.JobState] | None = {}
        self._asked = float("-inf")

    def states(self) -> dict[str, RunState]:
        """The state of every run now, by id."""
        open_runs = [run_id for run_id in self._run_ids if run_id not in self._finished]
        present = {path.name for path in self._results.glob("*.parquet")}  # one question to a slow file system
        ended = [run_id for run_id in open_runs if run_path(self._results, run_id).name in present]
        for run_id, outcome in read_outcomes(self._results, ended).items():
            if outcome is not None:
                self._finished[run_id] = _finished(outcome)
        open_runs = [run_id for run_id in open_runs if run_id not in self._finished]
        handed = _by_run(submissions(self._results), set(open_runs)) if open_runs else {}
        self._ask_slurm({job for places in handed.values() for one, job in places if one.kind == "slurm"})
        unfinished = {run_id: self._unfinished(run_id, handed.get(run_id, [])) for run_id in open_runs}
        return {run_id: self._finished.get(run_id) or unfinished[run_id] for run_id in self._run_ids}

    def _ask_slurm(self, jobs: set[str]) -> None:
        if jobs and time.monotonic() - self._asked >= SECONDS_BETWEEN_QUESTIONS:
            self._jobs = slurm.job_states(jobs)
            self._asked = time.monotonic()

    def _unfinished(self, run_id: str, places: list[tuple[Submission, str]]) -> RunState:
        """The state of a run without a result, handed to `places`."""
        files = RunFiles(self._results, run_id)
        holder = lease.read(files.lease)
        if holder is not None and lease.is_alive(files.lease, holder, self._is_job_alive, self.watch):
            return _running(files)
        ends = [self._place_state(one, job) for one, job in places]
        if "live" in ends:
            return RunState("preempted" if files.checkpoints.exists() else "queued")
        if "unknown" in ends:
            return RunState("queued", error="SLURM does not answer.")
        last = next((end for end in reversed(ends) if isinstance(end, RunState)), None)
        return _with_log(last, files) if last else RunState("waiting")

    def _is_job_alive(self, job: str, restart: int) -> bool | None:  # noqa: ARG002 (squeue does not tell lives apart)
        state = None if self._jobs is None else self._jobs.get(job)
        return None if state is None else state.is_live

    def _place_state(self, submission: Submission, job: str) -> RunState | Literal["live", "unknown", "gone"]:
        """What a job that holds an unfinished run says of it: it may come to it yet, nobody knows, or it ended."""
        if submission.kind == "local":
            alive = submission.process and Process(**submission.process).lives()
            return "gone" if alive is False else "live"
        if self._jobs is None:
            return "unknown"
        state = self._jobs.get(job)
        if state is None:
            return RunState("failed", error=f"SLURM no longer knows its job {job}, and does not say how it ended.")
        if state.is_live:
            return "live"
        return RunState(_ENDINGS.get(state.state, "failed"), error=f"SLURM says {state.state} of its job {job}.")


def _running(files: RunFiles) -> RunState:
    progress = files.read_progress()
    if progress is None:
        return RunState("running")
    return RunState("running", worker=progress.pop("worker"), progress=progress)


def _with_log(state: RunState, files: RunFiles) -> RunState:
    where = f" Its log is {files.log}." if files.log.exists() else f" Logs are in {files.log.parent}."
    return replace(state, error=f"{state.error}{where}")


def look(results: Path, run_id: str) -> RunState:
    """The state of one run now. A damaged result counts as failed and says so."""
    return Survey(results, [run_id]).states()[run_id]


def _finished(outcome: Outcome | UserError) -> RunState:
    if isinstance(outcome, UserError):
        return RunState("failed", error=str(outcome), recorded=True)
    measure = None
    if outcome.test_perplexity is not None:
        measure = f"test perplexity {outcome.test_perplexity:.1f}"
    elif outcome.test_accuracy is not None:
        measure = f"test accuracy {outcome.test_accuracy:.1%}"
    return RunState(outcome.status, measure=measure, error=outcome.error, recorded=True)


def _by_run(every: Collection[Submission], wanted: set[str]) -> dict[str, list[tuple[Submission, str]]]:
    """Run id -> the submissions and jobs that hold it, the latest last."""
    found: dict[str, list[tuple[Submission, str]]] = {}
    for submission in every:
        for job, run_ids in submission.jobs.items():
            for run_id in wanted.intersection(run_ids):
                found.setdefault(run_id, []).append((submission, job))
    return found
