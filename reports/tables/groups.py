"""Accuracy by groups of test examples: where a simple rule is wrong, and by the questions of the task's own."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from spike_ssm.reports.loading.sweep import unfold
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import estimate, number
from spike_ssm.reports.statistics.seeds import t_interval
from spike_ssm.results.schema import SHORTCUT, WRONG


def where_shortcut_is_wrong(runs: pd.DataFrame) -> pd.Series[float]:
    """Each run's accuracy on the test examples that the shortcut gets wrong, a fraction; NaN where none is stored."""

    def of_run(groups: object) -> float | None:
        rows = groups if isinstance(groups, list) else []
        return next((row["accuracy"] for row in rows if (row["grouping"], row["group"]) == (SHORTCUT, WRONG)), None)

    return runs["groups"].map(of_run).astype(float)


def weaker_rules(runs: pd.DataFrame) -> dict[str, float]:
    """Mean accuracy, a fraction, of the simple rules besides the shortcut, by name; those that beat it are in too."""
    found = unfold(runs, "rules")
    if found.empty:
        return {}
    means = found.groupby("name", sort=False)["accuracy"].mean()
    return {str(name): float(mean) for name, mean in list(means.items())[1:]}


def group_table(runs: pd.DataFrame, looks: Mapping[str, Look]) -> Table | None:
    """Mean accuracy in % of every variant on every group; None where runs hold no groups."""
    found = unfold(runs, "groups")
    if found.empty:
        return None
    columns = list(dict.fromkeys(zip(found["grouping"], found["group"], strict=True)))
    by_column = dict(iter(found.groupby(["grouping", "group"], sort=False)))
    sizes = {column: int(by_column[column]["examples"].max()) for column in columns}
    headings = [Heading(f"{group} ({sizes[grouping, group]:,})", grouping) for grouping, group in columns]
    rows = [
        Row(variant, tuple(_cell(by_column[column], variant) for column in columns), looks[variant])
        for variant in dict.fromkeys(found["variant"])
    ]
    shortcut = tuple(number(by_column[column]["shortcut_accuracy"].mean() * 100) for column in columns)
    rows.append(Row("Shortcut", shortcut, reference=True))
    notes = (
        "Means over seeds with 95 % t-intervals over seeds; in brackets the number of test examples.",
        "Only what lies above chance where the shortcut is wrong was learned beyond it.",
    )
    return Table("Accuracy by group of test examples, %", "Variant", tuple(headings), tuple(rows), notes, numbers=found)


def _cell(group: pd.DataFrame, variant: str) -> str:
    return estimate(t_interval(group.loc[group["variant"] == variant, "accuracy"]), 100)
