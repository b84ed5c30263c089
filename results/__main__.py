"""`python -m results`: finished sweeps as one file, and back, and what a file from somebody else is worth.

python -m results pack study_neurons robustness_study_neurons --to study.parquet
python -m results pack study_neurons --weights --to study.parquet       with the trained networks, which takes more room
python -m results unpack study.parquet --to study                 then: python -m reports study_neurons --results study
python -m results verify theirs.parquet ours.parquet            does all that they say agree? Nothing is written
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from spike_ssm.results.errors import UserError, exit_status
from spike_ssm.results.names import count
from spike_ssm.results.packed import pack, unpack
from spike_ssm.results.store import RESULTS
from spike_ssm.results.verify.packs import check_packs


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
    packing.add_argument("--without-scores", action="store_true", help="leave out the probabilities of predictions")
    unpacking = commands.add_parser("unpack", help="put them back into a results folder")
    unpacking.add_argument("file", type=Path)
    unpacking.add_argument("--to", type=Path, default=RESULTS, help="the results folder (%(default)s)")
    verifying = commands.add_parser("verify", help="check files that others packed; 1 is the status where one is wrong")
    verifying.add_argument("files", nargs="+", type=Path, metavar="PACK")
    verifying.add_argument(
        "--beside", type=Path, metavar="FOLDER", help="compare them with the packs there too, which are not judged"
    )
    options = parser.parse_args(arguments)
    work = {"pack": _pack, "unpack": _unpack, "verify": _verify}
    return exit_status(lambda: work[options.command](options))


def _pack(options: argparse.Namespace) -> int:
    folder, file = options.results.expanduser().absolute(), options.to.expanduser().absolute()
    count = pack(folder, options.sweeps, file, weights=options.weights, scores=not options.without_scores)
    print(f"{count} runs: {options.to}")
    return 0


def _unpack(options: argparse.Namespace) -> int:
    manifests = unpack(options.file.expanduser().absolute(), options.to.expanduser().absolute())
    print(f"{', '.join(manifest.name for manifest in manifests)}: {options.to}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    folder = options.beside and options.beside.expanduser()
    if folder and not folder.is_dir():
        raise UserError(f"{folder} is no folder: name one with packs to compare with.")
    beside = sorted(folder.glob("*.parquet")) if folder else []
    checked, between = check_packs([file.expanduser() for file in options.files], beside)
    faults = [*(fault for each in checked for fault in each.faults), *(each.sentence for each in between)]
    for fault in faults:
        print(fault)
    runs = count(sum(each.looked_at for each in checked), "run")
    wrong = f"{count(len(faults), 'thing')} {'is' if len(faults) == 1 else 'are'} wrong"
    print(f"{runs} checked, {f'and {wrong}' if faults else 'all as they should be'}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
