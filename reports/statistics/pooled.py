"""Comparisons with the spread that all variants of a task share, in place of each pair's own.

Five differences of one pair tell little of how much such differences spread: by chance they agree, and a difference
that is none looks certain. All runs of a task together tell it well. The model is accuracy = variant + seed + rest; the
variance of the rest, s^2, has as many degrees of freedom as runs are left after variants and seeds are fitted (two-way
analysis of variance without replication, Fisher 1925), and a difference over n seeds has the standard error
s sqrt(2 / n). With two variants this is the paired t-test.

It takes variants that spread alike. Where Bartlett's test (1937) casts doubt on that, p < `ALIKE`, each pair keeps its
own spread, which is always right and less sharp. A lenient level, because few seeds show only large differences. Ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from spike_ssm.reports.statistics.seeds import (
    NO_SPREAD,
    Comparison,
    Key,
    against,
    corrected,
    with_spread,
)

ALIKE = 0.2
"""p of Bartlett's test below which variants do not count as spread alike. Ours."""


@dataclass(frozen=True)
class Spread:
    """The standard deviation of a run about its variant and its seed, in the units of the values."""

    sd: float
    freedom: int
    alike_p: float  # of Bartlett's test that all variants have it; NaN where it cannot be tested

    @property
    def is_shared(self) -> bool:
        """Whether it may stand for every pair."""
        return self.sd > NO_SPREAD and not self.alike_p < ALIKE


def spread(values: pd.DataFrame) -> Spread | None:
    """The spread of `values` (one row a seed, one column a variant, NaN where missing); None without freedom."""
    if values.isna().all(axis=None):
        return None
    rest, freedom = _about_means(values) if values.notna().all(axis=None) else _about_fit(values)
    if freedom < 1:
        return None
    groups = [group.to_numpy() for _, group in rest.groupby(level=1, sort=False) if len(group) > 1]
    sd = math.sqrt(float((rest**2).sum()) / freedom)
    can_test = len(groups) > 2 and sd > NO_SPREAD  # of two, one mirrors the other
    alike_p = float(stats.bartlett(*groups).pvalue) if can_test else math.nan
    return Spread(sd, freedom, alike_p)


def _about_means(values: pd.DataFrame) -> tuple[pd.Series[float], int]:
    """What variants and seeds leave of a complete table, and its degrees of freedom: the fit in closed form."""
    centred = values.sub(values.mean(axis="columns"), axis="index").sub(values.mean(), axis="columns")
    rest = (centred + values.to_numpy().mean()).stack()
    return rest, (values.shape[0] - 1) * (values.shape[1] - 1)


def _about_fit(values: pd.DataFrame) -> tuple[pd.Series[float], int]:
    """What is left where runs are missing: a least-squares fit."""
    runs = values.stack().dropna()
    seeds, variants = (pd.get_dummies(runs.index.get_level_values(level)).to_numpy(dtype=float) for level in (0, 1))
    fitted = np.hstack([variants, seeds])
    solution, _, rank, _ = np.linalg.lstsq(fitted, runs.to_numpy(dtype=float), rcond=None)
    rest = pd.Series(runs.to_numpy(dtype=float) - fitted @ solution, runs.index, dtype=float)
    return rest, len(runs) - int(rank)


def mean_spread(values: pd.DataFrame) -> Spread | None:
    """The spread that a mean over the variants of a complete table has a part of, also where they spread unalike.

    The variance of a mean over variants follows from the mean of their variances, whatever these are; it is known with
    fewer degrees of freedom where they differ (Satterthwaite 1946). None below two seeds or two variants.
    """
    seeds, variants = values.shape
    if seeds < 2 or variants < 2:
        return None
    rest, freedom = _about_means(values)
    variances = (rest**2).groupby(level=1).sum() * variants / freedom
    if not variances.any():
        return None
    effective = freedom * variances.sum() ** 2 / (variants * (variances**2).sum())
    return Spread(math.sqrt(variances.mean()), max(math.floor(effective), 1), math.nan)


def pooled(comparisons: Mapping[Key, Comparison], shared: Spread | None, over: int = 1) -> dict[Key, Comparison]:
    """Comparisons of two variants, or of means over `over` of them, with the shared spread where there is one.

    Not yet corrected.
    """
    if shared is None or not shared.is_shared:
        return dict(comparisons)
    return with_spread(comparisons, shared.sd * math.sqrt(2 / over), shared.freedom)


def against_pooled(values: pd.DataFrame, variant: str) -> dict[str, Comparison]:
    """Every other column of `by_seed` against the column `variant`, corrected together."""
    return corrected(pooled(against(values, variant), spread(values)))
