"""Areas under curves of accuracy against a corruption's level, and their comparison."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spike_ssm.reports.sections.robustness.corruptions import CORRUPTIONS, FULL_PRECISION
from spike_ssm.reports.statistics.pooled import pooled, spread
from spike_ssm.reports.statistics.seeds import Comparison, by_seed, compare, corrected

AREA = (
    "Mean over the levels: the area under the curve of accuracy against the level, by trapezoids from the lowest level "
    "to the highest, the uncorrupted one among them, divided by that range. Bits b count as the step of the rounding, "
    "2^(1 - b) of the range, so that full precision is at 0."
)


def is_evaluated(runs: pd.DataFrame) -> pd.Series[bool]:
    """True for the finished runs that evaluated a trained network under corruptions."""
    return runs["robustness"].map(lambda rows: isinstance(rows, list))


def place_of(level: float, corruption: str) -> float:
    """Place of a level on the axis that areas are taken over."""
    kind = CORRUPTIONS[corruption]
    if not kind.bits:
        return level
    return 0.0 if level == FULL_PRECISION else 2.0 ** (1 - level)


def area(places: list[float], accuracies: list[float]) -> float:
    """Mean accuracy over the range of `places`, which rise, by trapezoids; of one place its accuracy."""
    if len(places) == 1:
        return accuracies[0]
    return float(np.trapezoid(accuracies, places) / (places[-1] - places[0]))


def areas(curves: pd.DataFrame) -> pd.DataFrame:
    """One row a variant, seed and corruption: `clean` and `area`, fractions; NaN where a level has no accuracy.

    Levels at which no variant has an accuracy are left out for all.
    """
    has = curves.groupby(["corruption", "level"])["accuracy"].transform(lambda values: values.notna().any())
    kept = curves[has].copy()
    kept["place"] = [place_of(*pair) for pair in zip(kept["level"], kept["corruption"], strict=True)]
    rows = []
    for (variant, seed, corruption), group in kept.groupby(["variant", "seed", "corruption"], sort=False):
        clean = group["accuracy"].iloc[0]  # the first level changes nothing
        rising = group.sort_values("place")
        found = area(rising["place"].tolist(), rising["accuracy"].tolist())
        rows.append({"variant": variant, "seed": seed, "corruption": corruption, "clean": clean, "area": found})
    return pd.DataFrame(rows, columns=["variant", "seed", "corruption", "clean", "area"])


def compared(found: pd.DataFrame, baseline: str) -> dict[str, dict[str, Comparison]]:
    """Corruption -> variant -> its area compared with the baseline's, paired by seed, all of them one family."""
    tested: dict[tuple[str, str], Comparison] = {}
    for corruption, group in found.groupby("corruption", sort=False):
        values = by_seed(group, "area")
        if baseline in values and values[baseline].notna().any():
            others = values.drop(columns=[baseline]).dropna(axis=1, how="all")
            differences = compare({(str(corruption), str(each)): others[each] - values[baseline] for each in others})
            tested |= pooled(differences, spread(values))
    by_corruption: dict[str, dict[str, Comparison]] = {}
    for (corruption, variant), comparison in corrected(tested).items():
        by_corruption.setdefault(corruption, {})[variant] = comparison
    return by_corruption
