"""Accuracy at the same firing rate: is a variant better, or does it only spike more?

Variants that differ in one number (a threshold, the weight of a penalty) trace a curve of accuracy against rate. Two
curves are compared where both have measurements on either side: accuracy is interpolated seed by seed, never
extrapolated, and the differences are tested over seeds as everywhere (`reports.statistics.seeds`). One variant alone is
a curve of one point, compared at its own rate. Ours; matching on the nuisance is the usual control.

Interpolated is by a monotone cubic (PCHIP, Fritsch and Butland 1984) in the logarithm of the rate. In simulations of
curves of six shapes and four to six rates (tests/reports/statistics/test_matched_simulated.py) a left-out point lies
within 0.3 points of it on average, where straight lines in the rate, which cut the corners of a bent curve, do not.

No interpolation helps where a point lies below the curve for a reason of its own, as one does whose penalty has ruined
its training. So each curve is put to the same test without an effect: one of its own points, left out, is compared with
the others. That difference, the placebo, should be 0; `Placebo` and `doubt` say what follows where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from spike_ssm.reports.statistics.seeds import Comparison, Interval, by_seed, compare, t_interval
from spike_ssm.results.schema import PlannedRun

FEWEST_RATES = 4
"""Rates that a curve needs for a verdict: with fewer, three are not left when one is left out."""

_NUMBERED = re.compile(r"(?P<stem>.*?)[_ ]?(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)")


@dataclass(frozen=True)
class Curve:
    """Variants along which one number changes, or one variant alone."""

    name: str
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """Finished runs of one task, fractions: one row a seed, one column a variant, NaN where missing."""

    rates: pd.DataFrame
    accuracies: pd.DataFrame

    @classmethod
    def of(cls, runs: pd.DataFrame) -> Measured:
        """From rows with `variant`, `seed`, `firing_rate` and `test_accuracy`."""
        return cls(by_seed(runs, "firing_rate"), by_seed(runs, "test_accuracy"))


@dataclass(frozen=True)
class Placebo:
    """What the comparison finds where there is nothing: a variant of the curve against the curve of the others."""

    variant: str
    difference: Interval  # accuracy, fractions


@dataclass(frozen=True)
class AtRate:
    """Two curves at one firing rate, paired by seed."""

    curve: str
    reference: str
    rate: Interval  # fraction, the common rate over the seeds compared; no values where `problem` says why
    difference: pd.Series[float]  # accuracy of curve minus reference by seed, fractions
    problem: str = ""
    placebos: tuple[Placebo, ...] = ()  # one of each side that is a curve
    untested: str = ""  # why a side has no placebo

    def doubt(self, claim: float) -> str:
        """Why a difference as large as `claim` (a fraction) is no finding; empty where nothing speaks against it."""
        if self.untested:
            return self.untested
        for placebo in self.placebos:
            found = placebo.difference
            if not found.low <= 0 <= found.high:
                return f"{placebo.variant}, left out, lies beside its own curve"
            if found.high - found.low > abs(claim):
                return f"the placebo of {placebo.variant} is less certain than the difference is large"
        return ""


@dataclass(frozen=True)
class Matched:
    """A comparison at matched rate with its test, corrected over all such comparisons of a task."""

    at: AtRate
    comparison: Comparison

    @property
    def doubt(self) -> str:
        """Why a shown difference is not claimed."""
        return self.at.doubt(self.comparison.difference.mean) if self.comparison.verdict.decided else ""


def numbered(label: str) -> tuple[str, str] | None:
    """A label's word and number, `("fixed", "0.5")` of `fixed_0.5`; the word may be empty. None without a number."""
    match = _NUMBERED.fullmatch(label)
    return (match["stem"], match["number"]) if match else None


def curves(planned: Sequence[PlannedRun]) -> list[Curve]:
    """The curves of a sweep, then every variant on none of them, in the manifest's order.

    A curve holds the variants that differ on one axis only, whose labels there are one word with different numbers:
    `fixed_0.5`, `fixed_1` and `fixed_2`, or bare numbers.
    """
    found: dict[tuple[object, ...], dict[str, None]] = {}
    for run in planned:
        axes = {name: label for name, label in run.axes.items() if name != "task"}
        for name, label in axes.items():
            if parts := numbered(label):
                others = tuple((axis, other) for axis, other in axes.items() if axis != name)
                found.setdefault((name, parts[0], others), {})[run.variant] = None
    lines = [tuple(variants) for variants in found.values() if len(variants) > 1]
    traced = [Curve(f"{variants[0]} to {variants[-1]}", variants) for variants in lines]
    on_curve = {variant for curve in traced for variant in curve.variants}
    alone = [name for name in dict.fromkeys(run.variant for run in planned) if name not in on_curve]
    return traced + [Curve(name, (name,)) for name in alone]


def at_matched_rate(measured: Measured, curve: Curve, reference: Curve, baseline: str | None = None) -> AtRate:
    """Accuracy of `curve` minus that of `reference` at a rate both have, for every seed, with the curves' placebos.

    The rate is the `baseline`'s of that seed where every seed's lies within both curves, otherwise the middle of their
    overlap (geometric mean). Seeds without all variants of both are left out. Where any seed's curves do not overlap
    there is no comparison: leaving out just those seeds would choose seeds by their result.
    """
    found = _difference(measured, curve, reference, baseline)
    if found.problem:
        return found
    tested = [_placebo(measured, side, found.rate.mean) for side in (curve, reference) if len(side.variants) > 1]
    return replace(
        found,
        placebos=tuple(each for each in tested if isinstance(each, Placebo)),
        untested=next((each for each in tested if isinstance(each, str)), ""),
    )


