"""Which variants no other one beats in accuracy and sparsity at once."""

from __future__ import annotations

import pandas as pd


def pareto_front(accuracy: pd.Series[float], rate: pd.Series[float]) -> list[str]:
    """The variants, sparsest first, for which no other has an accuracy as high at a firing rate as low, and one better.

    Both are indexed by variant; those with a NaN are left out. Of mean values: noise decides between close ones.
    """
    points = pd.DataFrame({"accuracy": accuracy, "rate": rate}).dropna()
    front: list[str] = []
    for variant, point in points.iterrows():
        as_good = (points["accuracy"] >= point["accuracy"]) & (points["rate"] <= point["rate"])
        better = (points["accuracy"] > point["accuracy"]) | (points["rate"] < point["rate"])
        if not (as_good & better).any():
            front.append(str(variant))
    return [str(variant) for variant in points.loc[front].sort_values("rate").index]
