"""The main table as a paper has room for it: five columns, in LaTeX."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, estimate, number, p_value
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS
from spike_ssm.reports.tables.columns import stated


def brief_table(numbers: pd.DataFrame, baseline: str | None) -> Table:
    """Variant, accuracy, difference to the baseline with its corrected p, firing rate and number of seeds.

    numbers: as `reports.tables.accuracy.measurements` has them, of one task.
    """
    headings = ("accuracy, %", f"vs {baseline or 'baseline'}, points", "firing rate, %", "n")
    rows = [Row(str(row["variant"]), _cells(row)) for row in numbers.to_dict("records")]
    shortcut = number(numbers["shortcut_percent"].mean())
    rows.append(Row("Shortcut", (shortcut, ABSENT, ABSENT, ABSENT), reference=True))
    notes = (
        f"Means over n seeds; ± is the half width of the 95 % t-interval over seeds, given from {VERDICT_SEEDS} on. "
        "Differences are paired by seed, p is of a two-sided t-test with Holm's correction over the rows.",
    )
    task = numbers["task"].iloc[0]
    return Table(f"Test accuracy on {task}", "variant", tuple(map(Heading, headings)), tuple(rows), notes)


def _cells(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    p = row["p_holm"]
    difference = estimate(stated(row, "difference", "points", row["difference_seeds"]), signed=True)
    tested = "" if math.isnan(p) else f" ({p_value(p)})"
    accuracy = estimate(stated(row, "accuracy", "percent", row["seeds"]))
    return accuracy, difference + tested, number(row["firing_rate_percent"]), str(row["seeds"])
