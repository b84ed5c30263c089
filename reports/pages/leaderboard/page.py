"""`python -m reports leaderboard FOLDER...`: results of anybody side by side, from packs that were checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from spike_ssm.reports.loading.places import without_places
from spike_ssm.reports.pages.leaderboard.entries import gather
from spike_ssm.reports.pages.leaderboard.tables import board_table, titles
from spike_ssm.reports.render.beside import Beside
from spike_ssm.reports.render.files import FORMATS, write_all
from spike_ssm.reports.render.html import rendered
from spike_ssm.reports.render.latex import latex
from spike_ssm.reports.render.markdown import escaped, markdown
from spike_ssm.reports.render.spreadsheet import csv
from spike_ssm.reports.render.text import count

NAME = "leaderboard"


def build_leaderboard(folders: Sequence[Path], out: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Write `leaderboard.html` and its tables to `out`; returns the page's path.

    Raises `UserError` where a folder is none, or `out` cannot be written to.
    """
    found = gather(folders)
    tables = list(zip(titles(found.boards), map(board_table, found.boards), strict=True))
    beside = Beside(NAME, formats)
    entries = count(sum(len(board.entries) for board in found.boards), "entry", "entries")
    page = rendered(
        "leaderboard.html.j2",
        beside,
        tables=tables,
        between=found.between,
        problems=[without_places(problem) for problem in found.problems],
        summary=f"{entries} from {count(len(found.packs), 'file')}.",
    )
    numbers = [table.as_numbers() for _, table in tables]
    contents = {
        "html": page,
        "csv": csv(pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()),
        "md": "\n".join(f"## {escaped(name)}\n\n{markdown(table)}" for name, table in tables),
        "latex": "\n".join(latex(table) for _, table in tables),
    }
    written = write_all(out, NAME, contents, formats)
    beside.write(out)
    return written
