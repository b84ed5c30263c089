"""What comparisons that decide nothing still rule out, and how many seeds would decide.

A difference that is not shown is not a difference of zero: its interval says how large it may be. Here intervals are
those that hold for a whole family at once (Bonferroni's inequality; Dunn 1961), because a page reads the worst of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy import stats

from spike_ssm.reports.statistics.looks import level_of_a_look
from spike_ssm.reports.statistics.seeds import CONFIDENCE, MARGIN, VERDICT_SEEDS, Comparison, Interval

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
    intervals = [corrected_interval(each) for each in tested]
    return Resolution(
        max(0.0, *(each.high for each in intervals)),
        max(0.0, *(-each.low for each in intervals)),
        max(each.difference.n for each in tested),
        max(_needed(each) for each in tested),
    )


def corrected_interval(comparison: Comparison) -> Interval:
    """The difference with the interval that goes with its verdict; without one where nothing was tested.

    Of a decided comparison the level is that at which Holm's procedure tests it, of an open one that at which all
    intervals of the family hold together (Bonferroni). So the interval leaves out zero where there is a verdict, and
    only there.
    """
    if not comparison.freedom:
        return replace(comparison.difference, half=math.nan)
    is_holms = comparison.verdict.decided and comparison.p > 0
    tests = comparison.adjusted_p / comparison.p if is_holms else comparison.family
    level = level_of_a_look((1 - CONFIDENCE) / tests, comparison.looks)
    quantile = float(stats.t.isf(level / 2, comparison.freedom))
    return replace(comparison.difference, half=quantile * comparison.error)


def _needed(comparison: Comparison) -> int:
    """Seeds for `POWER`, by the normal approximation, which is a little too hopeful for very few."""
    deviation = comparison.error * math.sqrt(comparison.difference.n)
    quantiles = stats.norm.isf((1 - CONFIDENCE) / (2 * comparison.family)) + stats.norm.ppf(POWER)
    return max(VERDICT_SEEDS, math.ceil((float(quantiles) * deviation / MARGIN) ** 2))
