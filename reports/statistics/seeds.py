"""What a handful of seeds can and cannot show.

Intervals are Student's t over seeds (Student 1908; `scipy.stats.t`): a percentile bootstrap over three seeds
covers 74 %, not 95 %, so it is never used here. Verdicts are paired t-tests over seeds, because runs with one
seed see the same batches; many comparisons are corrected together by Holm's procedure (Holm 1979). Below
`VERDICT_SEEDS` seeds there is no verdict, and no interval either: that of two is 12.7 standard errors wide each way,
and says nothing but that two are too few. Their values are shown instead. What also holds for other test examples is
in `reports.statistics.examples`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Key = TypeVar("Key", bound=Hashable)
"""What a comparison is known by: a variant, or whatever else a family of comparisons is about."""

CONFIDENCE = 0.95
VERDICT_SEEDS = 3
MARGIN = 0.01
"""Accuracies, or firing rates, this close, a fraction, are the same for people: one point."""

NO_SPREAD = 1e-9  # differences closer than this are equal: rounding of fractions, far below one test example


class Verdict(Enum):
    """What a paired comparison over seeds allows to be said."""

    HIGHER = "higher"
    LOWER = "lower"
    OPEN = "no difference shown"
    NO_SPREAD = "no verdict: every seed gives the same difference"
    TOO_FEW = "no verdict: fewer than three seeds"

    @property
    def decided(self) -> bool:
        """True when a direction may be claimed."""
        return self in (Verdict.HIGHER, Verdict.LOWER)


@dataclass(frozen=True)
class Interval:
    """A mean with the half width of its 95 % t-interval and the values' range, all in the units of the values."""

    mean: float  # NaN without values
    half: float  # NaN below `VERDICT_SEEDS` values
    n: int
    least: float = math.nan  # NaN where the values are not known
    most: float = math.nan

    @property
    def low(self) -> float:
        """Lower bound."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper bound."""
        return self.mean + self.half


@dataclass(frozen=True)
class Comparison:
    """Paired differences over seeds and what they show."""

    difference: Interval  # units of the values
    p: float  # two-sided paired t; NaN below three seeds or without spread
    adjusted_p: float  # Holm over `family` comparisons
    family: int
    verdict: Verdict
    freedom: int = 0  # degrees of freedom of the t-test; 0 without one
    looks: int = 1  # at growing numbers of seeds, for all of which p and interval hold together
    level: float = 1 - CONFIDENCE  # of the interval at each of them

    @property
    def error(self) -> float:
        """The standard error of the difference; NaN without a test."""
        return self.difference.half / _quantile(self.freedom, self.level) if self.freedom else math.nan


@dataclass(frozen=True)
class Disagreement:
    """Test examples, pooled over seeds, that only one of two variants has right: a description, not a test.

    Examples of one test set are shared by the seeds, so the pooled counts are not independent trials.
    """

    examples: int
    only_variant: int
    only_baseline: int


def t_interval(values: Iterable[float]) -> Interval:
    """Mean and 95 % t-interval of independent values, one a seed; NaN are left out.

    half = t(0.975, n - 1) * sd / sqrt(n), with sd the sample standard deviation (n - 1 in the denominator); NaN below
    `VERDICT_SEEDS` values.
    """
    return Sample.of(np.asarray(list(values), dtype=float)[np.newaxis]).interval(0)


