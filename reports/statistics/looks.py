"""What a p is worth where one looks at the seeds several times and may stop at any of the looks.

Five tests at 5 % on growing data claim a difference where there is none in more than 5 % of all studies. So the p of a
look counts by how often the least p of all looks is as small by chance: a group-sequential test with one level for all
looks (Pocock 1977), and its repeated intervals (Jennison and Turnbull 1989), which hold at all looks at once. How often
that is, is known for Student's t at 3, 4, ... N differences: whatever their mean and spread, it follows from standard
normal numbers, of which `SIMULATED` sets are drawn once, with a seed of their own.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

FIRST = 3
"""Seeds at the first look."""

SIMULATED = 200_000


def looks_of(seeds: int) -> int:
    """How often a study of up to so many seeds is looked at: after the third, and after every later one."""
    return max(0, seeds - FIRST + 1)


def at_any_look(p: float, looks: int) -> float:
    """The chance that the least p of `looks` looks is at most `p`, where there is no difference; NaN stays NaN."""
    if looks <= 1 or math.isnan(p):
        return p
    least = _least(looks)
    drawn = (1 + int(np.searchsorted(least, p, side="right"))) / (1 + len(least))
    return min(1.0, looks * p, max(p, drawn))  # far in the tail the bound by Bonferroni, which is sharp there


def level_of_a_look(level: float, looks: int) -> float:
    """The inverse of `at_any_look`: the p that each of `looks` looks must reach for `level` at all of them together."""
    if looks <= 1:
        return level
    least = _least(looks)
    place = int(level * (1 + len(least))) - 2
    return max(level / looks, float(least[place]) if place >= 0 else 0.0)


@cache
def _least(looks: int) -> NDArray[np.float64]:
    """The least p of `looks` looks in each of the simulated studies without a difference, in order."""
    drawn = np.random.default_rng(0).standard_normal((SIMULATED, FIRST + looks - 1))
    n = np.arange(1, drawn.shape[1] + 1)
    mean = drawn.cumsum(axis=1) / n
    squares = (drawn**2).cumsum(axis=1) - n * mean**2
    late = slice(FIRST - 1, None)
    t = np.abs(mean[:, late]) * np.sqrt(n[late] * (n[late] - 1) / squares[:, late])
    return np.sort((2 * special.stdtr(n[late] - 1, -t)).min(axis=1))
