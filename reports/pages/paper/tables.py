"""The page's tables as text, from their cells: up to five lines a published row, one where it has no counterpart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from spike_ssm.reports.pages.paper.cells import Cell, Status
from spike_ssm.reports.pages.paper.commands import commands
from spike_ssm.reports.pages.paper.definition import Column, Entry, PaperTable
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, count, estimate, few_seeds, listing, number

SECONDARY = "\N{DOUBLE DAGGER}"
_NBSP = "\N{NO-BREAK SPACE}"
SHARED = "\N{DAGGER}"
PUBLISHED, OURS, DIFFERENCE, STATUS, PROTOCOL = "published", "ours", "difference", "status", "protocol"

Cells = Mapping[tuple[str, str], Cell]


@dataclass(frozen=True)
class Shown:
    """A table of the page with what belongs to it."""

    name: str
    table: Table
    sources: tuple[tuple[int, str], ...]  # number -> where the figures were read
    missing: tuple[str, ...]  # the commands that fill what is missing
    numbers: pd.DataFrame  # one row a cell, for the CSV

    @property
    def alone(self) -> Table:
        """The table with its sources, for a file of its own."""
        sources = tuple(f"[{place}] {source}." for place, source in self.sources)
        return replace(self.table, notes=(*self.table.notes, *sources))


def shown(table: PaperTable, cells: Cells, numbering: dict[str, int]) -> Shown:
    """The table as text. `numbering` maps sources to their numbers and gains the new ones."""
    for entry in table.entries:
        numbering.setdefault(entry.source, len(numbering) + 1)
    rows = [row for entry in table.entries for row in _rows(table, entry, cells, numbering[entry.source])]
    headings = (*(Heading(_heading(table, column)) for column in table.columns), Heading("source"))
    sources = {numbering[entry.source]: entry.source for entry in table.entries}
    return Shown(
        table.name,
        Table(
            table.title,
            "Model" if not table.timing else "Method",
            headings,
            tuple(rows),
            tuple(_notes(table, cells)),
            whole=True,
        ),
        tuple(sorted(sources.items())),
        tuple(dict.fromkeys(commands(table, _missing(table, cells)))),
        _numbers(table, cells),
    )


def _heading(table: PaperTable, column: Column) -> str:
    return f"L = {int(column.name):,}" if table.timing else column.name


def _rows(table: PaperTable, entry: Entry, cells: Cells, source: int) -> list[Row]:
    line = [cells[entry.name, column.name] for column in table.columns]
    mark = f" {SECONDARY}" if entry.secondary else ""
    title = f"Source: {entry.source}." + (f" {entry.note}." if entry.note else "")
    published = [_published(cell, table.digits) for cell in line]
    head = Row(
        f"{entry.name}{mark}", (*published, f"[{source}]"), reference=entry.runs is None, title=title, kind=PUBLISHED
    )
    if entry.runs is None:
        return [head]
    remarks = " ".join(dict.fromkeys(filter(None, [*entry.apart.values(), *(cell.remark for cell in line)])))
    rows = [head]
    if any(cell.ours.n for cell in line):
        rows.append(Row(OURS, (*(_ours(cell, table) for cell in line), ""), title=remarks, kind=OURS))
    if any(math.isfinite(cell.difference) for cell in line):
        differences = (number(cell.difference, table.digits, signed=True) for cell in line)
        rows.append(Row(DIFFERENCE, (*differences, ""), kind=DIFFERENCE))
    rows.append(Row(STATUS, (*(cell.status.word for cell in line), ""), kind=STATUS))
    there = (_there(column, cells[entry.name, column.name]) for column in table.columns)
    return [*rows, Row(f"{PROTOCOL} {entry.protocol}", (*there, ""), kind=PROTOCOL)]


def _there(column: Column, cell: Cell) -> str:
    """How many runs of the row's protocol there are."""
    return "" if column.mean or not cell.status.fillable else count(cell.of_protocol, "run")


