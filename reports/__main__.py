"""`python -m reports NAME`: write the report of a sweep. Without a name: list the sweeps there are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.build import build_report
from results.store import ResultError, manifest_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status. The last line of the output is the page's path."""
    parser = argparse.ArgumentParser(prog="python -m reports", description="Write the HTML report of a sweep.")
    parser.add_argument("name", nargs="?", help="the sweep, e.g. ablation_refractory; without it, sweeps are listed")
    parser.add_argument("--results", type=Path, default=Path("results/runs"), help="results folder (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("reports/html"), help="folder of the pages (%(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.name is None:
        return _list_sweeps(chosen.results)
    try:
        page = build_report(chosen.name, chosen.results, chosen.out)
    except ResultError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{page.absolute()}\n")
    return 0


def _list_sweeps(results: Path) -> int:
    names = sorted(path.stem for path in manifest_path(results, "any").parent.glob("*.json"))
    if not names:
        sys.stderr.write(f"No sweep has been run in {results}. Run python -m harness.sweep +sweep=NAME first.\n")
        return 1
    sys.stdout.write("Sweeps with results; python -m reports NAME writes the report of one:\n")
    sys.stdout.writelines(f"  {name}\n" for name in names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
