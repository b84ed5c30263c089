# PYTHON_ARGCOMPLETE_OK
"""`python -m harness.tune +sweep=NAME budget=K`: tune every variant of a sweep equally, before the sweep.

    python -m harness.tune +sweep=ablation_neuron budget=8          8 trials for every variant on every task
    python -m harness.tune +sweep=NAME budget=8 task=listops        narrowed like the sweep itself
    python -m harness.tune +sweep=NAME budget=8 seed=1000,1001      each trial with two seeds, not the sweep's own
    python -m harness.tune +sweep=NAME budget=8 sampler=random      uniform points, not a Sobol sequence
    python -m harness.tune +sweep=NAME budget=8 dry_run=true        which trials, and which are finished
    python -m harness.sweep +sweep=NAME tuned=true                  the sweep with what was chosen

All variants try the same points. What is tuned stands in the sweep file (`tune`), or in sweeps/tune/default.yaml. The
trials never see the test set. A larger budget later goes on where the smaller one ended.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness.cli import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 0 when every variant has a finished trial, else 1."""
    return run_command("harness.tune", __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