def _published(cell: Cell, digits: int) -> str:
    """The figure with the decimals of its print, at most two more than the table's."""
    if math.isnan(cell.figure.value):
        return ABSENT
    step = cell.figure.rounding * 2
    return number(cell.figure.value, max(0, round(-math.log10(step))) if step else digits)


def _ours(cell: Cell, table: PaperTable) -> str:
    if not cell.ours.n:
        return ABSENT
    values = few_seeds(cell.ours, digits=table.digits)
    value = number(cell.ours.mean, table.digits) if values else estimate(cell.ours, digits=table.digits)
    said = [f"n{_NBSP}={_NBSP}{cell.ours.n}{f': {values}' if values else ''}"]
    said += [cell.scale] if cell.scale != "paper" else []
    return f"{value} ({', '.join(said)}){f' {SHARED}' if table.timing and cell.shared else ''}"


def _missing(table: PaperTable, cells: Cells) -> dict[str, list[Entry]]:
    """Column -> the entries whose cell has no runs at the paper scale with the protocol's settings."""
    unfilled = (Status.NOT_RUN, Status.FAILED, Status.SMALLER, Status.OTHER_SETTINGS)
    return {
        column.name: [
            entry
            for entry in table.entries
            if entry.runs is not None and not column.mean and cells[entry.name, column.name].status in unfilled
        ]
        for column in table.columns
    }


def _notes(table: PaperTable, cells: Cells) -> list[str]:
    notes = []
    if any(entry.secondary for entry in table.entries):
        notes.append(f"{SECONDARY} Quoted by a later text, not read in the paper itself.")
    notes += [f"{entry.name}: {entry.note}." for entry in table.entries if entry.note]
    if any(column.figure == "speedup" for column in table.columns):
        notes.append("Where no speed-up is printed, the published one is from its milliseconds.")
    apart: dict[str, list[str]] = {}
    for entry in table.entries:
        for reason in dict.fromkeys(entry.apart.values()):
            columns = [name for name, each in entry.apart.items() if each == reason]
            where = "" if len(columns) == len(table.columns) else f" ({listing(columns)})"
            apart.setdefault(reason, []).append(entry.name + where)
    notes += [f"Ours, {listing(names)}: {reason}" for reason, names in apart.items()]
    notes += [f"Ours, {column.name}: {column.apart}" for column in table.columns if column.apart]
    if any(cell.status is Status.CONSISTENT for cell in cells.values()):
        limit = number(table.widest, 1)
        notes.append(f"An interval is called too wide where its half width is above {limit}; the limit is ours.")
    means = {column.name: column.mean for column in table.columns}
    for (model, column), cell in cells.items():
        if cell.remark and cell.ours.n and not means[column]:
            notes.append(f"{model}, {column}: {cell.remark}")
    if table.timing and any(cell.shared for cell in cells.values()):
        notes.append(f"{SHARED} Taken while others used the machine: do not compare it.")
    devices = {run.device for cell in cells.values() for run in cell.runs}
    if table.timing and devices:
        notes.append(f"Our device: {', '.join(sorted(devices))}.")
    return list(dict.fromkeys(notes))


def _numbers(table: PaperTable, cells: Cells) -> pd.DataFrame:
    """One row a cell with full precision, in the unit of the table's title or column."""
    entries = {entry.name: entry for entry in table.entries}
    return pd.DataFrame(
        [
            {
                "table": table.name,
                "model": model,
                "column": column,
                "published": cell.figure.value,
                "published_rounding": cell.figure.rounding,
                "source": entries[model].source,
                "secondary": entries[model].secondary,
                "ours": cell.ours.mean,
                "ours_half_interval": cell.ours.half,
                "ours_lowest": cell.ours.least,
                "ours_highest": cell.ours.most,
                "seeds": cell.ours.n,
                "scale": cell.scale,
                "difference": cell.difference,
                "status": cell.status.word,
                "remark": cell.remark,
                "protocol": entries[model].protocol,
                "runs_of_protocol": cell.of_protocol,
                "fill": "".join(commands(table, {column: [entries[model]]} if cell.status.fillable else {})),
                "runs": " ".join(run.id for run in cell.runs),
            }
            for (model, column), cell in cells.items()
        ]
    )
