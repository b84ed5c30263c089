"""The section of the measurement `pmbc_map`: where PMBC's bounds meet soon, over leak, decay, magnitude and input."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spike_ssm.reports.loading.sweep import Sweep
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.statements import Findings, Statement
from spike_ssm.reports.render.text import number, plain, significant
from spike_ssm.reports.sections.measured import MeasuredSection, task_settings
from spike_ssm.reports.sections.pmbc_map.figures import leak_figures, maps
from spike_ssm.reports.sections.pmbc_map.tables import by_leak, leak_name

NAME = "pmbc_map"
PUBLISHED_ITERATIONS = 3
PUBLISHED_REST = 1.0  # %: a secondary source says that about 99 % are determined after three iterations
FACTORS = {
    "leak": ("leak", "leak"),
    "decay": ("decay", "decay"),
    "refractory": ("magnitude", "refractory magnitude"),
    "input_mean": ("input mean", "mean of the input"),
    "input_scale": ("input s.d.", "its standard deviation"),
}
"""Column -> the factor of the grid, short and in words."""


def map_section(sweep: Sweep, prefix: str) -> MeasuredSection | None:
    """The section of the finished map runs; None without any. `prefix` begins the ids of its figures."""
    runs = sweep.done_on(NAME)
    if runs.empty:
        return None
    points, after = grid_points(runs)
    legend = palette.looks([leak_name(leak) for leak in points["leak"].unique()], None)
    return MeasuredSection(
        name=NAME,
        title="Where PMBC settles soon",
        notice=notice(runs, points),
        notes={},
        findings=[_undetermined(points, after), _iterations(points)],
        tables=[by_leak(points, legend)],
        legend=legend,
        figures=leak_figures(points, after, {leak: legend[leak_name(leak)] for leak in points["leak"]}, prefix),
        maps=maps(points, after, prefix),
    )


def grid_points(runs: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row a point of the grid, and the iterations M after which `rest` is taken: the published three, or less.

    Columns of `results.schema.PMBC_MAP` with fractions in %: means over runs, of iterations the most. `rest` is the
    undetermined percentage after M.
    """
    entries = pd.DataFrame([entry for entries in runs["pmbc_map"] for entry in entries])
    rows: list[dict[str, Any]] = []
    for values, group in entries.groupby(list(FACTORS), sort=True):
        percentages = (100 * pd.DataFrame(group["undetermined"].tolist()).mean()).tolist()
        row: dict[str, Any] = dict(zip(FACTORS, values, strict=True))
        row |= {"firing_rate": 100 * group["firing_rate"].mean(), "iterations": group["iterations"].max()}
        rows.append(row | {"undetermined": percentages})
    points = pd.DataFrame(rows)
    after = min(PUBLISHED_ITERATIONS, *map(len, points["undetermined"]))
    return points.assign(rest=[percentages[after - 1] for percentages in points["undetermined"]]), after


def notice(runs: pd.DataFrame, points: pd.DataFrame) -> str:
    """What the grid is, and what it is not."""
    settings = task_settings(runs.iloc[0].to_dict())
    spans = ", ".join(f"{words} {_span(points[name])}" for name, (_, words) in FACTORS.items())
    return (
        f"{len(points)} neurons, {settings['batch']} sequences of {settings['length']:,} steps each: {spans}; "
        "magnitude and input in units of the threshold. The input is independent noise, which the input of a trained "
        "network need not resemble."
    )


def _span(values: pd.Series[float]) -> str:
    low, high = plain(values.min()), plain(values.max())
    return low if low == high else f"{low} to {high}"


def _undetermined(points: pd.DataFrame, after: int) -> Findings:
    worst = points.iloc[int(points["rest"].argmax())]
    place = ", ".join(f"{short} {plain(worst[name])}" for name, (short, _) in FACTORS.items())
    lead = (
        f"After {after} iterations the median neuron leaves {significant(points['rest'].median())} % of its positions "
        f"undetermined, the worst {significant(worst['rest'])} % ({place})."
    )
    within = points[points["rest"] <= PUBLISHED_REST]
    held = f"true of {len(within)} of {len(points)} neurons"
    if not within.empty:
        rate = number(within["firing_rate"].max(), 0)
        held += f", with leaks up to {plain(within['leak'].max())} and firing rates up to {rate} %"
    statements = [Statement("99 %", (), f"are determined at M = {after}, says a secondary source of PMBC: {held}.")]
    statements += [_influence(points, name) for name in _by_influence(points)]
    return Findings("Undetermined positions", lead, tuple(statements))


def _medians(points: pd.DataFrame, name: str) -> pd.Series[float]:
    medians: pd.Series[float] = points.groupby(name)["rest"].median()
    return medians


def _by_influence(points: pd.DataFrame) -> list[str]:
    """The factors with several values, the one that moves the median most first."""
    varied = [name for name in FACTORS if points[name].nunique() > 1]
    return sorted(varied, key=lambda name: _medians(points, name).min() - _medians(points, name).max())


def _influence(points: pd.DataFrame, name: str) -> Statement:
    medians = _medians(points, name)
    first, last = medians.index[0], medians.index[-1]
    text = f"from {plain(first)} to {plain(last)} the median goes from {significant(medians.iloc[0])} to "
    return Statement(FACTORS[name][0], (), f"{text}{significant(medians.iloc[-1])} %.")


def _iterations(points: pd.DataFrame) -> Findings:
    iterations = points["iterations"]
    lead = (
        f"Until every position is certain, the slowest chunk of steps takes {iterations.min():.0f} to "
        f"{iterations.max():.0f} iterations, {iterations.median():.0f} at the median neuron. The spikes are then exact."
    )
    return Findings("Iterations until certain", lead)
