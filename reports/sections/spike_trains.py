"""How the spikes of a task's variants follow each other, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, estimate
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, Interval, t_interval

NOTES = (
    "Spike after spike: the share of spikes that another one follows a step later. By chance: the same if each channel "
    "fired at random, at its own rate; spikes that keep apart, as refractory ones do, are below it, runs above.",
    "Interval variation: standard deviation over mean of the steps from a channel's spike to its next, 0 of a clock "
    "and about 1 of rare spikes at random. Spikes in a row: the mean length of a run of spikes, at least 1.",
    "Where a channel's firing rate changes along the sequence, that alone makes all of them larger.",
)


class _Column(NamedTuple):
    """A measure of spike trains."""

    name: str  # of the frame that is shown, and in the CSV
    unit: str  # in the CSV
    heading: str
    factor: float = 1.0


_COLUMNS = (
    _Column("firing_rate", "_percent", "firing rate, %", 100),
    _Column("spike_after_spike", "_percent", "spike after spike, %", 100),
    _Column("spike_after_spike_by_chance", "_percent", "by chance, %", 100),
    _Column("interval_variation", "", "interval variation"),
    _Column("run_length", "", "spikes in a row"),
)


def spike_train_table(runs: pd.DataFrame, looks: Mapping[str, Look]) -> Table | None:
    """A row a variant of a task's finished `runs`: means over layers and seeds, with 95 % t-intervals over seeds.

    None where no run holds how spikes follow each other, as older ones, and those of neurons that do not spike.
    """
    if runs["spike_after_spike"].isna().all():
        return None
    rows, numbers = [], []
    for variant, group in runs.groupby("variant", sort=False):
        found = [t_interval(group[column.name]) for column in _COLUMNS]
        cells = tuple(estimate(each, column.factor) for each, column in zip(found, _COLUMNS, strict=True))
        rows.append(Row(str(variant), cells, looks[str(variant)]))
        numbers.append({"variant": variant, "seeds": len(group)} | _numbers(found))
    headings = tuple(Heading(column.heading) for column in _COLUMNS)
    few = f" Of fewer than {VERDICT_SEEDS} seeds the lowest and the highest stand in brackets."
    means = "Means over layers and seeds; ± is the half width of the 95 % t-interval over seeds."
    lacking = f" {ABSENT}: the neurons do not spike, or the run is from before this was recorded."
    means += few if runs["variant"].value_counts().min() < VERDICT_SEEDS else ""
    means += lacking if any(ABSENT in row.cells for row in rows) else ""
    return Table("Spike trains", "Variant", headings, tuple(rows), (means, *NOTES), numbers=pd.DataFrame(numbers))


def _numbers(found: list[Interval]) -> dict[str, float]:
    """The means of a variant, their half widths and ranges, for the CSV."""
    return {
        f"{column.name}{which}{column.unit}": value * column.factor
        for column, each in zip(_COLUMNS, found, strict=True)
        for which, value in (
            ("", each.mean),
            ("_half_interval", each.half),
            ("_lowest", each.least),
            ("_highest", each.most),
        )
    }
