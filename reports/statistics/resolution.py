"""What comparisons that decide nothing still rule out, and how many seeds would decide.

A difference that is not shown is not a difference of zero: its interval says how large it may be. Here intervals are
those that hold for a whole family at once (Bonferroni's inequality; Dunn 1961), because a page reads the worst of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from spike_ssm.reports.statistics.seeds import CONFIDENCE, MARGIN, VERDICT_SEEDS, Comparison

POWER = 0.8
"""How often a difference of `MARGIN` is to be shown where there is one."""


@dataclass(frozen=True)
class Resolution:
    """What open comparisons leave possible, in the units of the values."""

    gain: float  # no true difference lies above it, 95 % for the family
    loss: float  # none lies below minus it
    seeds: int  # the most that one of them has
    needed: int  # seeds that would show a difference of `MARGIN` in `POWER` of all cases, about


def resolution(open_comparisons: Sequence[Comparison]) -> Resolution | None:
    """What tested comparisons that show no difference rule out together; None where none of them was tested."""
    tested = [comparison for comparison in open_comparisons if math.isfinite(comparison.error)]
    if not tested:
        return None
    halves = [_quantile(each) * each.error for each in tested]
    means = [each.difference.mean for each in tested]
    return Resolution(
        max(0.0, *(mean + half for mean, half in zip(means, halves, strict=True))),
        max(0.0, *(half - mean for mean, half in zip(means, halves, strict=True))),
        max(each.difference.n for each in tested),
        max(_needed(each) for each in tested),
    )


def _tail(comparison: Comparison) -> float:
    """The chance of either tail, corrected for the family."""
    return (1 - CONFIDENCE) / (2 * max(1, comparison.family))


def _quantile(comparison: Comparison) -> float:
    return float(stats.t.isf(_tail(comparison), comparison.freedom))


def _needed(comparison: Comparison) -> int:
    """Seeds for `POWER`, by the normal approximation, which is a little too hopeful for very few."""
    deviation = comparison.error * math.sqrt(comparison.difference.n)
    quantiles = stats.norm.isf(_tail(comparison)) + stats.norm.ppf(POWER)
    return max(VERDICT_SEEDS, math.ceil((float(quantiles) * deviation / MARGIN) ** 2))
