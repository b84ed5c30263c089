# PYTHON_ARGCOMPLETE_OK
"""`python -m harness.train key=value ...`: one run, in this process, without a sweep.

    python -m harness.train task=listops neuron.leak=0.9 seed=1
    python -m harness.train task=speed neuron.solver=pmbc        a measurement, which trains nothing
    python -m harness.train task=listops robustness=standard     the run of the same settings under corruptions
    python -m harness.train neuron.leak=0.9 dry_run=true         its id, and whether it would be run
    python -m harness.train neuron.leak=0.9 show=config          its resolved configuration
    torchrun --nproc-per-node=2 -m harness.train ...             two processes, which share every batch

The result is stored like any other; a run with the same id is not run again unless retry=true.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness.cli import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 1 when the run failed."""
    return run_command("harness.train", __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