def _difference(measured: Measured, curve: Curve, reference: Curve, baseline: str | None = None) -> AtRate:
    """Accuracy of `curve` minus that of `reference`, without placebos."""
    needed = [*curve.variants, *reference.variants]
    if not set(needed) <= set(measured.rates):
        return _none(curve, reference, "a variant has no finished run")
    rates, accuracies = (each[needed].to_numpy(dtype=float) for each in (measured.rates, measured.accuracies))
    complete = np.isfinite(rates).all(axis=1) & np.isfinite(accuracies).all(axis=1)
    if not complete.any():
        return _none(curve, reference, "no seed has a rate for every variant")
    rates, accuracies = rates[complete], accuracies[complete]
    if not (fires := (rates > 0).all(axis=0)).all():
        return _none(curve, reference, f"{needed[int(fires.argmin())]} does not fire at all in a seed")
    parts = slice(0, len(curve.variants)), slice(len(curve.variants), None)
    low = np.max([rates[:, part].min(axis=1) for part in parts], axis=0)
    high = np.min([rates[:, part].max(axis=1) for part in parts], axis=0)
    if apart := int((low > high).sum()):
        return _none(curve, reference, f"no common rate in {apart} of {len(low)} seeds")
    at = np.clip(np.sqrt(low * high), low, high)
    if baseline in measured.rates:
        own = measured.rates[baseline].to_numpy(dtype=float)[complete]
        at = own if ((low <= own) & (own <= high)).all() else at
    ours, theirs = (_interpolated(rates[:, part], accuracies[:, part], at) for part in parts)
    return AtRate(curve.name, reference.name, t_interval(at), pd.Series(ours - theirs, measured.rates.index[complete]))


def _none(curve: Curve, reference: Curve, problem: str) -> AtRate:
    return AtRate(curve.name, reference.name, t_interval([]), pd.Series(dtype=float), problem)


def _interpolated(rates: np.ndarray, accuracies: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Accuracy [seeds] on each seed's curve through points [seeds, n], at `at` [seeds]."""
    each = zip(rates, accuracies, at, strict=True)
    return np.array([float(through(rate, accuracy)(where)) for rate, accuracy, where in each])


def through(rates: np.ndarray, accuracies: np.ndarray) -> Callable[[float | np.ndarray], np.ndarray]:
    """The curve through points [n]: accuracy at rates between the first and the last.

    Points with equal rates count as their mean. A curve of one point is level.
    """
    places, place = np.unique(np.log(rates), return_inverse=True)
    means = np.bincount(place, weights=accuracies) / np.bincount(place)
    if len(places) == 1:
        return lambda at: np.full_like(at, means[0], dtype=float)
    curve = PchipInterpolator(places, means)
    return lambda at: curve(np.clip(np.log(at), places[0], places[-1]))  # a logarithm's last bit may differ


def _placebo(measured: Measured, curve: Curve, rate: float) -> Placebo | str:
    """The variant nearest in rate of those between the curve's ends (these need extrapolation), tested; or why none."""
    if len(curve.variants) < FEWEST_RATES:
        return f"{curve.name} has fewer than {FEWEST_RATES} rates"
    means = measured.rates[list(curve.variants)].mean().sort_values()
    inner = means.index[1:-1]
    for variant in sorted(inner, key=lambda name: abs(np.log(means[name] / rate))):
        others = Curve(curve.name, tuple(name for name in curve.variants if name != variant))
        found = _difference(measured, Curve(variant, (variant,)), others)
        if not found.problem:
            return Placebo(variant, t_interval(found.difference))
    return f"no variant of {curve.name} lies between others in every seed"


def compare_matched(runs: pd.DataFrame, planned: Sequence[PlannedRun], baseline: str | None) -> list[Matched]:
    """Every comparison at matched rate that a task's finished `runs` could allow; empty without a curve.

    Against the baseline's curve where it lies on one, else between every curve and everything else.
    """
    task, measured = set(runs["id"]), Measured.of(runs)
    found = [
        at_matched_rate(measured, curve, reference, baseline)
        for curve, reference in _pairs(curves([run for run in planned if run.id in task]), baseline)
    ]
    compared = compare({place: each.difference for place, each in enumerate(found)})
    return [Matched(each, compared[place]) for place, each in enumerate(found)]


def _pairs(groups: Sequence[Curve], baseline: str | None) -> Iterator[tuple[Curve, Curve]]:
    """(curve, reference) of those that share no variant, at least one with several; the baseline's is the reference."""
    anchored = any(baseline in group.variants and len(group.variants) > 1 for group in groups)
    for first, second in combinations(groups, 2):
        if set(first.variants) & set(second.variants) or len(first.variants) == len(second.variants) == 1:
            continue
        if baseline in first.variants:
            yield second, first
        elif baseline in second.variants or not anchored:
            yield first, second
