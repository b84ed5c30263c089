"""`python -m harness.repeat PACK RUN`: compute a run of somebody's packed results again, and compare.

    python -m harness.repeat theirs.parquet 0123456789ab
    python -m harness.repeat theirs.parquet 0123456789ab --write          and keep the mark beside the file
    python -m harness.repeat theirs.parquet 0123456789ab launcher.gpus=1 paths.data=FOLDER

trains the run of that id from the configuration that its id is made of, in a temporary folder. The exit status is 0
where the outcome is identical, or all of it within the tolerance: another processor rounds otherwise, and training
carries that on. Settings that are given must be such as change no id: launcher, device, paths, task.path.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.harness.cli import in_good_order, work_of
from spike_ssm.results.verify.marks import MOST_POINTS

TOLERANCE = 1.0
"""Points of accuracy by which an outcome may differ to count as repeated."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status: 0 where the run was repeated."""
    parser = argparse.ArgumentParser(
        "harness.repeat", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=Path, help="a file that python -m results pack wrote")
    parser.add_argument("run", help="the id of one of its runs")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="where and how to compute it")
    parser.add_argument(
        "--tolerance", type=_points, default=TOLERANCE, metavar="POINTS", help="of accuracy (%(default)g)"
    )
    parser.add_argument("--results", type=Path, help="a folder to compute in, which is kept (a temporary one)")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="of a neuron or task that is not of this package: import it",
    )
    parser.add_argument("--write", action="store_true", help="write what came of it to PACK.repeated.json")
    options = parser.parse_args(arguments)
    return in_good_order(
        lambda: work_of("harness.repeat")(options), "With --results the same command goes on from here."
    )


def _points(text: str) -> float:
    """The tolerance that a word says. Raises ArgumentTypeError, which argparse shows."""
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not 0 <= points <= MOST_POINTS:  # which NaN is not either
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of points from 0 to {MOST_POINTS:g}")
    return points


if __name__ == "__main__":
    sys.exit(main())
