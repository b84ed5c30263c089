"""A place on the tests' SLURM to run sweeps in."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from spike_ssm.harness.state import lease
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.state.submissions import submissions
from spike_ssm.harness.state.survey import RunState, Survey
from spike_ssm.harness.sweep import main
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.store import read_manifest

PATIENCE_S = 240.0
"""How long a test waits at most, s: the other tests may run beside it."""

SMALL = (
    *("task.min_length=3", "task.max_length=40", "task.train=640", "task.validation=32", "task.test=32"),
    *("model.layers=1", "model.channels=16", "model.state_size=4"),
    *("optim.epochs=20", "optim.batch_size=16", "optim.warmup_epochs=0.5"),
    *("launcher=slurm", "launcher.threads=1", "launcher.runs_per_job=1", "launcher.memory_gb=1"),
    *("launcher.grace_seconds=20", "launcher.timeout_minutes=60", "timing=false"),
)
"""A run of some seconds in a job of its own."""


def slurm_command(*words: str) -> str:
    """What a command of SLURM prints."""
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


def wait_until(what: Callable[[], Any], why: str, patience: float = PATIENCE_S) -> Any:
    """The first true value of `what`."""
    deadline = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited in vain for {why}"
        time.sleep(0.2)
    return found


@dataclass(frozen=True)
class Site:
    """A working directory with a cache of prepared data that all sites share. `sweep` runs sweep `mini` there."""

    folder: Path
    cache: Path

    @property
    def results(self) -> Path:
        """Where results lie."""
        return self.folder / "results"

    def words(self, *words: str) -> list[str]:
        """The arguments of `python -m harness.sweep` for the sweep `mini` with small settings and `words`."""
        paths = [f"paths.{which}={self.folder / which}" for which in ("results", "reports")]
        given = [word for word in SMALL if word.split("=")[0] not in {each.split("=")[0] for each in words}]
        fixed = ["--config-dir", str(self.folder), "+sweep=mini", f"paths.cache={self.cache}", "estimate=false", *paths]
        return [*fixed, *given, *words]

    def sweep(self, *words: str) -> int:
        """Run the sweep with `words`; its exit status."""
        return main(self.words(*words))

    def submit(self, *words: str) -> str:
        """Submit a sweep of one run without waiting; its id."""
        assert self.sweep("wait=false", *words) == 0
        return self.runs()[-1]

    def runs(self) -> list[str]:
        """The ids of the sweep's runs."""
        return [run.id for run in read_manifest(self.results, "mini").runs]

    def state(self, run_id: str) -> RunState:
        """What is known of a run."""
        return Survey(self.results, [run_id]).states()[run_id]

    def wait(self, run_id: str, what: Callable[[RunState], Any], patience: float = PATIENCE_S) -> RunState:
        """The first state of the run for which `what` is true."""
        survey, deadline = Survey(self.results, [run_id]), time.monotonic() + patience
        while not what(state := survey.states()[run_id]):
            assert time.monotonic() < deadline, f"waited in vain; the run is {state}\n{self.log(run_id)}"
            time.sleep(0.2)
        return state

    def begun(self, run_id: str, share: float = 0.05) -> float:
        """How much of its training is done, once it is more than `share`."""
        state = self.wait(run_id, lambda state: state.progress is not None and state.progress["done"] > share)
        assert state.progress is not None
        done: float = state.progress["done"]
        return done

    @contextmanager
    def suspended(self, run_id: str, share: float = 0.05) -> Iterator[psutil.Process]:
        """Begun as in `begun`, its process then waits, to meet a fault in the middle on a machine of any speed.

        It goes on where the block ends, or earlier, with a signal that SLURM sends: a SIGCONT comes before it.
        """
        self.begun(run_id, share)
        process = psutil.Process(self.holder(run_id))
        process.suspend()
        try:
            yield process
        finally:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def done(self, run_id: str) -> dict[str, Any]:
        """Its result, when it is done."""
        self.wait(run_id, lambda state: state.is_finished)
        row = read_run(run_path(self.results, run_id))
        assert row["status"] == "done", row["error"]
        return row

    def log(self, run_id: str) -> str:
        """What the run printed."""
        path = self.results / "logs" / f"{run_id}.log"
        return path.read_text() if path.exists() else ""

    def jobs(self) -> list[str]:
        """The SLURM jobs of this site's submissions, the latest last."""
        return [job for one in submissions(self.results) for job in one.jobs]

    def holder(self, run_id: str) -> int:
        """The number of the process that is at the run."""
        holder = lease.read(RunFiles(self.results, run_id).lease)
        assert holder is not None
        assert holder.process is not None
        return holder.process.pid
