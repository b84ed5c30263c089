"""The Pareto front of accuracy against firing rate: what is both more accurate and sparser than what?

A front of noisy means is itself noisy, so being on it is a description. That a variant is dominated is a claim: it is
made only where paired tests over seeds show another to be better in accuracy or rate (all pairs and both quantities
corrected together, Holm) and not worse by `MARGIN` in the other of the two (a one-sided test each; both must hold).
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd

from spike_ssm.reports.statistics.pooled import pooled, spread
from spike_ssm.reports.statistics.seeds import CONFIDENCE, MARGIN, Verdict, above, by_seed, corrected, uncorrected

FRONT = "front"
DOMINATED = "dominated"
UNDECIDED = "undecided"
CAVEAT = "A front of noisy means is noisy: other seeds can put other variants on it."


def front(means: pd.DataFrame) -> list[str]:
    """The variants (index) whose `accuracy` no other reaches at as low a `rate`, by rising rate."""
    ordered = means.sort_values(["rate", "accuracy"], ascending=[True, False])
    best_before = ordered["accuracy"].cummax().shift().fillna(-math.inf)
    return [str(variant) for variant in ordered.index[ordered["accuracy"] > best_before]]


def mean_points(runs: pd.DataFrame) -> pd.DataFrame:
    """`accuracy` and `rate`, fractions, of every variant (index) with both: means over seeds that have both.

    Only variants with the most seeds: means over different seeds are not comparable. Empty below two variants.
    """
    shown = runs.dropna(subset=["test_accuracy", "firing_rate"])
    grouped = shown.groupby("variant", sort=False)
    points = grouped[["test_accuracy", "firing_rate"]].mean().set_axis(["accuracy", "rate"], axis=1)
    seeds = grouped["seed"].nunique()
    points = points[seeds == seeds.max()]
    return points if len(points) > 1 else points.iloc[:0]


def places(runs: pd.DataFrame) -> dict[str, str]:
    """FRONT, DOMINATED or UNDECIDED for every variant of `mean_points`.

    Dominated: another's means are at least as good in both, and tests show it better in one and not worse in the other.
    """
    points = mean_points(runs)
    if points.empty:
        return {}
    better = _shown_better(runs, list(points.index))
    on_front = set(front(points))
    found = {}
    for variant, own in points.iterrows():
        as_good = points[(points["accuracy"] >= own["accuracy"]) & (points["rate"] <= own["rate"])].index
        beaten = any((str(other), str(variant)) in better for other in as_good)
        place = DOMINATED if beaten else UNDECIDED
        found[str(variant)] = FRONT if variant in on_front else place
    return found


def _shown_better(runs: pd.DataFrame, variants: list[str]) -> set[tuple[str, str]]:
    """(better, worse): better in accuracy or in rate by the tests of all pairs, and in the other not worse."""
    shown = runs.dropna(subset=["test_accuracy", "firing_rate"])
    gains = {"accuracy": by_seed(shown, "test_accuracy"), "rate": -by_seed(shown, "firing_rate")}
    of = {name: dict(zip(gain, gain.to_numpy().T, strict=True)) for name, gain in gains.items()}
    pairs = list(combinations(variants, 2))
    found = {
        name: uncorrected({(*pair, name): own[pair[0]] - own[pair[1]] for pair in pairs}) for name, own in of.items()
    }
    compared = corrected(pooled(found["accuracy"], spread(gains["accuracy"])) | found["rate"])
    better, rests = [], []
    for (first, second, name), comparison in compared.items():
        if comparison.verdict.decided:
            one, other = (first, second) if comparison.verdict is Verdict.HIGHER else (second, first)
            rest = of["rate" if name == "accuracy" else "accuracy"]
            better.append((one, other))
            rests.append(rest[one] - rest[other])
    not_worse = above(np.array(rests), -MARGIN) < 1 - CONFIDENCE if rests else ()
    return {pair for pair, holds in zip(better, not_worse, strict=True) if holds}
