"""The table of the map of PMBC by leak."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import number, plain, significant


def leak_name(leak: float) -> str:
    """What a leak is called in tables and legends."""
    return f"leak {plain(leak)}"


def by_leak(points: pd.DataFrame, looks: Mapping[str, Look]) -> Table:
    """Medians over the other factors."""
    amount = len(points["undetermined"].iloc[0])
    headings = [Heading("median, %", "Firing rate"), Heading("range, %", "Firing rate")]
    headings += [Heading(f"M = {after}", "Undetermined after M iterations, median %") for after in range(1, amount + 1)]
    headings += [Heading("median", "Iterations until certain"), Heading("most", "Iterations until certain")]
    rows = []
    for leak, group in points.groupby("leak"):
        rates, name = group["firing_rate"], leak_name(float(str(leak)))
        medians = pd.DataFrame(group["undetermined"].tolist()).median()
        cells = [number(rates.median(), 1), f"{number(rates.min(), 1)} to {number(rates.max(), 1)}"]
        cells += [significant(value) for value in medians]
        cells += [number(group["iterations"].median(), 0), number(group["iterations"].max(), 0)]
        rows.append(Row(name, tuple(cells), looks[name]))
    notes = (
        "Medians over the decays, magnitudes and inputs of the grid.",
        "Undetermined: positions whose bounds have not met after M iterations over the whole sequence (paper mode).",
        "Iterations until certain: certified mode, of the slowest chunk of steps; a longer sample finds slower ones.",
    )
    return Table("PMBC by leak", "Leak", tuple(headings), tuple(rows), notes, numbers=points)
