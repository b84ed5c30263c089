"""Main effects as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from spike_ssm.reports.render.table import Row, Table
from spike_ssm.reports.render.text import estimate
from spike_ssm.reports.statistics.factors import MainEffect
from spike_ssm.reports.tables.differences import numbers_of, on_demand, tested_cells

_DEFINED = {"spike after spike": "Spike after spike: the share of spikes that another one follows a step later."}
"""Measures that their name does not explain."""


def effect_table(effects: Sequence[MainEffect], measure: str = "accuracy") -> Table | None:
    """One row an effect on the `measure`, so called, in points; None where the sweep is no grid of several axes."""
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
                estimate(each.comparison.difference, 100, signed=True),
                *tested_cells(each.comparison),
                each.comparison.verdict.value,
            ),
        )
        for each in effects
    ]
    notes = (
        *([_DEFINED[measure]] if measure in _DEFINED else []),
        f"{measure.capitalize()} at the level minus that at the reference, averaged over all combinations of the other "
        "settings that every level has, and paired by seed. p, Holm: corrected over the rows.",
        "± is the half width of the 95 % interval. Of an effect that is not shown, what lies beyond its interval is "
        f"ruled out. {_spread_note(effects)}".strip(),
        "An average: what helps in one combination and hurts in another may cancel. The differences of single variants "
        "are below.",
    )
    numbers = [
        {"setting": each.factor, "level": each.level, "against": each.reference, "combinations": each.over}
        | numbers_of(each.comparison)
        for each in effects
    ]
    headings = on_demand(texts, ("against", "averaged over", "p"))
    return Table(f"Main effects on {measure}", "Setting", headings, tuple(rows), notes, numbers=pd.DataFrame(numbers))


def _spread_note(effects: Sequence[MainEffect]) -> str:
    """Whose spread the tests take; a shared one has more degrees of freedom than an effect's own seeds give."""
    tested = [each.comparison for each in effects if each.comparison.freedom]
    if not tested:
        return ""
    freedoms = {each.freedom for each in tested}
    if len(freedoms) == 1:
        return f"All variants share one spread, known with {tested[0].freedom} degrees of freedom."
    return (
        "Variants spread differently: each effect has the mean spread of the variants that it compares, known with "
        f"{min(freedoms)} to {max(freedoms)} degrees of freedom."
    )
