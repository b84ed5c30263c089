"""Main effects as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from spike_ssm.reports.render.table import Row, Table
from spike_ssm.reports.statistics.factors import MainEffect
from spike_ssm.reports.tables.differences import compared_cells, numbers_of, on_demand


def effect_table(effects: Sequence[MainEffect]) -> Table | None:
    """One row an effect; None where the sweep is no grid of several axes."""
    if not effects:
        return None
    texts = ("level", "against", "averaged over", "difference, points", "95 % interval", "p", "p, Holm", "verdict")
    rows = [
        Row(
            each.factor,
            (
                each.level,
                each.reference,
                f"{each.over} combinations",
                *compared_cells(each.comparison),
                each.comparison.verdict.value,
            ),
        )
        for each in effects
    ]
    notes = (
        "Accuracy at the level minus that at the reference, averaged over all combinations of the other settings that "
        "every level has, and paired by seed.",
        "An average: what helps in one combination and hurts in another may cancel. The differences of single variants "
        "are below.",
    )
    numbers = [
        {"setting": each.factor, "level": each.level, "against": each.reference, "combinations": each.over}
        | numbers_of(each.comparison)
        for each in effects
    ]
    headings = on_demand(texts, ("against", "averaged over", "p"))
    return Table("Main effects on accuracy", "Setting", headings, tuple(rows), notes, numbers=pd.DataFrame(numbers))
