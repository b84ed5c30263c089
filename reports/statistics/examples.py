"""Differences in accuracy over seeds and test examples: would another test set of the task show them too?

Seeds and examples are two crossed sources of variation: every seed answers every example, runs of one seed share their
batches, and the seeds share their examples. With d[s, e] in {-1, 0, 1}, right answers of a variant minus those of the
baseline, the model is d = mean + seed + example + rest, all random (Searle, Casella and McCulloch 1992, Variance
Components, chapter 4). The mean of S seeds and E examples then has the variance

    (var_seed / S + var_rest / (S E)) + var_example / E.

Its first part is estimated without bias by the variance of the seeds' means over S, with S - 1 degrees of freedom: it
is the one behind the t-test over seeds. The last is what the examples' means vary beyond the rest, by the method of
moments, never below zero. Added up with Satterthwaite's degrees of freedom they claim too much at three seeds (92 % in
simulation), so each gets its own t-quantile instead (Banerjee 1960, Sankhya 22; Mickey and Brown 1966, Annals of
Mathematical Statistics 37):

    half width^2 = max(t(S - 1)^2 first, t((S - 1)(E - 1))^2 rest) + t(E - 1)^2 last.

That covers at least 95 %, because the distribution function of chi-squared with one degree of freedom is concave; and
it is never narrower than the interval over seeds alone, so a claim about new examples always includes the one about
this test set. Where variants share their spread over seeds (`reports.statistics.pooled`), the first part is theirs.
The maximum is ours: a few seeds that agree by chance look as if answers did not vary, but how much they do is known
from the many examples. p is the level at which the interval begins to leave out zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtrit

from spike_ssm.reports.statistics.seeds import (
    CONFIDENCE,
    NO_SPREAD,
    VERDICT_SEEDS,
    Comparison,
    Interval,
    Verdict,
    corrected,
)

Right = Mapping[str, Mapping[int, "pd.Series[bool]"]]
"""Variant -> seed -> right or wrong, indexed by (example, label): `reports.loading.sweep.correctness`."""

_SMALLEST_P = 1e-12


@dataclass(frozen=True)
class Parts:
    """Means of differences and the parts of their variance, of which `rest` is within `seeds` too."""

    mean: NDArray[np.float64]
    seeds: NDArray[np.float64]
    rest: NDArray[np.float64]
    examples: NDArray[np.float64]
    shape: tuple[int, int]  # seeds, examples
    freedom: int  # degrees of freedom of `seeds`

    def half_width(self, p: float) -> NDArray[np.float64]:
        """Half width of the interval of confidence 1 - `p`; see the module's docstring."""
        seeds, examples = self.shape
        over_seeds, over_rest, over_examples = (
            -stdtrit(freedom, p / 2) for freedom in (self.freedom, (seeds - 1) * (examples - 1), examples - 1)
        )  # stats.t.isf without its checks, which take most of the time of a root
        first = np.maximum(over_seeds**2 * self.seeds, over_rest**2 * self.rest)
        return np.sqrt(first + over_examples**2 * self.examples)


def parts(differences: NDArray[np.float64]) -> Parts:
    """The parts of `differences` [..., seeds, examples], at least two of each; theirs is the leading shape."""
    seeds, examples = differences.shape[-2:]
    by_seed = differences.mean(axis=-1)
    by_example = differences.mean(axis=-2)
    mean = by_seed.mean(axis=-1)
    squares = (differences**2).sum(axis=(-2, -1)) - examples * (by_seed**2).sum(axis=-1)
    squares += seeds * examples * mean**2 - seeds * (by_example**2).sum(axis=-1)
    of_rest = np.maximum(squares, 0.0) / ((seeds - 1) * (examples - 1)) / (seeds * examples)
    of_examples = np.maximum(by_example.var(axis=-1, ddof=1) / examples - of_rest, 0.0)
    of_seeds = by_seed.var(axis=-1, ddof=1) / seeds
    return Parts(mean, of_seeds, of_rest, of_examples, (seeds, examples), seeds - 1)


def crossed(differences: NDArray[np.float64], over_seeds: Comparison | None = None) -> Comparison:
    """The mean of `differences` [seeds, examples] with its interval and p, not yet corrected for others.

    The first part of its variance is that of the comparison `over_seeds`, whose spread other variants may share.
    Without verdict, as over seeds alone, below `VERDICT_SEEDS` seeds and where every seed has the same mean.
    """
    seeds, examples = differences.shape
    has_spread = over_seeds is not None and over_seeds.freedom > 0
    flat = not has_spread and float(np.ptp(differences.mean(axis=1))) < NO_SPREAD
    if seeds < VERDICT_SEEDS or examples < 2 or flat:
        verdict = Verdict.TOO_FEW if seeds < VERDICT_SEEDS or examples < 2 else Verdict.NO_SPREAD
        return Comparison(Interval(float(differences.mean()), math.nan, seeds), math.nan, math.nan, 0, verdict)
    found = parts(differences)
    if over_seeds is not None and has_spread:
        found = replace(found, seeds=np.array(over_seeds.error**2), freedom=over_seeds.freedom)
    mean = float(found.mean)

    def beyond(p: float) -> float:
        return float(found.half_width(p)) - abs(mean)

    p = float(brentq(beyond, _SMALLEST_P, 1.0, xtol=_SMALLEST_P)) if beyond(_SMALLEST_P) > 0 else _SMALLEST_P
    half = float(found.half_width(1 - CONFIDENCE))
    return Comparison(Interval(mean, half, seeds), p, math.nan, 0, Verdict.OPEN)


def over_examples(right: Right, baseline: str, accuracy: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """Every variant of `accuracy` (its comparisons over seeds) with the baseline, over seeds and examples.

    Left out are variants without predictions, of both, for all seeds of the comparison over seeds, or with predictions
    that do not add up to its difference: a verdict would be on another one. Corrected as one family (Holm).
    """
    found = {}
    for variant, comparison in accuracy.items():
        ours, theirs = right.get(variant, {}), right.get(baseline, {})
        seeds = sorted(set(ours) & set(theirs))
        if seeds and len(seeds) == comparison.difference.n:
            answers = _aligned([*(ours[seed] for seed in seeds), *(theirs[seed] for seed in seeds)])
            differences = answers[: len(seeds)] - answers[len(seeds) :]
            off = abs(differences.mean() - comparison.difference.mean) if differences.size else math.inf
            if off * answers.shape[1] < 0.5:  # half an example
                found[variant] = crossed(differences, comparison)
    return corrected(found)


def _aligned(answers: Sequence[pd.Series[bool]]) -> NDArray[np.float64]:
    """[answers, examples] of the examples that all have with one label."""
    first = answers[0].index
    if not all(each.index.equals(first) for each in answers[1:]):
        shared = reduce(lambda left, right: left.intersection(right), (each.index for each in answers))
        answers = [each.reindex(shared) for each in answers]
    return np.stack([each.to_numpy(dtype=np.float64) for each in answers])
