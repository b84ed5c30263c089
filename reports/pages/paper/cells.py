"""What each cell of a table may say: ours, the published figure, their difference and a status.

A status is never stronger than the runs allow. Only runs at the paper scale, of the published task, with every
setting of the row's protocol, are set against a figure; a verdict takes three seeds and a published set-up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from spike_ssm.reports.pages.paper.definition import Column, Definition, Entry, Figure, PaperTable
from spike_ssm.reports.pages.paper.runs import Run
from spike_ssm.reports.render.text import count, listing
from spike_ssm.reports.statistics.seeds import NO_SPREAD, VERDICT_SEEDS, Interval, t_interval

SMALLER_SCALES = ("gpu", "workstation", "laptop")
"""Scales whose runs are shown where the paper scale has none, the nearest to it first."""


class Status(Enum):
    """A status with its definition, in the words of the page."""

    REPRODUCED = (
        "reproduced",
        "Paper scale, published task and hyperparameters, at least three seeds, and the published figure, as rounded "
        "in print, lies inside our 95 % t-interval. It says no more than the width of that interval.",
    )
    CONSISTENT = (
        "consistent, interval too wide",
        "The same, but our interval is too wide to show much (the limit is said below the table): more seeds are "
        "needed.",
    )
    DIFFERS = (
        "differs",
        "As for reproduced, but the published figure lies outside our interval. Its own spread is not known.",
    )
    TOO_FEW = (
        "too few seeds",
        "Paper scale, published task and hyperparameters, but fewer than three seeds or no spread between them: the "
        "difference is shown, no verdict.",
    )
    SOME_FAILED = (
        "some seeds failed",
        "Paper scale, published task and hyperparameters, but other seeds of it failed, and might have lowered the "
        "mean: the difference is shown, no verdict.",
    )
    OWN_SETUP = (
        "set-up not the published one",
        "Paper scale, but something behind the published figure is not known to us or differs, as said below the "
        "table: the difference is shown, no verdict.",
    )
    NO_FIGURE = ("no published figure", "Paper scale, but nothing published is known to us to set it beside.")
    OTHER_SETTINGS = (
        "other settings, not comparable",
        "Paper scale, but some setting of the task, network or training is not the one of the row's protocol.",
    )
    SMALLER = (
        "smaller scale, not comparable",
        "Runs at smaller scales only. Shown to say that the variant runs; never a reproduction.",
    )
    FAILED = ("failed", "The runs at the paper scale failed.")
    NOT_RUN = ("not run", "No run. The command below the table fills it.")
    NO_PROTOCOL = ("no protocol", "The row's protocol has no settings for this task, so that no run can stand for it.")
    NONE = ("", "")

    @property
    def word(self) -> str:
        """What the table shows."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Its definition in a sentence or two."""
        return self.value[1]

    @property
    def compared(self) -> bool:
        """Whether the difference to the published figure is shown."""
        return self.judged or self in (Status.TOO_FEW, Status.SOME_FAILED, Status.OWN_SETUP)

    @property
    def fillable(self) -> bool:
        """Whether a run can stand in the cell."""
        return self not in (Status.NONE, Status.NO_PROTOCOL)

    @property
    def judged(self) -> bool:
        """Whether it is a verdict."""
        return self in (Status.REPRODUCED, Status.CONSISTENT, Status.DIFFERS)


NOTHING = Interval(math.nan, math.nan, 0)


@dataclass(frozen=True)
class Cell:
    """One cell, in the unit shown."""

    status: Status
    figure: Figure
    ours: Interval = NOTHING
    scale: str = ""  # of our runs; empty without any
    runs: tuple[Run, ...] = ()
    remark: str = ""  # what its runs say of their data, what differs, what was left out
    of_protocol: int = 0  # finished runs at the paper scale with the settings of the row's protocol

    @property
    def difference(self) -> float:
        """Ours minus the published figure; NaN where they may not be set against each other."""
        return self.ours.mean - self.figure.value if self.status.compared else math.nan

    @property
    def shared(self) -> bool:
        """Whether others used the machine during a run."""
        return any(run.shared for run in self.runs)


def cells_of(table: PaperTable, definition: Definition, runs: Sequence[Run]) -> dict[tuple[str, str], Cell]:
    """The cells of a table by names of row and column."""
    found: dict[tuple[str, str], Cell] = {}
    for entry in table.entries:
        before: list[Cell] = []
        for column in table.columns:
            figure = entry.figures[column.name]
            if entry.runs is None:
                cell = Cell(Status.NONE, figure)
            elif column.mean:
                apart = bool(entry.apart) or any(each.apart for each in table.columns)
                cell = _mean(before, column, figure, apart, table.widest)
            else:
                cell = _cell(entry, column, figure, definition, runs, table.widest)
                before.append(cell)
            found[entry.name, column.name] = cell
    return found


def _cell(
    entry: Entry, column: Column, figure: Figure, definition: Definition, runs: Sequence[Run], widest: float
) -> Cell:
    assert entry.runs is not None
    required, free = definition.required(entry, column), definition.free
    if required is None:
        return Cell(Status.NO_PROTOCOL, figure)
    matching = [run for run in runs if run.meets({**entry.runs, **column.where})]
    measured = [run for run in matching if run.done and column.measure in run.values]
    paper = [run for run in measured if run.scale == "paper"]
    published = [run for run in paper if not run.differing(required, free)]
    if published:
        group, remark = _one_group(published)
        lacking = _failed_seeds([run for run in matching if not run.differing(required, free)], group)
        apart = column.name in entry.apart or bool(column.apart)
        cell = _judged(figure, _interval(group, column), group, remark, apart, widest, lacking)
        return replace(cell, of_protocol=len(published))
    if paper:
        group, _ = _one_group(paper)
        remark = _differences(group[0], required, free)
        return Cell(Status.OTHER_SETTINGS, figure, _interval(group, column), "paper", group, remark)
    for scale in SMALLER_SCALES:
        smaller = [run for run in measured if run.scale == scale]
        if smaller:
            group, remark = _one_group(smaller)
            return Cell(Status.SMALLER, figure, _interval(group, column), scale, group, remark)
    failed = any(run.scale == "paper" and not run.done for run in matching)
    return Cell(Status.FAILED if failed else Status.NOT_RUN, figure)


