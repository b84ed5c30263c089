"""Variants compared with the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from spike_ssm.reports.statistics.examples import Right, over_examples
from spike_ssm.reports.statistics.followed import Followed, at_all_looks
from spike_ssm.reports.statistics.looks import looks_of
from spike_ssm.reports.statistics.pooled import Spread, against_pooled, spread
from spike_ssm.reports.statistics.seeds import Comparison, against, by_seed, corrected


@dataclass(frozen=True)
class Comparisons:
    """What a task's variants were compared with, in fractions."""

    baseline: str | None  # None where it has no finished run
    accuracy: Mapping[str, Comparison] = field(default_factory=dict)
    rate: Mapping[str, Comparison] = field(default_factory=dict)
    examples: Mapping[str, Comparison] = field(default_factory=dict)  # accuracy, over seeds and test examples
    spread: Spread | None = None  # of accuracy
    decided: Mapping[str, int] | None = None  # variant -> seeds, where these end when it is decided


def compare_with_baseline(
    runs: pd.DataFrame, baseline: str | None, right: Right | None = None, followed: Followed | None = None
) -> Comparisons:
    """Accuracy and firing rate paired with the baseline's; empty where it has no finished run.

    Accuracies with the spread that all variants share. Firing rates spread the more the higher they are: each pair's
    own.
    With the stored predictions, `right`, accuracy is compared over test examples too.
    Where a variant's seeds ended when it was decided, the comparisons are those that were `followed`, and rates are
    compared as at one of as many looks; over test examples nothing is tested then.
    """
    values = by_seed(runs, "test_accuracy")
    if baseline is None or baseline not in values or values[baseline].isna().all():
        return Comparisons(None)
    rate = against(by_seed(runs, "firing_rate"), baseline)
    if followed is not None:
        accuracy = {variant: each for variant, each in followed.accuracy.items() if variant in values}
        looks = looks_of(followed.planned)
        rate = corrected({variant: at_all_looks(each, looks) for variant, each in rate.items()})
        return Comparisons(baseline, accuracy, rate, decided=followed.decided)
    accuracy = against_pooled(values, baseline)
    examples = over_examples(right or {}, baseline, accuracy)
    return Comparisons(baseline, accuracy, rate, examples, spread(values))
