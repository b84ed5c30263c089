# PYTHON_ARGCOMPLETE_OK
"""`python -m harness.study NAME`: a registered study in one command: tune, run, evaluate robustness, report.

    python -m harness.study neurons                                 at the laptop scale
    python -m harness.study neurons scale=gpu launcher=slurm        the same study where the machines are
    python -m harness.study neurons dry_run=true                    what would be run
    python -m harness.study refractoriness                          at the one scale that it is registered for
    python -m harness.study NAME register=true                      write down its runs before they run

What is asked, run and counted as an answer stands in sweeps/study/NAME.yaml and the sweeps it names, before anything
runs: nothing that decides an outcome can be set on the command line. The same command goes on where it was stopped.
What register=true wrote to sweeps/study/registered/NAME.json the study is held to: a sweep, a setup or a default that
was changed since is refused with the difference. A study that names its scale runs nothing that is not registered.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness.cli import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 0 when all of the study is done, else 1."""
    return run_command("harness.study", __doc__, arguments, named=True)


if __name__ == "__main__":
    sys.exit(main())