@dataclass(frozen=True)
class Sample:
    """Many samples at once, of one value a seed: arrays with a place a sample."""

    n: NDArray[np.int_]
    mean: NDArray[np.float64]  # NaN without values
    error: NDArray[np.float64]  # standard error of the mean; NaN below `VERDICT_SEEDS` values
    least: NDArray[np.float64]
    most: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Sample:
        """The samples in the rows of `values` [samples, seeds]; what is not finite is left out."""
        there = np.isfinite(values)
        n = there.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(there, values, 0.0).sum(axis=1) / n
            squares = np.where(there, values - mean[:, np.newaxis], 0.0) ** 2
            error = np.sqrt(squares.sum(axis=1) / (n - 1)) / np.sqrt(n)
        least, most = (
            np.where(n > 0, extreme(np.where(there, values, beyond), axis=1, initial=beyond), np.nan)
            for extreme, beyond in ((np.min, np.inf), (np.max, -np.inf))
        )
        return cls(n, mean, np.where(n >= VERDICT_SEEDS, error, np.nan), least, most)

    @property
    def is_flat(self) -> NDArray[np.bool_]:
        """True for samples of several values that are equal."""
        return (self.n > 1) & (self.most - self.least < NO_SPREAD)

    def interval(self, place: int) -> Interval:
        """Mean and 95 % t-interval of a sample."""
        n = int(self.n[place])
        half = _quantile(n - 1) * float(self.error[place]) if n >= VERDICT_SEEDS else math.nan
        return Interval(float(self.mean[place]), half, n, float(self.least[place]), float(self.most[place]))

    def t(self, bound: float = 0.0) -> NDArray[np.float64]:
        """Student's t of each mean against `bound`; NaN below `VERDICT_SEEDS` values and where all are equal.

        Without spread t is infinite, which is rounding, not evidence.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.is_flat, np.nan, (self.mean - bound) / self.error)


@cache
def _quantile(freedom: int, level: float = 1 - CONFIDENCE) -> float:
    """Student's t at the upper end of a two-sided interval that misses with the probability `level`, 5 %."""
    return float(stats.t.isf(level / 2, freedom))


