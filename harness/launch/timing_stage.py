"""The timing stage of a sweep: when its runs have ended, each variant is timed alone, here or as one job of SLURM."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spike_ssm.harness.config.command_line import TIMING_ALONE, Flags
from spike_ssm.harness.launch import slurm_arrays
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.order import submission_folder, write_order
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.environment import SWEEP, worker_environment
from spike_ssm.harness.system.signals import out_of_earshot
from spike_ssm.results.process import Process

PROGRAM = "spike_ssm.harness.run.time_alone"
SECONDS_TO_END = 10.0
SECONDS_BETWEEN_LOOKS = 2.0
SILENCE_S = 300.0
"""SLURM is asked for so long after a job of which it says nothing."""

Work = Callable[[str, float, bool], bool]
"""`harness.run.time_alone.work`."""


@dataclass(frozen=True)
class TimingStage:
    """Times the runs of the sweep `name`, one a variant and task, as the command's flags ask for it."""

    name: str
    kind: str  # of launcher
    flags: Flags
    work: Work

    @property
    def alone(self) -> bool:
        """Whether the command is to do nothing else."""
        return self.flags.timing in TIMING_ALONE

    @property
    def wanted(self) -> bool:
        """Whether there is to be one; launcher=debug, in which nothing is as it would be, has none unless asked."""
        return self.alone or (self.flags.timing is True and self.kind != "debug")

    def run(self, jobs: Sequence[Job]) -> None:
        """Time these and wait for it; what cannot be timed is said."""
        if not self.wanted or not jobs:
            return
        if self.kind == "slurm":
            self._wait_for(self._submitted(jobs, after=[]))
        else:
            self._run_here(jobs)

    def submit(self, jobs: Sequence[Job], after: Sequence[str]) -> None:
        """Have SLURM time these once its jobs `after` have ended. Elsewhere the command that waits does so."""
        if self.wanted and self.kind == "slurm" and jobs:
            job = self._submitted(jobs, after)
            print(f"Job {job.id} times the variants afterwards, on a node of its own.")

    def _submitted(self, jobs: Sequence[Job], after: Sequence[str]) -> slurm.OwnedJob:
        again = self.flags.timing == "again"
        return slurm_arrays.submit_alone(jobs, self.name, self.work, self.flags.timing_seconds, again, after=after)

    def _wait_for(self, job: slurm.OwnedJob) -> None:
        print(f"Job {job.id} times the variants, on a node of its own; this command waits for it.", flush=True)
        heard = time.monotonic()
        while (lives := slurm.is_live(job)) is not False:
            heard = time.monotonic() if lives else heard
            if time.monotonic() - heard > SILENCE_S:
                print(f"SLURM says nothing of job {job.id}, which is waited for no longer.")
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _run_here(self, jobs: Sequence[Job]) -> None:
        """Time them in a process of its own with a worker's environment, which ends with this one; print its words."""
        folder = submission_folder(here=True)
        order = write_order(folder, jobs, max(job.settings.launcher.threads for job in jobs))
        words = [order, str(self.flags.timing_seconds), str(self.flags.timing)]
        with worker_environment(**{SWEEP: Process.current().token()}), out_of_earshot():
            process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
            )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
            status = process.wait()
        except BaseException:
            process.terminate()
            _end(process)
            raise
        finally:
            Path(order).unlink(missing_ok=True)
        if status:
            print("Timing: not all was timed; timing=only goes on where this ended.", flush=True)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
