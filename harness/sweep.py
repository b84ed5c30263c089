# PYTHON_ARGCOMPLETE_OK
"""`python -m harness.sweep +sweep=NAME`: run a sweep, collect its results, render its report.

    python -m harness.sweep +sweep=ablation_refractory              the whole sweep
    python -m harness.sweep +sweep=ablation_refractory task=listops seed=0 refractory=none,fixed
                                                                    narrowed: axes take one value or a list
    python -m harness.sweep +sweep=NAME dry_run=true                which runs, which are finished, what the others cost
    python -m harness.sweep +sweep=NAME show=config                 the resolved configuration of a run
    python -m harness.sweep +sweep=NAME max_hours=2                 unless that would take longer; asks at a terminal
    python -m harness.sweep +sweep=NAME estimate=false              without an estimate of the cost
    python -m harness.sweep +sweep=NAME retry=true                  failed runs again
    python -m harness.sweep +sweep=NAME planned=NAME                of these runs, those that were asked for before
    python -m harness.sweep +sweep=NAME wait=false                  submit and return; see harness.status
    python -m harness.sweep +sweep=robustness of=NAME                a sweep's trained networks under corruptions
    python -m harness.sweep +sweep=NAME tuned=true                  with the settings that harness.tune chose
    python -m harness.sweep +sweep=NAME scale=gpu launcher=slurm neuron.leak=0.9
                                                                    any setting of sweeps/, for every run

Finished runs (by id, a hash of all that decides their outcome) are not run again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spike_ssm.harness.cli import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 0 when every run of the sweep is done, else 1."""
    return run_command("harness.sweep", __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
