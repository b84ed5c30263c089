"""`python -m harness.cancel SWEEP`: end the jobs of a sweep, waiting or running.

Runs that are at work save a checkpoint first; `python -m harness.retry SWEEP` goes on from there.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness.state.named import named_or_only
from spike_ssm.harness.state.submissions import submissions
from spike_ssm.harness.system import slurm
from spike_ssm.results.errors import exit_status
from spike_ssm.results.process import Process
from spike_ssm.results.store import RESULTS, results_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 1 when something could not be ended."""
    parser = argparse.ArgumentParser("harness.cancel", description=__doc__)
    parser.add_argument("sweep", nargs="?", help="its name; the only one without")
    parser.add_argument("--results", type=results_folder, default=str(RESULTS), help="the results folder (%(default)s)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _cancel(options.sweep, options.results))


def _cancel(name: str | None, results: Path) -> int:
    sweep = named_or_only(results, name).name
    ours = [submission for submission in submissions(results) if submission.sweep == sweep]
    jobs = [one.owned(job) for one in ours if one.kind == "slurm" for job in one.jobs]
    fates = slurm.fates(jobs) if jobs else {}
    live = {job.id: fate.mine for job, fate in fates.items() if fate.is_live}
    slurm.cancel(live)
    processes = [one.process for one in ours if one.kind == "local" and one.process]
    asked = [_asked_to_end(process) for process in processes if process.lives()]
    print(f"Cancelled: SLURM jobs {sum(live.values())}, local sweeps {sum(asked)}.")
    foreign = len(live) - sum(live.values()) + asked.count(False)
    if foreign:
        print(f"{foreign} jobs or local sweeps are another user's, who alone can end them, or an administrator.")
    unknown = [fate.why for fate in fates.values() if fate.state == slurm.UNKNOWN]
    if unknown:
        print(f"Of {len(unknown)} SLURM jobs nothing can be said here. {unknown[-1]}")
    elsewhere = sorted({process.host for process in processes if process.lives() is None})
    if elsewhere:
        print(f"Whether a local sweep still runs on {', '.join(elsewhere)} cannot be told from here; look there.")
    return 1 if foreign or unknown or elsewhere else 0


def _asked_to_end(process: Process) -> bool:
    """Whether the process could be asked to end; False where it is another user's."""
    try:
        os.kill(process.pid, signal.SIGTERM)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


if __name__ == "__main__":
    sys.exit(main())
