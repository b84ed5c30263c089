"""The reports' command line.

    python -m reports                       an index of the sweeps there are
    python -m reports NAME                  the report of a sweep
    python -m reports NAME --follow         written anew as results come, until every run has one; Ctrl-C ends it
    python -m reports paper                 the papers' tables beside ours, from every run there is
    python -m reports compare A B           two sweeps, variants matched by name
    python -m reports compare A --against FOLDER
                                            one sweep in two results folders, of two commits for instance
    python -m reports leaderboard FOLDER... the packed results of anybody in these folders, checked, side by side

The last line of the output is the page's path.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spike_ssm.reports.render.files import FORMATS, formats, page_path
from spike_ssm.results.errors import UserError, exit_status
from spike_ssm.results.store import RESULTS

if TYPE_CHECKING:
    from spike_ssm.reports.pages.follow import News

MEASURED = Path("results/measured")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m reports", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", help="a sweep, e.g. ablation_refractory; or paper, compare or leaderboard")
    parser.add_argument("compared", nargs="*", metavar="A B", help="compare: the sweeps; leaderboard: folders")
    parser.add_argument("--results", type=Path, default=RESULTS, help="results folder (%(default)s)")
    parser.add_argument("--against", type=Path, help="compare: the results folder of the second (that of the first)")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="paper: a further folder of runs (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("reports/html"), help="folder of the pages (%(default)s)")
    parser.add_argument("--follow", action="store_true", help="a sweep: write its page anew as results come")
    parser.add_argument("--format", default=",".join(FORMATS), help="files to write (%(default)s)")
    chosen = parser.parse_args(arguments)

    def show() -> int:
        page = _page(chosen)
        sys.stdout.write(f"{page.absolute()}\n")
        return 0

    return exit_status(show)


def _page(chosen: argparse.Namespace) -> Path:
    """Write what was asked for; returns the page's path. Raises `UserError`."""
    from spike_ssm.reports.pages.compare import build_comparison  # seconds of plotting libraries, not for --help
    from spike_ssm.reports.pages.leaderboard.page import build_leaderboard
    from spike_ssm.reports.pages.paper.page import build_paper
    from spike_ssm.reports.pages.sweep import build_report, follow_report

    wanted, (name, names) = formats(chosen.format), (chosen.name, chosen.compared)
    if chosen.follow and (name in (None, "compare", "paper", "leaderboard") or names):
        raise UserError("--follow takes the name of a sweep: python -m reports NAME --follow.")
    if name == "compare":
        if not 1 <= len(names) <= 2 or (len(names) == 1 and chosen.against is None):
            raise UserError("compare takes two sweeps, or one and --against FOLDER with the other results.")
        second = names[-1], chosen.against or chosen.results
        return build_comparison((names[0], chosen.results), second, chosen.out, wanted)
    if name == "leaderboard":
        if not names or chosen.against:
            raise UserError("leaderboard takes folders with packed results: python -m reports leaderboard FOLDER...")
        return build_leaderboard([Path(each).expanduser() for each in names], chosen.out, wanted)
    if names or chosen.against:
        raise UserError(
            "Only compare takes further names or --against, and leaderboard folders; python -m reports --help lists "
            "the forms."
        )
    if name == "paper":
        return build_paper([chosen.results, chosen.measured], chosen.out, wanted)
    if name is None:
        return _index(chosen.results, chosen.out)
    if chosen.follow:
        print(f"Report: {page_path(name, chosen.out).absolute()}, written anew as results come.", flush=True)
        return follow_report(name, chosen.results, chosen.out, wanted, _say)
    return build_report(name, chosen.results, chosen.out, wanted)


def _say(news: News, worked_out: list[str]) -> None:
    """Print how far a followed sweep is."""
    drawn = f"; drawn anew: {', '.join(worked_out)}" if worked_out else ""
    print(f"{len(news.ended)} of {len(news.planned)} runs have a result{drawn}.", flush=True)


def _index(results: Path, out: Path) -> Path:
    from spike_ssm.reports.pages.index import build_index, listed

    sweeps, problems = listed(results)
    if not sweeps and not problems:
        raise UserError(
            f"No sweep has been run in {results}. Run python -m harness.sweep +sweep=NAME first. "
            "python -m reports paper works without any run."
        )
    sys.stdout.write("Sweeps with results; python -m reports NAME writes the report of one:\n")
    sys.stdout.writelines(f"  {sweep.manifest.name}\n" for sweep in sweeps)
    return build_index(sweeps, problems, out)


if __name__ == "__main__":
    sys.exit(main())
