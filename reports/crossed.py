"""Differences in accuracy that would hold for new seeds and for new test examples.

Every seed is tested on the same examples, so a difference D[s, e] in being right varies with the seed, with the example
and with both together: crossed random effects, D = mean + seed + example + rest. By the analysis of variance, seeds
and the rest contribute MS_seed / (S E) to the variance of the mean, examples (MS_example - MS_rest) / (S E), if that is
positive. The half width is that of a modified large-sample interval: the root of the sum of t^2 times each, with the
degrees of freedom of each. Satterthwaite's approximation, which is narrower, covers 91 % at three seeds.

Source: Burdick and Graybill, Confidence Intervals on Variance Components, 1992; Graybill and Wang 1980.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from reports.statistics import CONFIDENCE, VERDICT_SEEDS, Interval, holm

Correctness = Mapping[int, "pd.Series[bool]"]
"""Seed -> right or wrong, indexed by (example, label)."""


_LEAST_P = 1e-15


@dataclass(frozen=True)
class Crossed:
    """A mean difference in accuracy, a fraction, and its test; p is NaN without spread."""

    difference: Interval  # n: seeds
    examples: int
    p: float
    adjusted_p: float = math.nan  # Holm, among the variants compared

    @property
    def decided(self) -> bool:
        """Whether a direction may be claimed."""
        return self.adjusted_p < 1 - CONFIDENCE


def crossed(differences: npt.NDArray[np.float64]) -> Crossed:
    """The mean of differences [S, E], S seeds and E examples of at least two, with its 95 % interval and test."""
    seeds, examples = differences.shape
    mean, by_seed, by_example = differences.mean(), differences.mean(1), differences.mean(0)
    rest = differences - by_seed[:, None] - by_example + mean
    of_rest = (rest**2).sum() / ((seeds - 1) * (examples - 1))
    by_examples = max(float(seeds * by_example.var(ddof=1) - of_rest), 0.0) / (seeds * examples)
    by_seeds = float(by_seed.var(ddof=1)) / seeds

    def half(confidence: float) -> float:
        of_seeds, of_examples = (float(stats.t.ppf((1 + confidence) / 2, count - 1)) for count in (seeds, examples))
        return math.hypot(of_seeds * math.sqrt(by_seeds), of_examples * math.sqrt(by_examples))

    if by_seeds + by_examples == 0:
        return Crossed(Interval(float(mean), math.nan, seeds), examples, math.nan)
    p = optimize.brentq(lambda p: half(1 - p) - abs(mean), _LEAST_P, 1) if abs(mean) < half(1 - _LEAST_P) else _LEAST_P
    return Crossed(Interval(float(mean), half(CONFIDENCE), seeds), examples, float(p))


def compare_crossed(right: Mapping[str, Correctness], baseline: str | None) -> dict[str, Crossed]:
    """Every other variant against the baseline, over the seeds and examples that both have, corrected together.

    Variants with fewer than three shared seeds, or without stored predictions, are left out.
    """
    found: dict[str, Crossed] = {}
    for variant, ours in right.items():
        theirs = right.get(baseline or "", {})
        shared = sorted(set(ours) & set(theirs))
        if variant == baseline or len(shared) < VERDICT_SEEDS:
            continue
        columns = [ours[seed].astype(float) - theirs[seed].astype(float) for seed in shared]
        together = pd.concat(columns, axis=1, join="inner").dropna().to_numpy().T
        if together.shape[1] > 1:
            found[variant] = crossed(together)
    adjusted = holm([each.p for each in found.values()])
    return {name: replace(each, adjusted_p=p) for (name, each), p in zip(found.items(), adjusted, strict=True)}
