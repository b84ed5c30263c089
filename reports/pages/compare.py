"""Two sweeps, or one sweep in two results folders, side by side: `python -m reports compare A B`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spike_ssm.reports.loading.places import without_places
from spike_ssm.reports.loading.sweep import Sweep, flat_texts, json_object, load
from spike_ssm.reports.render.beside import Beside
from spike_ssm.reports.render.files import FORMATS, file_name, write_all
from spike_ssm.reports.render.html import rendered
from spike_ssm.reports.render.latex import latex
from spike_ssm.reports.render.markdown import markdown, paragraph
from spike_ssm.reports.render.spreadsheet import csv
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, bare_p_value, bounds, count, mean_of, number
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, Comparison, Interval, Verdict, compare, welch_interval

_METRICS = {
    "test_accuracy": ("accuracy, points", 100.0),
    "test_perplexity": ("perplexity", 1.0),
    "firing_rate": ("firing rate, points", 100.0),
}
"""Column -> what its difference is called, with its unit, and the factor to that unit."""
_COLUMNS = (
    "metric", "task", "variant", "first", "second", "first_seeds", "second_seeds", "difference", "half_interval",
    "lowest", "highest", "paired_seeds", "p", "p_holm", "verdict",
)  # fmt: skip
_SHOWN_CELLS = 4
IDENTICAL = "identical"
"""The verdict on a task and variant of which both have the same runs with the same values."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    label: str  # as the page calls it
    sweep: Sweep

    @property
    def versions(self) -> list[str]:
        """Code versions of its runs."""
        return sorted({str(version) for version in self.sweep.done["code_version"].dropna()})


def build_comparison(
    first: tuple[str, Path], second: tuple[str, Path], out: Path, formats: Sequence[str] = FORMATS
) -> Path:
    """Write `compare-A-B.html` and its tables to `out`; returns the page's path. Each is a sweep and its folder.

    Raises `UserError` when there is no such sweep or `out` cannot be written to.
    """
    sides = _sides(first, second)
    metrics = {
        name: each for name, each in _METRICS.items() if any(side.sweep.done[name].notna().any() for side in sides)
    }
    numbers = (
        pd.concat([differences(*sides, name) for name in metrics], ignore_index=True) if metrics else pd.DataFrame()
    )
    told_apart = numbers[numbers["verdict"] != IDENTICAL] if metrics else numbers
    found = [_table(told_apart[told_apart["metric"] == name], *metrics[name], sides) for name in metrics]
    tables = [table for table in [*found, _settings(*sides)] if table]
    alone = [*_alone(*sides), *_left_out(*sides)]
    name = file_name(f"compare-{first[0]}-{second[0]}")
    beside = Beside(name, formats)
    page = rendered(
        "compare.html.j2", beside, sides=sides, tables=tables, alone=alone, same=_same(*sides), nothing=numbers.empty
    )
    contents = {
        "html": page,
        "csv": csv(numbers),
        "md": "\n".join([f"{paragraph(_same(*sides))}\n", *map(markdown, tables)]),
        "latex": "\n".join(map(latex, tables)),
    }
    written = write_all(out, name, contents, formats)
    beside.write(out)
    return written


def _sides(first: tuple[str, Path], second: tuple[str, Path]) -> tuple[Side, Side]:
    labels = (
        (first[0], second[0])
        if first[0] != second[0]
        else (f"{first[0]} in {without_places(str(first[1]))}", f"{second[0]} in {without_places(str(second[1]))}")
    )
    one, other = (
        Side(label, load(folder, name, details=False))
        for label, (name, folder) in zip(labels, (first, second), strict=True)
    )
    return one, other


def differences(one: Side, other: Side, metric: str) -> pd.DataFrame:
    """Second minus first for every task and variant that both have, in the units of `metric`.

    Paired by seed where at least two seeds are shared, tested and corrected (Holm) together; else Welch's interval.
    What is identical in both comes first, and is not tested.
    """
    tables = [_by_cell(side.sweep, metric) for side in (one, other)]
    same = _identical(one, other)
    cells = [cell for cell in tables[0] if cell in tables[1] and cell not in same]
    paired = {cell: (tables[1][cell] - tables[0][cell]).dropna() for cell in cells}
    rows = [_equal(metric, cell, tables[0][cell]) for cell in tables[0] if cell in same]
    for (task, variant), comparison in compare(paired).items():
        values = [table[task, variant] for table in tables]
        by_seed = comparison.difference.n >= 2
        shown = [each.loc[paired[task, variant].index] for each in values] if by_seed else values
        interval = comparison.difference if by_seed else welch_interval(values[1], values[0])
        row: dict[str, Any] = {"metric": metric, "task": task, "variant": variant}
        row |= {"first": shown[0].mean(), "second": shown[1].mean(), "first_seeds": len(values[0])}
        row |= {"second_seeds": len(values[1]), "difference": interval.mean, "half_interval": interval.half}
        row |= {"lowest": interval.least, "highest": interval.most}
        row |= {"paired_seeds": comparison.difference.n if by_seed else 0, "p": comparison.p}
        rows.append(row | {"p_holm": comparison.adjusted_p, "verdict": _verdict(comparison, by_seed)})
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _equal(metric: str, cell: tuple[str, str], values: pd.Series[float]) -> dict[str, Any]:
    """The row of a task and variant that is identical in both."""
    task, variant = cell
    row: dict[str, Any] = {"metric": metric, "task": task, "variant": variant, "verdict": IDENTICAL}
    row |= dict.fromkeys(("first", "second"), values.mean())
    row |= dict.fromkeys(("first_seeds", "second_seeds", "paired_seeds"), len(values))
    return row | dict.fromkeys(("difference", "lowest", "highest"), 0.0)


