"""The tables of the page: figures from results/published.yaml, our runs for them from results/reproduction.yaml.

The settings of a row's protocol are in results/protocols.json, which is made from sweeps/protocol and held to it by a
test: reports read no sweeps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
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
    protocol: str  # whose settings of task, model and optim its runs have; empty without a counterpart
    fill: str
    apart: Mapping[str, str]  # column -> why a difference in it is no verdict; none where the set-up is the published

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
    """All tables, and what a run must have to be set against a published figure."""

    tables: tuple[PaperTable, ...]
    protocols: Mapping[str, Mapping[str, Conditions]]  # name -> task -> all settings of task, model and optim
    free: tuple[str, ...]  # settings that may be anything

    def required(self, entry: Entry, column: Column) -> Conditions | None:
        """All settings of task, model and optim, and those named of the neuron, that a run of this cell has.

        None where the row's protocol has no settings for the column's task, or the row no counterpart.
        """
        protocol = self.protocols.get(entry.protocol, {}).get(str(column.where.get("task.name")))
        if protocol is None or entry.runs is None:
            return None
        wanted = {**protocol, **entry.runs, **column.where}
        return {key: value for key, value in wanted.items() if key not in self.free}


@cache
def definition() -> Definition:
    """The packaged definition. Raises `UserError`, naming the place and what is expected there."""
    return parsed(_yaml("reproduction.yaml"), _yaml("published.yaml"), json.loads(_text("protocols.json")))


def _yaml(name: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(_text(name)))


def _text(name: str) -> str:
    return files("spike_ssm.results").joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class _File:
    """What the file holds."""

    tables: dict[str, _TableFile]
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
    protocol: str = "ours"
    fill: str = ""
    apart: Any = ""  # a text for all columns, or one a column
    of: str = ""  # the published row that this is another reading of


def parsed(content: Any, published: Any, protocols: Mapping[str, Mapping[str, Conditions]]) -> Definition:
    """The definition in `content`, with its figures from `published`; both as read from YAML. Raises `UserError`."""
    found = read_document(_File, content, FILE)
    tables = tuple(_table(name, each, published) for name, each in found.tables.items())
    for table in tables:
        for entry in table.entries:
            if entry.runs is not None and entry.protocol not in protocols:
                where = f"tables.{table.name}.rows.{entry.name}"
                raise _wrong(where, f"protocol: {entry.protocol!r} does not exist; there are {', '.join(protocols)}")
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
    ours = {key: read_document(_RowFile, each, FILE, f"{where}.rows.{key}") for key, each in content.rows.items()}
    if unknown := {each.of or key for key, each in ours.items()} - set(rows):
        raise _wrong(f"{where}.rows", f"{sorted(unknown)} are not in published.yaml, which has {', '.join(rows)}")
    if content.spiking_only:
        rows = {key: row for key, row in rows.items() if row.get("spiking", True)}
    entries = [
        _entry(name, row, ours.get(name), columns, source, f"{where}.rows.{name}")
        for key, row in rows.items()
        for name in (key, *(reading for reading, each in ours.items() if each.of == key))
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
    name: str,
    row: Mapping[str, Any],
    ours: _RowFile | None,
    columns: tuple[Column, ...],
    source: Mapping[str, Any],
    where: str,
) -> Entry:
    if not row.get("source"):
        raise UserError(f"results/published.yaml: the row {name!r} names no source; every figure needs one.")
    figures = {column.name: _figure(name, row, column, source, where) for column in columns}
    origin, note = str(row["source"]), str(row.get("note", ""))
    if ours is None:
        return Entry(name, figures, origin, note, None, "", "", {})
    wanted, apart = conditions(ours.runs, f"{where}.runs"), _apart(ours.apart, columns, where)
    return Entry(name, figures, origin, note, wanted, ours.protocol, ours.fill, apart)


def _apart(content: Any, columns: tuple[Column, ...], where: str) -> dict[str, str]:
    """Reasons by column, of a text for all or a mapping from some. Raises `UserError` for anything else."""
    names = [column.name for column in columns]
    if isinstance(content, str):
        return dict.fromkeys(names, content) if content else {}
    if not isinstance(content, dict) or not set(content) <= set(names):
        raise _wrong(where, f"apart must be a text, or map columns ({', '.join(names)}) to texts: {content!r}")
    return {str(key): str(value) for key, value in content.items()}


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
