"""Effects beside plainer variants under the same setting: the penalty on the firing rate that their names end with.

Where that number is a penalty's weight both were trained for the same aim, so they are compared as they are, with
nothing interpolated (`reports.statistics.controls` compares at one firing rate instead). Ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from spike_ssm.reports.statistics.matched import numbered
from spike_ssm.reports.statistics.pooled import pooled, spread
from spike_ssm.reports.statistics.seeds import Comparison, by_seed, compare, corrected
from spike_ssm.results.schema import Controls, Effect


@dataclass(frozen=True)
class Beside:
    """An effect minus a variant without it whose name ends with the same number, paired by seed, fractions."""

    effect: str
    other: str
    accuracy: Comparison
    rate: Comparison


def under_one_setting(runs: pd.DataFrame, controls: Controls) -> list[Beside]:
    """Each effect on the task of the finished `runs` against its controls and rates with its number: `x_10`, `y_10`.

    Accuracies have the spread that all variants of the task share, and are corrected as one family, rates as another.
    """
    accuracies, rates = by_seed(runs, "test_accuracy"), by_seed(runs, "firing_rate")
    there = set(accuracies)
    pairs = [
        (effect.variant, other)
        for effect in controls.effects
        for other in _with_its_number(effect)
        if {effect.variant, other} <= there
    ]
    differences = {pair: accuracies[pair[0]] - accuracies[pair[1]] for pair in pairs}
    more_accurate = corrected(pooled(compare(differences), spread(accuracies)))
    more_often = compare({pair: rates[pair[0]] - rates[pair[1]] for pair in pairs})
    return [Beside(*pair, more_accurate[pair], more_often[pair]) for pair in pairs]


def _with_its_number(effect: Effect) -> Iterator[str]:
    """What the effect is compared with, as far as the one label in which they differ ends with the same number."""
    for other in dict.fromkeys((*effect.rates, *effect.controls)):
        labels = zip(effect.variant.split(" / "), other.split(" / "), strict=False)
        apart = [(numbered(ours), numbered(its)) for ours, its in labels if ours != its]
        if len(apart) == 1 and apart[0][0] and apart[0][1] and apart[0][0][1] == apart[0][1][1]:
            yield other