def _identical(one: Side, other: Side) -> dict[tuple[str, str], int]:
    """(task, variant) -> finished runs, where both have the same ones, by id, with the same value of every metric."""
    first, second = (
        {
            cell: group.set_index("id")[[*_METRICS]].sort_index()
            for cell, group in side.sweep.done.groupby(["task", "variant"], sort=False)
        }
        for side in (one, other)
    )
    return {
        (str(task), str(variant)): len(runs)
        for (task, variant), runs in first.items()
        if (task, variant) in second and runs.equals(second[task, variant])
    }


def _verdict(comparison: Comparison, by_seed: bool) -> str:
    return comparison.verdict.value if by_seed else Verdict.TOO_FEW.value.replace("seeds", "shared seeds")


def _by_cell(sweep: Sweep, metric: str) -> dict[tuple[str, str], pd.Series[float]]:
    """(task, variant) -> values by seed, without the missing ones."""
    measured = sweep.done.dropna(subset=[metric])
    return {
        (str(task), str(variant)): group.groupby("seed")[metric].mean()
        for (task, variant), group in measured.groupby(["task", "variant"], sort=False)
    }


def _table(numbers: pd.DataFrame, name: str, factor: float, sides: Sequence[Side]) -> Table | None:
    if numbers.empty:
        return None
    headings = ("first", "second", "second \N{MINUS SIGN} first", "95 % interval", "seeds paired", "p, Holm", "verdict")
    rows = []
    for row in numbers.to_dict("records"):
        found = Interval(row["difference"], row["half_interval"], row["paired_seeds"], row["lowest"], row["highest"])
        paired = str(row["paired_seeds"]) if row["paired_seeds"] else "none (Welch)"
        means = number(row["first"] * factor), number(row["second"] * factor)
        tested = bounds(found, factor), paired, bare_p_value(row["p_holm"]), row["verdict"]
        cells = (*means, mean_of(found, factor, signed=True), *tested)
        rows.append(Row(f"{row['task']}, {row['variant']}", cells))
    notes = (
        f"First: {sides[0].label}. Second: {sides[1].label}.",
        "Means and differences are over the shared seeds, paired (t-test, Holm over the rows), where there are at "
        f"least two; else over all seeds of each, with Welch's interval. Intervals take {VERDICT_SEEDS} seeds. "
        "Variants are matched by name.",
    )
    shown = tuple(Heading(text, rest=text in ("95 % interval", "seeds paired")) for text in headings)
    return Table(f"Difference in {name}", "Task, variant", shown, tuple(rows), notes, numbers=numbers)


def _configs(sweep: Sweep) -> dict[tuple[str, str], dict[str, set[str]]]:
    """(task, variant) -> setting -> its values over seeds; the seed itself is left out."""
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for task, variant, document in zip(sweep.done["task"], sweep.done["variant"], sweep.done["config"], strict=True):
        known = found.setdefault((str(task), str(variant)), {})
        for key, value in flat_texts(json_object(document)).items():
            if key != "seed":
                known.setdefault(key, set()).add(value)
    return found


def _settings(one: Side, other: Side) -> Table | None:
    """The settings that differ between the two for the same task and variant."""
    first, second = _configs(one.sweep), _configs(other.sweep)
    found: dict[tuple[str, str, str], list[str]] = {}
    for cell in (cell for cell in first if cell in second):
        for key in sorted({*first[cell], *second[cell]}):
            values = [", ".join(sorted(side[cell].get(key, {ABSENT}))) for side in (first, second)]
            if values[0] != values[1]:
                found.setdefault((key, values[0], values[1]), []).append(", ".join(cell))
    if not found:
        return None
    rows = tuple(Row(key, (before, after, _some(cells))) for (key, before, after), cells in found.items())
    headings = (Heading("first"), Heading("second"), Heading("of"))
    return Table("Settings that differ", "Setting", headings, rows, numeric=False)


def _some(cells: list[str]) -> str:
    more = f" and {len(cells) - _SHOWN_CELLS} more" if len(cells) > _SHOWN_CELLS else ""
    return "; ".join(cells[:_SHOWN_CELLS]) + more


def _alone(one: Side, other: Side) -> list[str]:
    """Sentences on what only one of the two has finished runs of."""
    runs = (side.sweep.done for side in (one, other))
    first, second = ({*zip(done["task"], done["variant"], strict=True)} for done in runs)
    said = []
    for side, cells in ((one, first - second), (other, second - first)):
        only = sorted(", ".join(cell) for cell in cells)
        if only:
            said.append(f"Only in {side.label}: {_some(only)}.")
    return said


def _left_out(one: Side, other: Side) -> list[str]:
    """Sentences on impossible values of either."""
    return [f"In {side.label}: {sentence}" for side in (one, other) for sentence in side.sweep.left_out]


def _same(one: Side, other: Side) -> str:
    """The sentence on what is in both; empty where nothing is.

    A run that is in both by its id differs in nothing that decides the outcome.
    """
    shared = len(set(one.sweep.done["id"]) & set(other.sweep.done["id"]))
    same = _identical(one, other)
    if not shared:
        return ""
    if sum(same.values()) == len(one.sweep.done) == len(other.sweep.done):
        return f"The two are identical: {_all_of(shared)} the same in both, by settings, seed and value."
    have = f"{count(shared, 'finished run')} {'has' if shared == 1 else 'have'}"
    ids = f"{have} the same id in both: the same settings and seed."
    names = _some([", ".join(cell) for cell in same])
    return f"{ids} Identical, values too, and left out of what follows: {names}." if same else ids


def _all_of(runs: int) -> str:
    return "the one finished run is" if runs == 1 else f"all {runs} finished runs are"
