"""The few rows and columns of the main table that one looks at first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import estimate, number
from spike_ssm.reports.statistics import pareto
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.tables.columns import stated

ROWS = 6
"""The most variants of the small table."""


def glance_table(
    numbers: pd.DataFrame,
    looks: Mapping[str, Look],
    comparisons: Comparisons,
    controls: Collection[str] = (),
    axes: Sequence[str] = (),
) -> Table:
    """The baseline and the variants that matter most, by falling accuracy, of `measurements` of one task.

    These are no `controls`, then the ones that a test tells from the baseline, then those on the Pareto front, then the
    most accurate. axes: what the parts of variants' names are of.
    """
    decided = {variant for variant, comparison in comparisons.accuracy.items() if comparison.verdict.decided}
    rank = pd.DataFrame(
        {
            "baseline": numbers["variant"] == comparisons.baseline,
            "asked": ~numbers["variant"].isin(controls),
            "decided": numbers["variant"].isin(decided),
            "front": numbers["pareto"] == pareto.FRONT,
            "accuracy": numbers["accuracy_percent"],
        }
    )
    order = rank.sort_values([*rank], ascending=False, kind="stable").index[:ROWS]
    shown = numbers.loc[order].sort_values("accuracy_percent", ascending=False, kind="stable")
    spiking, compared = shown["firing_rate_percent"].notna().any(), bool(comparisons.accuracy)
    headings = [Heading("accuracy, %")]
    headings += [Heading(f"vs {comparisons.baseline}, points")] if compared else []
    headings += [Heading("firing rate, %")] if spiking else []
    rows = []
    for row in shown.to_dict("records"):
        is_baseline = row["variant"] == comparisons.baseline
        difference = (
            "baseline"
            if is_baseline
            else estimate(stated(row, "difference", "points", row["difference_seeds"]), digits=1, signed=True)
        )
        cells = [estimate(stated(row, "accuracy", "percent", row["seeds"]), digits=1)]
        cells += [difference] if compared else []
        cells += [number(row["firing_rate_percent"], 1)] if spiking else []
        rows.append(Row(str(row["variant"]), tuple(cells), looks[row["variant"]]))
    shortcut = number(shown["shortcut_percent"].mean(), 1)
    rows.append(Row("Shortcut", (shortcut, *[""] * (len(headings) - 1)), reference=True))
    left = len(numbers) - len(shown)
    notes = [f"A variant is named {' / '.join(axes)}."] if len(axes) > 1 else []
    notes += [f"{left} more {'is' if left == 1 else 'are'} in the table below."] if left else []
    return Table("At a glance", "Variant", tuple(headings), tuple(rows), tuple(notes), numbers=shown)
