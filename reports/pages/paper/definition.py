"""The tables of the page: figures from results/published.yaml, our runs for them from results/reproduction.yaml."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf

from spike_ssm.reports.loading.published import speed_table
from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError

FILE = "results/reproduction.yaml"
MEASURES = (
    "test_accuracy", "test_perplexity", "firing_rate", "times_loop", "train_ms_per_step", "determined", "energy_saving",
)  # fmt: skip
"""Columns of our runs that a figure may be set beside; `reports.pages.paper.runs` makes the last two from others."""

Conditions = Mapping[str, Any]
"""Dotted setting -> the value that a run must have."""


@dataclass(frozen=True)
class Figure:
    """A published figure in the unit shown, with the most that rounding in print can hide."""

    value: float  # NaN where nothing is known
    rounding: float  # half a unit of the last printed digit


@dataclass(frozen=True)
class Column:
    """A column: which of our measures it shows, and of which runs."""

    name: str
    figure: str  # key of the published row
    measure: str  # one of `MEASURES`
    times: float  # from our unit to the shown one
    published_times: float  # from the published unit to the shown one
    where: Conditions
    fill: str  # words of the command that fills it
    apart: str  # why a difference in it is no verdict; empty where the task is set up as published
    mean: bool  # the average of the columns before it


@dataclass(frozen=True)
class Entry:
    """A published row, and which of our runs stand for it."""

    name: str
    figures: Mapping[str, Figure]  # by column
    source: str
    note: str
    runs: Conditions | None  # None: it has no counterpart here
    fill: str
    apart: str  # why a difference to it is no verdict; empty where the settings are the published ones

    @property
    def secondary(self) -> bool:
        """Whether the figures were read in a later text that quotes them."""
        return "secondary" in self.source


@dataclass(frozen=True)
class PaperTable:
    """A table of the page."""

    name: str
    title: str
    sweep: str
    digits: int
    widest: float  # half width of our interval, in the unit shown, up to which `reproduced` may be said
    timing: bool
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Definition:
    """All tables, and for each task the settings a run must have to be set against a published figure."""

    tables: tuple[PaperTable, ...]
    protocols: Mapping[str, Conditions]
    free: tuple[str, ...]  # settings that no table names


@cache
def definition() -> Definition:
    """The packaged definition. Raises `UserError`, naming the place and what is expected there."""
    return parsed(_packaged("reproduction.yaml"), _packaged("published.yaml"))


def _packaged(name: str) -> Any:
    return OmegaConf.to_container(
        OmegaConf.create(files("spike_ssm.results").joinpath(name).read_text(encoding="utf-8"))
    )


@dataclass(frozen=True)
class _File:
    """What the file holds."""

    tables: dict[str, _TableFile]
    protocols: dict[str, Any]
    free: list[str] = field(default_factory=list)
    parts: Any = None  # what several tables refer to


@dataclass(frozen=True)
class _TableFile:
    title: str
    published: str  # a table of published.yaml
    sweep: str
    columns: dict[str, Any]
    rows: dict[str, Any]
    digits: int = 2
    widest: float = 1
    timing: bool = False
    shows: dict[str, Any] = field(default_factory=dict)  # of all columns
    spiking_only: bool = False


@dataclass(frozen=True)
class _ColumnFile:
    figure: str
    measure: str
    times: float = 1
    published_times: float = 1
    where: Any = None
    fill: str = ""
    apart: str = ""
    mean: bool = False


@dataclass(frozen=True)
class _RowFile:
    runs: Any
    fill: str = ""
    apart: str = ""


def parsed(content: Any, published: Any) -> Definition:
    """The definition in `content`, with its figures from `published`; both as read from YAML. Raises `UserError`."""
    found = read_document(_File, content, FILE)
    tables = tuple(_table(name, each, published) for name, each in found.tables.items())
    protocols = {task: conditions(each, f"protocols.{task}") for task, each in found.protocols.items()}
    return Definition(tables, protocols, tuple(found.free))


def conditions(content: Any, where: str) -> dict[str, Any]:
    """A mapping of dotted settings, or a list of them of which a later one wins. Raises `UserError`."""
    if isinstance(content, list):
        merged: dict[str, Any] = {}
        for part in content:
            merged |= conditions(part, where)
        return merged
    if not isinstance(content, dict) or not all("." in str(key) for key in content):
        raise _wrong(where, f"must map dotted settings such as neuron.name to values, but it is {content!r}")
    return {str(key): value for key, value in content.items()}


def _table(name: str, content: _TableFile, published: Any) -> PaperTable:
    where = f"tables.{name}"
    if content.published not in published:
        raise _wrong(where, f"published: {content.published!r} is no table of published.yaml")
    source = published[content.published]
    places = {key: f"{where}.columns.{key}" for key in content.columns}
    columns = tuple(_column(key, each, content.shows, places[key]) for key, each in content.columns.items())
    rows = {str(row.get("model", row.get("method"))): row for row in source["rows"]}
    if unknown := set(content.rows) - set(rows):
        raise _wrong(f"{where}.rows", f"{sorted(unknown)} are not in published.yaml, which has {', '.join(rows)}")
    if content.spiking_only:
        rows = {key: row for key, row in rows.items() if row.get("spiking", True)}
    entries = [
        _entry(key, row, content.rows.get(key), columns, source, f"{where}.rows.{key}") for key, row in rows.items()
    ]
    shown = tuple(entry for entry in entries if entry.runs is not None or _known(entry))
    return PaperTable(
        name, content.title, content.sweep, content.digits, float(content.widest), content.timing, columns, shown
    )


def _column(name: str, content: Any, shows: Mapping[str, Any], where: str) -> Column:
    found = read_document(_ColumnFile, {**shows, **content} if isinstance(content, Mapping) else content, FILE, where)
    if found.measure not in MEASURES:
        raise _wrong(where, f"measure: {found.measure!r} is not one of {', '.join(MEASURES)}")
    if found.mean == (found.where is not None):
        raise _wrong(where, "needs either `where`, the settings of its runs, or `mean: true`")
    return Column(
        name, found.figure, found.measure, float(found.times), float(found.published_times),
        conditions(found.where or {}, f"{where}.where"), found.fill, found.apart, found.mean,
    )  # fmt: skip


def _entry(
    name: str, row: Mapping[str, Any], ours: Any, columns: tuple[Column, ...], source: Mapping[str, Any], where: str
) -> Entry:
    if not row.get("source"):
        raise UserError(f"results/published.yaml: the row {name!r} names no source; every figure needs one.")
    figures = {column.name: _figure(name, row, column, source, where) for column in columns}
    origin, note = str(row["source"]), str(row.get("note", ""))
    if ours is None:
        return Entry(name, figures, origin, note, None, "", "")
    found = read_document(_RowFile, ours, FILE, where)
    return Entry(name, figures, origin, note, conditions(found.runs, f"{where}.runs"), found.fill, found.apart)


def _figure(name: str, row: Mapping[str, Any], column: Column, source: Mapping[str, Any], where: str) -> Figure:
    """The figure of a row in a column: of a list the place that the column has in the source, else the value itself."""
    value = row.get(column.figure)
    if isinstance(value, list) or column.figure == "speedup":
        names = [str(each) for each in source["columns"]]
        if column.name not in names:
            raise _wrong(where, f"the column {column.name!r} is not in published.yaml, which has {', '.join(names)}")
        if column.figure == "speedup":  # as printed, else from the printed milliseconds
            return Figure(speed_table().methods[name].times_loop.get(int(column.name), math.nan), 0.0)
        value = value[names.index(column.name)] if value is not None else None
    if value is None:
        return Figure(math.nan, 0.0)
    decimals = max(-int(Decimal(repr(value)).as_tuple().exponent), source.get("printed", {}).get(column.figure, 0))
    return Figure(float(value) * column.published_times, 0.5 * 10.0**-decimals * column.published_times)


def _known(entry: Entry) -> bool:
    return any(math.isfinite(figure.value) for figure in entry.figures.values())


def _wrong(where: str, problem: str) -> UserError:
    return UserError(f"{FILE}: {where}: {problem}.")


def commands(table: PaperTable, missing: Mapping[str, list[Entry]]) -> Iterator[str]:
    """The command that fills a column, for each that has entries without runs."""
    ours = [entry for entry in table.entries if entry.runs is not None]
    for column in table.columns:
        wanted = missing.get(column.name, [])
        if not wanted:
            continue
        words = ["python -m harness.sweep", f"+sweep={table.sweep}", "scale=paper", column.fill]
        fills = [entry.fill for entry in wanted if entry.fill]
        if fills and len(wanted) < len(ours):
            axis = fills[0].split("=")[0]
            words.append(f"{axis}={','.join(fill.split('=')[1] for fill in fills)}")
        yield " ".join(word for word in words if word)
