"""Which variant of the main table is marked as the best, and which cannot be told from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from spike_ssm.reports.render.table import BEST, NEAR_BEST
from spike_ssm.reports.statistics.pooled import against_pooled
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, Comparison, Verdict, by_seed


def standings(
    runs: pd.DataFrame, baseline: str | None, accuracy: Mapping[str, Comparison], controls: Collection[str] = ()
) -> dict[str, str]:
    """The variant with the highest mean accuracy, and those that tests over seeds cannot tell from it.

    Only variants with the most seeds can be the best: means over different seeds are not comparable. Nothing is marked
    unless the page's own comparisons with the baseline tell the best from it or, where it is the baseline, another from
    it; of `runs` without the baseline, unless a test shows the best above another. A control is never marked: it is
    there to be compared with.

    accuracy: the comparisons with the baseline, of the variants that have its data.
    """
    values = by_seed(runs, "test_accuracy").dropna(axis=1, how="all")
    values = values[[variant for variant in values if variant not in controls]]
    if values.shape[1] < 2:
        return {}
    complete = values.count() == values.count().max()
    best = str(values.loc[:, complete].mean().idxmax())
    told, compared = _told(values, best, baseline, accuracy)
    if not told:
        return {}
    near = {
        variant: NEAR_BEST
        for variant, each in compared.items()
        if each.difference.n >= VERDICT_SEEDS and not each.verdict.decided
    }
    return {best: BEST} | near


def _told(
    values: pd.DataFrame, best: str, baseline: str | None, accuracy: Mapping[str, Comparison]
) -> tuple[bool, Mapping[str, Comparison]]:
    """Whether `best` may be called so, and the tests of the others against it."""
    if best == baseline and accuracy:
        compared = {name: each for name, each in accuracy.items() if name in values}
    else:
        compared = against_pooled(values, best)
        if best in accuracy:
            compared.pop(str(baseline), None)  # what tells these two apart is said already
            return accuracy[best].verdict is Verdict.HIGHER, compared
    return any(each.verdict is Verdict.LOWER for each in compared.values()), compared
