"""The files beside a page: what it links to is written, and nothing else is linked to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pandas as pd

from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.files import file_name, write_folder
from spike_ssm.reports.render.latex import latex
from spike_ssm.reports.render.spreadsheet import csv
from spike_ssm.reports.render.standalone import standalone
from spike_ssm.reports.render.table import Table


class Beside:
    """Collects the files of one page while its template asks for links to them, then writes them.

    folder: beside the page, named as `file_name` makes it. chosen: formats; a link to a file of another is empty, as
    the template has it that shows none.
    """

    def __init__(self, folder: str, chosen: Sequence[str]) -> None:
        self._folder = folder
        self._chosen = chosen
        self._contents: dict[str, Callable[[], str]] = {}
        self._links: dict[tuple[int, str], str] = {}
        self._shown: list[Table | Drawn] = []  # kept, as an `id` is that of one object only while this lives

    def csv(self, shown: Table | Drawn, stem: str) -> str:
        """Link to the numbers of a table or a figure; empty for a figure that has none."""
        if isinstance(shown, Drawn) and shown.numbers.empty:
            return ""
        return self._link(shown, stem, "csv", "csv", lambda: csv(_numbers(shown)))

    def svg(self, drawn: Drawn, stem: str) -> str:
        """Link to a figure as a file that stands alone."""
        return self._link(drawn, stem, "svg", "svg", lambda: standalone(drawn))

    def latex(self, table: Table, stem: str) -> str:
        """Link to a table in LaTeX."""
        return self._link(table, stem, "latex", "tex", lambda: latex(table))

    def write(self, out: Path) -> None:
        """Write the files that were linked to. Raises `UserError` where `out` cannot be written to."""
        write_folder(out / self._folder, {name: content() for name, content in self._contents.items()})

    def _link(self, shown: Table | Drawn, stem: str, kind: str, suffix: str, content: Callable[[], str]) -> str:
        if kind not in self._chosen:
            return ""
        if (id(shown), suffix) not in self._links:
            name = self._free(file_name(re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")), suffix)
            self._contents[name] = content
            self._links[id(shown), suffix] = f"{self._folder}/{name}"
            self._shown.append(shown)
        return self._links[id(shown), suffix]

    def _free(self, stem: str, suffix: str) -> str:
        """A file's name that no other has."""
        names = (f"{stem}_{place}.{suffix}" if place > 1 else f"{stem}.{suffix}" for place in count(1))
        return next(name for name in names if name not in self._contents)


def _numbers(shown: Table | Drawn) -> pd.DataFrame:
    return shown.as_numbers() if isinstance(shown, Table) else shown.numbers
