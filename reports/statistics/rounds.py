"""The median of rounds in which a time was taken, with an interval that needs no distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Median(NamedTuple):
    """A median and its interval; NaN where there are no values, or too few for an interval."""

    value: float
    low: float
    high: float


NONE = Median(math.nan, math.nan, math.nan)


def median(values: Sequence[float], alpha: float = 0.05) -> Median:
    """The median of the values with an interval that misses it with probability `alpha` at most.

    Its ends are two of the values (order statistics; David and Nagaraja 2003, 7.1), as far out as the binomial
    distribution asks for: of six values, the least and the greatest.
    """
    ordered = sorted(values)
    n = len(ordered)
    if not n:
        return NONE
    outside = int(stats.binom.ppf(alpha / 2, n, 0.5))  # values below the lower end, and above the upper one
    if stats.binom.cdf(outside, n, 0.5) > alpha / 2:
        outside -= 1
    middle = float(np.median(ordered))
    return Median(middle, ordered[outside], ordered[n - 1 - outside]) if outside >= 0 else NONE._replace(value=middle)
