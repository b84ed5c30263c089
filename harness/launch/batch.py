"""The runs that a command executes under one name: what there is to do, said, done and waited for, or submitted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from spike_ssm.harness.config.command_line import Flags
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.launch.display import Display
from spike_ssm.harness.launch.launcher import launch, submit, wait
from spike_ssm.harness.launch.local_pool import runs_at_once, worker_count
from spike_ssm.harness.launch.partial_page import PartialPage, first_needed
from spike_ssm.harness.launch.time_left import Kind, TimeLeft
from spike_ssm.harness.plan.grid import GridRun, seed_by_seed
from spike_ssm.harness.run.job import Execution, Job
from spike_ssm.harness.state import lease
from spike_ssm.harness.state.learned import of_finished
from spike_ssm.harness.state.survey import RunState, Survey
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.provenance import code_version
from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.store import discard_failure, prepare_folder
from spike_ssm.results.verify.limits import is_possible

A_FEW = 2
"""Results of a kind that are read for the time that is left."""


class Batch:
    """The `runs` of one name in their results folder, and how they stood when this was made.

    labels: run id -> what people call the run; its own label where none is given. Raises `UserError` when this machine
    lacks the launcher, or the results folder cannot be written to; neither counts where nothing would be started.
    """

    def __init__(
        self, name: str, runs: Sequence[GridRun], flags: Flags, labels: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.flags = flags
        self.settings = runs[0].settings
        if not (flags.dry_run or flags.collect):
            _require_launcher(self.settings)
        folder = Path(self.settings.paths.results).expanduser().absolute()
        self.results = folder if flags.dry_run else prepare_folder(folder)
        self._labels = labels or {run.plan.id: run.label for run in runs}
        self._kinds = {run.plan.id: _kind(run) for run in runs}
        self._needed = first_needed(self._kinds)
        self._jobs = _jobs_of(seed_by_seed(runs), self.results)
        self._states = Survey(self.results, self._jobs).states()

    @property
    def todo(self) -> list[Job]:
        """Jobs of the runs that have no result yet, or have failed and are wanted again."""
        return [job for run_id, job in self._jobs.items() if self.is_to_run(self._states[run_id])]

    @property
    def ids(self) -> list[str]:
        """Ids of all its runs."""
        return list(self._jobs)

    def is_to_run(self, state: RunState) -> bool:
        """Whether a run in this state is to be executed."""
        if self.flags.retry == "only":
            return state.has_failed or state.begun or (state.status == "unknown" and not state.recorded)
        ended = state.recorded and not state.unprepared
        return not ended or (state.has_failed and bool(self.flags.retry))

    def fates(self) -> dict[str, str]:
        """Run id -> what will become of the run, in words."""
        return {
            run_id: "to run" if self.is_to_run(state) else f"skipped, {state.status}"
            for run_id, state in self._states.items()
        }

    def announce(self) -> None:
        """Print what will be done."""
        states, todo = self._states, len(self.todo)
        failed = sum(state.has_failed and not self.is_to_run(state) for state in states.values())
        at_a_time = f"{self.settings.launcher.kind}, {self._at_a_time()} at a time"
        unreadable = [state for state in states.values() if state.is_unreadable]
        unended = [state for state in states.values() if not (state.is_finished or state.recorded)]
        left = sum(not self.is_to_run(state) for state in unended)
        finished = len(states) - todo - len(unreadable) - left
        print(f"{len(states)} runs: {finished} finished earlier, {todo} to run ({at_a_time}).")
        if unreadable:
            print(f"{len(unreadable)} of them are left alone: {unreadable[0].error}")
        if failed:
            print(f"{failed} of them failed earlier; retry=true runs them again.")
        if left:
            print(f"{left} of them have no result and are left alone; the sweep's own command runs them too.")

    def page(self, page: Path) -> PartialPage:
        """The page of these runs while they go on."""
        ended = {run_id for run_id, state in self._states.items() if state.is_finished and not self.is_to_run(state)}
        return PartialPage(self.name, self.results, page, self._needed, ended)

    def clear(self, only: Collection[str] | None = None) -> list[Job]:
        """What is to do, or of it the runs of these ids, earlier failures forgotten."""
        todo = [job for job in self.todo if only is None or job.run_id in only]
        for job in todo:
            discard_failure(job.results, job.run_id)
            job.files.fault.unlink(missing_ok=True)
        return todo

    def run(self, execution: Execution, page: PartialPage | None = None, only: Collection[str] | None = None) -> None:
        """Have what is to do executed and wait for it, with a display, and the page written meanwhile.

        only: ids of runs; all that is to do without.
        """
        if todo := self.clear(only):
            labels = {job.run_id: self._labels[job.run_id] for job in todo}
            left = TimeLeft(self._kinds, self._at_a_time(), self._took_earlier(), self._seconds_of)
            learned = partial(of_finished, self.results)
            with page or nullcontext(), Display(labels, left, page, learned=learned) as display:
                again = {job.run_id for job in todo if self._is_wanted_again(self._states[job.run_id])}
                launch(todo, self.name, display, execution, again)
            self._states = self.states()

    def _took_earlier(self) -> Iterator[tuple[Kind, float]]:
        """How long finished runs took, a few of each kind."""
        read = Counter[Kind]()
        for run_id, kind in self._kinds.items():
            if self._states[run_id].status == "done" and read[kind] < A_FEW:
                read[kind] += 1
                if (seconds := self._seconds_of(run_id)) is not None:
                    yield kind, seconds

    def _seconds_of(self, run_id: str) -> float | None:
        """How long a finished run took, as its result says."""
        try:
            seconds: float | None = read_run(run_path(self.results, run_id), ["duration_s"])["duration_s"]
        except UserError:
            return None
        return seconds if is_possible("duration_s", seconds) else None

    def submit(self, execution: Execution, words: Sequence[str]) -> list[str]:
        """Have what is to do executed without waiting; words: the command line that repeats this.

        Returns the ids of what SLURM was handed.
        """
        todo = self.clear()
        return submit(todo, self.name, words, execution) if todo else []

    def jobs_of(self, ids: Collection[str]) -> list[Job]:
        """The jobs of the runs of these ids, in their order."""
        return [self._jobs[run_id] for run_id in ids]

    def collect(self) -> None:
        """Record the runs of this user that ended without a word."""
        survey = Survey(self.results, self._jobs)
        states = self._judged(survey)
        ended = [job for run_id, job in self._jobs.items() if states[run_id].record_after_s is not None]
        wait(ended, Survey(self.results, [job.run_id for job in ended], survey.watch), lambda _: None)

    def states(self) -> dict[str, RunState]:
        """The state of every run now, by id."""
        return Survey(self.results, self._jobs).states()

    def _judged(self, survey: Survey) -> dict[str, RunState]:
        """The states, once every holder that is far and silent had the time to be heard of."""
        states, until, told = survey.states(), time.monotonic() + 2 * lease.PATIENCE_S, False
        while time.monotonic() < until and any(self._is_unheard(run_id, state) for run_id, state in states.items()):
            if not told:
                print(f"Some runs were not heard of lately; whether they live is known in {lease.PATIENCE_S:.0f} s.")
                told = True
            time.sleep(lease.PATIENCE_S / lease.POLLS / 2)
            states = survey.states()
        return states

    def _is_unheard(self, run_id: str, state: RunState) -> bool:
        return state.status == "unknown" and not state.recorded and self._jobs[run_id].files.lease.exists()

    def _is_wanted_again(self, state: RunState) -> bool:
        """Whether a run in this state is to be submitted although it has a result, or somebody may have it."""
        return state.recorded or (state.status == "unknown" and bool(self.flags.retry))

    def _at_a_time(self) -> int:
        return runs_at_once(self.settings.launcher, len(self._jobs))


def _kind(run: GridRun) -> Kind:
    return Kind(run.task, run.plan.variant, run.settings.optim.epochs)


def _require_launcher(settings: Settings) -> None:
    """Raise `UserError` when this machine does not have it."""
    if settings.launcher.kind == "slurm" and not slurm.is_available():
        raise UserError("launcher=slurm, but this machine lacks SLURM's sbatch or srun. Use launcher=local.")


def _jobs_of(runs: Sequence[GridRun], results: Path) -> dict[str, Job]:
    """Jobs by run id, in the order of the runs."""
    launcher = runs[0].settings.launcher
    # a node may have other tenants
    shared = launcher.kind == "slurm" or (launcher.kind == "local" and worker_count(launcher, len(runs)) > 1)
    version = code_version()
    return {run.plan.id: Job(run.plan.id, run.settings, results, shared, version) for run in runs}
