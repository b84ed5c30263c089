"""`python -m results`: finished sweeps as one file, and back.

python -m results pack study_neurons robustness_study_neurons --to study.parquet
python -m results pack study_neurons --weights --to study.parquet       with the trained networks, which takes more room
python -m results unpack study.parquet --to study                 then: python -m reports study_neurons --results study
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.results.errors import exit_status
from spike_ssm.results.packed import pack, unpack
from spike_ssm.results.store import RESULTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        "python -m results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write the runs of sweeps to one parquet file")
    packing.add_argument("sweeps", nargs="+", metavar="SWEEP")
    packing.add_argument("--results", type=Path, default=RESULTS, help="the results folder (%(default)s)")
    packing.add_argument("--to", type=Path, required=True, help="the file")
    packing.add_argument("--weights", action="store_true", help="take the weights along that runs kept")
    unpacking = commands.add_parser("unpack", help="put them back into a results folder")
    unpacking.add_argument("file", type=Path)
    unpacking.add_argument("--to", type=Path, default=RESULTS, help="the results folder (%(default)s)")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _pack(options) if options.command == "pack" else _unpack(options))


def _pack(options: argparse.Namespace) -> int:
    folder, file = options.results.expanduser().absolute(), options.to.expanduser().absolute()
    count = pack(folder, options.sweeps, file, weights=options.weights)
    print(f"{count} runs: {options.to}")
    return 0


def _unpack(options: argparse.Namespace) -> int:
    manifests = unpack(options.file.expanduser().absolute(), options.to.expanduser().absolute())
    print(f"{', '.join(manifest.name for manifest in manifests)}: {options.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
