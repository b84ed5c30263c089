"""`python -m harness.export RUN --nir FILE`: a finished run's network as a file for other programs.

    python -m harness.export leaks/0.5/0 --nir leaks.nir

RUN is an id, SWEEP/VARIANT/SEED or SWEEP/TASK/VARIANT/SEED. FILE is in the format of NIR, the Neuromorphic Intermediate
Representation; docs/interchange.md says which networks it can have, and what its nodes compute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness.cli import work_of
from spike_ssm.results.errors import exit_status
from spike_ssm.results.store import RESULTS, results_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 1 when there is no such run, or its network cannot be exported."""
    parser = argparse.ArgumentParser(
        "harness.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", help="a finished run whose weights were kept")
    parser.add_argument("--nir", type=Path, required=True, metavar="FILE", help="the file, replaced if it exists")
    parser.add_argument("--results", type=results_folder, default=str(RESULTS), help="the results folder (%(default)s)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: work_of("harness.export")(options.run, options.nir, options.results))


if __name__ == "__main__":
    sys.exit(main())