def _judged(
    figure: Figure,
    ours: Interval,
    runs: tuple[Run, ...],
    remark: str,
    apart: bool,
    widest: float,
    failed: Sequence[int] = (),
) -> Cell:
    """The cell of runs at the paper scale with the protocol's settings.

    `apart`: no verdict, whatever they show. `widest`: the half width up to which an interval is called telling.
    `failed`: seeds whose runs failed.
    """
    notes = list(dict.fromkeys(note for run in runs for note in run.notes))
    without = f"Failed: {count(len(failed), 'seed')} ({listing([str(seed) for seed in failed])})." if failed else ""
    remark = " ".join(filter(None, [*notes, remark, without]))
    if math.isnan(figure.value):
        return Cell(Status.NO_FIGURE, figure, ours, "paper", runs, remark)
    if apart or notes:
        return Cell(Status.OWN_SETUP, figure, ours, "paper", runs, remark)
    if failed:
        return Cell(Status.SOME_FAILED, figure, ours, "paper", runs, remark)
    if ours.n < VERDICT_SEEDS or not ours.half > NO_SPREAD:
        return Cell(Status.TOO_FEW, figure, ours, "paper", runs, remark)
    inside = ours.low - figure.rounding <= figure.value <= ours.high + figure.rounding
    telling = Status.REPRODUCED if ours.half <= widest else Status.CONSISTENT
    return Cell(telling if inside else Status.DIFFERS, figure, ours, "paper", runs, remark)


def _one_group(runs: Sequence[Run]) -> tuple[tuple[Run, ...], str]:
    """Runs of one code version that differ in their seed alone, and a sentence on those that are left out.

    It is the largest such group, of equals the latest: never chosen by its results.
    """
    groups: dict[tuple[str, str], dict[int, Run]] = {}
    for run in sorted(runs, key=lambda run: run.started_at):
        settings = {key: value for key, value in run.settings.items() if key != "seed"}
        groups.setdefault((run.code_version, json.dumps(settings, sort_keys=True)), {})[run.seed] = run
    chosen = max(groups, key=lambda key: (len(groups[key]), max(run.started_at for run in groups[key].values())))
    group, left = groups[chosen], [run for key, others in groups.items() if key != chosen for run in others.values()]
    versions = sorted({run.code_version for run in left} - {chosen[0]})
    remark = f"{len(left)} further runs that differ in a setting that is free are left out." if left else ""
    if versions:
        remark = f"{len(left)} further runs are left out, of other code versions ({', '.join(versions)}) or settings."
    return tuple(group[seed] for seed in sorted(group)), remark


def _failed_seeds(runs: Sequence[Run], chosen: Sequence[Run]) -> list[int]:
    """The seeds at the paper scale of which only failed runs are there, beside those `chosen`."""
    failed = {run.seed for run in runs if run.scale == "paper" and not run.done}
    return sorted(failed - {run.seed for run in chosen})


def _interval(runs: Sequence[Run], column: Column) -> Interval:
    return t_interval(run.values[column.measure] * column.times for run in runs)


def _mean(before: Sequence[Cell], column: Column, figure: Figure, apart: bool, widest: float) -> Cell:
    """The average over the columns before it, seed by seed; only where all are there at the paper scale."""
    if any(cell.status is Status.NO_PROTOCOL for cell in before):
        return Cell(Status.NO_PROTOCOL, figure)
    if not before or not all(cell.status.compared or cell.status is Status.NO_FIGURE for cell in before):
        return Cell(Status.NOT_RUN, figure, remark="The average needs every column before it at the paper scale.")
    by_seed: list[Mapping[int, Run]] = [{run.seed: run for run in cell.runs} for cell in before]
    seeds = sorted(set.intersection(*(set(runs) for runs in by_seed)))
    if not seeds:
        return Cell(Status.NOT_RUN, figure, remark="The columns share no seed.")
    means = [sum(runs[seed].values[column.measure] for runs in by_seed) / len(by_seed) for seed in seeds]
    ours = t_interval(mean * column.times for mean in means)
    runs = tuple(runs[seed] for runs in by_seed for seed in seeds)
    versions = sorted({run.code_version for run in runs})
    remark = f"Its columns are of {len(versions)} code versions: {', '.join(versions)}." if len(versions) > 1 else ""
    cell = _judged(figure, ours, runs, remark, apart, widest)
    if cell.status.judged and any(each.status is Status.SOME_FAILED for each in before):
        return replace(cell, status=Status.SOME_FAILED)
    return cell


def _differences(run: Run, required: Mapping[str, object], free: Sequence[str]) -> str:
    """The sentence on what a run has otherwise than is required."""

    def value(settings: Mapping[str, object], key: str) -> str:
        return json.dumps(settings[key]) if key in settings else "its default"

    shown = (
        f"{key} {value(run.settings, key)} instead of {value(required, key)}" for key in run.differing(required, free)
    )
    return f"Differing: {'; '.join(shown)}."
