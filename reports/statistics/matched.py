"""Accuracy at the same firing rate: is a variant better, or does it only spike more?

Variants that differ in one number (a threshold, the weight of a penalty) trace a curve of accuracy against rate. Two
curves are compared where both have measurements on either side: accuracy is interpolated linearly in rate, seed by
seed, never extrapolated, and the differences are tested over seeds as everywhere (`reports.statistics.seeds`). One
variant alone is a curve of one point, compared at its own rate. Ours; matching on the nuisance is the usual control.

Linear interpolation cuts the corner of a bent curve: between distant points of a concave one it is too low. The claim
is about the lines drawn between the measured points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from spike_ssm.reports.statistics.seeds import Comparison, Interval, by_seed, compare, t_interval
from spike_ssm.results.schema import PlannedRun

_NUMBERED = re.compile(r"(?P<stem>.*?)[_ ]?(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)")


@dataclass(frozen=True)
class Curve:
    """Variants along which one number changes, or one variant alone."""

    name: str
    variants: tuple[str, ...]


@dataclass(frozen=True)
class AtRate:
    """Two curves at one firing rate, paired by seed."""

    curve: str
    reference: str
    rate: Interval  # fraction, the common rate over the seeds compared; no values where `problem` says why
    difference: pd.Series[float]  # accuracy of curve minus reference by seed, fractions
    problem: str = ""


@dataclass(frozen=True)
class Matched:
    """A comparison at matched rate with its test, corrected over all such comparisons of a task."""

    at: AtRate
    comparison: Comparison


def curves(planned: Sequence[PlannedRun]) -> list[Curve]:
    """The curves of a sweep, then every variant on none of them, in the manifest's order.

    A curve holds the variants that differ on one axis only, whose labels there are one word with different numbers:
    `fixed_0.5`, `fixed_1` and `fixed_2`, or bare numbers.
    """
    found: dict[tuple[object, ...], dict[str, None]] = {}
    for run in planned:
        axes = {name: label for name, label in run.axes.items() if name != "task"}
        for name, label in axes.items():
            if match := _NUMBERED.fullmatch(label):
                others = tuple((axis, other) for axis, other in axes.items() if axis != name)
                found.setdefault((name, match["stem"], others), {})[run.variant] = None
    lines = [tuple(variants) for variants in found.values() if len(variants) > 1]
    traced = [Curve(f"{variants[0]} to {variants[-1]}", variants) for variants in lines]
    on_curve = {variant for curve in traced for variant in curve.variants}
    alone = [name for name in dict.fromkeys(run.variant for run in planned) if name not in on_curve]
    return traced + [Curve(name, (name,)) for name in alone]


def at_matched_rate(runs: pd.DataFrame, curve: Curve, reference: Curve, baseline: str | None = None) -> AtRate:
    """Accuracy of `curve` minus that of `reference` at a rate both have, for every seed.

    `runs` are the finished runs of one task (`variant`, `seed`, `test_accuracy`, `firing_rate`, fractions). The rate
    is the `baseline`'s of that seed where every seed's lies within both curves, otherwise the middle of their overlap.
    Seeds without all variants of both are left out. Where any seed's curves do not overlap there is no comparison:
    leaving out just those seeds would choose seeds by their result.
    """
    rates, accuracies = by_seed(runs, "firing_rate"), by_seed(runs, "test_accuracy")
    needed = [*curve.variants, *reference.variants]
    if not set(needed) <= set(rates):
        return _none(curve, reference, "a variant has no finished run")
    complete = rates[needed].notna().all(axis=1) & accuracies[needed].notna().all(axis=1)
    rates, accuracies = rates[complete], accuracies[complete]
    if rates.empty:
        return _none(curve, reference, "no seed has a rate for every variant")
    sides = [rates[list(side.variants)] for side in (curve, reference)]
    low = pd.concat([side.min(axis=1) for side in sides], axis=1).max(axis=1)
    high = pd.concat([side.max(axis=1) for side in sides], axis=1).min(axis=1)
    if (low > high).any():
        apart = int((low > high).sum())
        return _none(curve, reference, f"no common rate in {apart} of {len(low)} seeds")
    chosen = (low + high) / 2
    if baseline in rates and rates[baseline].between(low, high).all():
        chosen = rates[baseline]
    ours, theirs = (_interpolated(side, accuracies, chosen) for side in sides)
    return AtRate(curve.name, reference.name, t_interval(chosen), ours - theirs)


def _none(curve: Curve, reference: Curve, problem: str) -> AtRate:
    return AtRate(curve.name, reference.name, t_interval([]), pd.Series(dtype=float), problem)


def _interpolated(rates: pd.DataFrame, accuracies: pd.DataFrame, at: pd.Series[float]) -> pd.Series[float]:
    """Accuracy on the lines between a curve's points, seed by seed; points with equal rates count as their mean."""
    found = {}
    for seed in rates.index:
        points = accuracies.loc[seed, rates.columns].groupby(rates.loc[seed].to_numpy()).mean()
        found[seed] = float(np.interp(at[seed], points.index.to_numpy(), points.to_numpy()))
    return pd.Series(found, dtype=float)


def compare_matched(runs: pd.DataFrame, planned: Sequence[PlannedRun], baseline: str | None) -> list[Matched]:
    """Every comparison at matched rate that a task's finished `runs` could allow; empty without a curve.

    Against the baseline's curve where it lies on one, else between every curve and everything else.
    """
    task = set(runs["id"])
    found = [
        at_matched_rate(runs, curve, reference, baseline)
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
