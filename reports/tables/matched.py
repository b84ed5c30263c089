"""Differences at one firing rate as a table, and what their placebos say."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from spike_ssm.reports.render.table import Row, Table
from spike_ssm.reports.render.text import ABSENT, estimate
from spike_ssm.reports.statistics.matched import Matched
from spike_ssm.reports.tables.differences import (
    PLACEBO_NOTE,
    TESTED,
    compared_cells,
    numbers_of,
    on_demand,
    placebos,
    rate_numbers,
)


def matched_table(matched: Sequence[Matched]) -> Table | None:
    """Accuracy at a common firing rate; None where nothing traces a curve."""
    if not matched:
        return None
    texts = ("compared with", "at rate, %", "difference, points", *TESTED, "seeds", "placebo, points", "verdict")
    rows = []
    for each in matched:
        cells = [
            estimate(each.at.rate, 100),
            *compared_cells(each.comparison),
            str(each.comparison.difference.n),
            placebos(each.at),
        ]
        cells.append(f"withheld: {each.doubt}" if each.doubt else each.comparison.verdict.value)
        if each.at.problem:
            cells = [each.at.problem, *[ABSENT] * 7]
        rows.append(Row(each.at.curve, (each.at.reference, *cells)))
    notes = (
        "Accuracy on the curve through a side's variants (a monotone cubic in the logarithm of the rate), seed by "
        "seed, never beyond its ends; the rate is the baseline's where all reach it, else the middle of what both "
        "reach.",
        "Differences are paired by seed (t-test, two-sided).",
        PLACEBO_NOTE,
    )
    numbers = pd.DataFrame([rate_numbers(each.at) | numbers_of(each.comparison) for each in matched])
    headings = on_demand(texts, ("95 % interval", "p", "seeds", "placebo, points"))
    return Table("Accuracy at matched firing rate", "Curve", headings, tuple(rows), notes, numbers=numbers)
