"""Which variants of a large sweep are drawn: so many that each can be told from the others."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from spike_ssm.reports.statistics.pareto import front, mean_points

MOST = 24
"""Looks of `reports.render.palette` that differ."""


def drawn_variants(runs: pd.DataFrame, baseline: str | None) -> list[str]:
    """All variants of a task's finished `runs`, or of more than `MOST` the Pareto front of the means and the baseline.

    Where nothing spikes, the most accurate one stands for the front.
    """
    variants = list(dict.fromkeys(runs["variant"]))
    if len(variants) <= MOST:
        return variants
    accuracies = runs.groupby("variant", sort=False)["test_accuracy"].mean()
    best = front(mean_points(runs)) or list(accuracies.nlargest(1).index)
    kept = {baseline, *best[-(MOST - 1) :]}
    return [variant for variant in variants if variant in kept]


def remark(drawn: Sequence[str], runs: pd.DataFrame) -> str:
    """The end of each caption, where some variants are left out."""
    there = runs["variant"].nunique()
    if len(drawn) == there:
        return ""
    return (
        f" Drawn: {len(drawn)} of {there} variants, the Pareto front of the means and the baseline; more than {MOST} "
        "cannot be told apart."
    )