def welch_interval(ours: Iterable[float], theirs: Iterable[float]) -> Interval:
    """Difference of two means, ours minus theirs, with Welch's 95 % interval, for values that are not paired.

    The half width is NaN where either has fewer than `VERDICT_SEEDS` values or neither has any spread; `n` is the
    smaller count.
    """
    first, second = (np.asarray(list(values), dtype=float) for values in (ours, theirs))
    n = min(len(first), len(second))
    difference = float(first.mean() - second.mean()) if n else math.nan
    if n < VERDICT_SEEDS or max(np.ptp(first), np.ptp(second)) < NO_SPREAD:
        return Interval(difference, math.nan, n)
    found = stats.ttest_ind(first, second, equal_var=False).confidence_interval(CONFIDENCE)
    return Interval(difference, float(found.high - found.low) / 2, n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN (no test) stays NaN and is not counted."""
    tested = sorted((p, position) for position, p in enumerate(p_values) if math.isfinite(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, position) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        adjusted[position] = largest
    return adjusted


def above(differences: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """p of the one-sided t-test that the mean of each row of `differences` [samples, seeds] lies above `bound`.

    NaN below three or without spread.
    """
    sample = Sample.of(differences)
    return np.asarray(stats.t.sf(sample.t(bound), sample.n - 1))


def by_seed(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """`metric` with one row a seed and one column a variant, in the order of `runs`; NaN where missing."""
    variants = list(dict.fromkeys(runs["variant"]))
    means = runs.groupby(["seed", "variant"], sort=True)[metric].mean()
    return means.unstack("variant").reindex(columns=variants)


def compare(differences: Mapping[Key, pd.Series[float] | NDArray[np.float64]]) -> dict[Key, Comparison]:
    """Each of the differences (one a seed) tested against zero, corrected together as one family."""
    return corrected(uncorrected(differences))


def corrected(tested: Mapping[Key, Comparison]) -> dict[Key, Comparison]:
    """Comparisons with their own p, corrected together as one family and judged."""
    adjusted = holm([comparison.p for comparison in tested.values()])
    family = sum(math.isfinite(p) for p in adjusted)
    return {
        key: _judge(replace(comparison, adjusted_p=p, family=family))
        for (key, comparison), p in zip(tested.items(), adjusted, strict=True)
    }


def uncorrected(differences: Mapping[Key, pd.Series[float] | NDArray[np.float64]]) -> dict[Key, Comparison]:
    """The paired t-test of each before correction."""
    values = [np.asarray(differences[key], dtype=float) for key in differences]
    table = np.full((len(values), max(map(len, values), default=0)), math.nan)
    for row, each in zip(table, values, strict=True):
        row[: len(each)] = each
    sample = Sample.of(table)
    p = np.asarray(2 * stats.t.sf(np.abs(sample.t()), sample.n - 1))
    flat = sample.is_flat
    return {
        key: _before_correction(sample.interval(place), float(p[place]), bool(flat[place]))
        for place, key in enumerate(differences)
    }


def _before_correction(interval: Interval, p: float, flat: bool) -> Comparison:
    if flat:
        interval = replace(interval, half=math.nan)
    if flat or interval.n < VERDICT_SEEDS:
        verdict = Verdict.TOO_FEW if interval.n < VERDICT_SEEDS else Verdict.NO_SPREAD
        return Comparison(interval, math.nan, math.nan, 0, verdict)
    return Comparison(interval, p, math.nan, 0, Verdict.OPEN, interval.n - 1)


def with_spread(comparisons: Mapping[Key, Comparison], sd: float, freedom: int) -> dict[Key, Comparison]:
    """The comparisons before correction, if differences of one seed have the standard deviation `sd`, known so well.

    Without verdict below `VERDICT_SEEDS` seeds, as ever.
    """
    known = {key: each for key, each in comparisons.items() if each.difference.n >= VERDICT_SEEDS}
    errors = sd / np.sqrt([each.difference.n for each in known.values()])
    p = 2 * stats.t.sf(np.abs([each.difference.mean for each in known.values()]) / errors, freedom)
    return {**comparisons} | {
        key: Comparison(
            replace(each.difference, half=_quantile(freedom) * float(error)), own, math.nan, 0, Verdict.OPEN, freedom
        )
        for (key, each), error, own in zip(known.items(), errors, p.tolist(), strict=True)
    }


def _judge(comparison: Comparison) -> Comparison:
    if not comparison.adjusted_p < 1 - CONFIDENCE:  # whatever a smaller family allowed to say
        return replace(comparison, verdict=Verdict.OPEN) if comparison.verdict.decided else comparison
    verdict = Verdict.HIGHER if comparison.difference.mean > 0 else Verdict.LOWER
    return replace(comparison, verdict=verdict)


def against(values: pd.DataFrame, variant: Hashable) -> dict[str, Comparison]:
    """Every other column of `by_seed` against the column `variant`, paired by seed."""
    return compare({str(other): values[other] - values[variant] for other in values if other != variant})


def against_reference(values: pd.DataFrame, reference: pd.DataFrame) -> dict[str, Comparison]:
    """Every column against the same run's own `reference` (same shape), e.g. the shortcut's accuracy."""
    return compare({str(variant): values[variant] - reference[variant] for variant in values})


def disagreement(
    variant: Mapping[int, pd.Series[bool]], baseline: Mapping[int, pd.Series[bool]]
) -> Disagreement | None:
    """McNemar's discordant counts, pooled over the seeds both have; None when nothing can be matched.

    Both map a seed to correctness indexed by (example, label): only examples whose labels agree are matched.
    """
    shared = [
        pd.concat([variant[seed], baseline[seed]], axis=1, join="inner", keys=["variant", "baseline"])
        for seed in variant
        if seed in baseline
    ]
    pooled = pd.concat(shared) if shared else pd.DataFrame()
    if pooled.empty:
        return None
    ours, theirs = pooled["variant"].to_numpy(dtype=bool), pooled["baseline"].to_numpy(dtype=bool)
    return Disagreement(len(pooled), int((ours & ~theirs).sum()), int((theirs & ~ours).sum()))


def binomial_half_width(accuracy: float, examples: int) -> float:
    """Half width of the normal 95 % interval of one accuracy (a fraction) on `examples` test examples.

    z * sqrt(p (1 - p) / n) (Wald): how far another test set of the same size would move it.
    """
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    return z * math.sqrt(accuracy * (1 - accuracy) / examples) if examples else math.nan
