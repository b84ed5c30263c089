"""The answer to a sweep's question on one task, in a few sentences: what is shown, what is ruled out, what is open."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from spike_ssm.reports.render.statements import Statement
from spike_ssm.reports.render.text import PERCENT_95, count, listing, number, percent
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.statistics.resolution import resolution
from spike_ssm.reports.statistics.seeds import (
    VERDICT_SEEDS,
    Comparison,
    Verdict,
    against_reference,
    by_seed,
)

NAMED = 4
"""Variants that a sentence names before it counts the rest."""


def answer(
    runs: pd.DataFrame,
    comparisons: Comparisons,
    controls: Collection[str] = (),
    judged: Sequence[Statement] = (),
    further: Sequence[Statement] = (),
) -> list[Statement]:
    """What the finished `runs` of one task say about its variants, each in a sentence of few words.

    controls: variants that sentences count, and name only where they are about these alone. judged: what is said of
    effects and their controls. further: other answers in a line each, such as on thresholds and speed.
    """
    if comparisons.baseline is None or not comparisons.accuracy:
        found = [_highest(runs)]
    else:
        found = [
            Statement("accuracy", (), _accuracy(comparisons, controls)),
            *judged,
            *_ruled_out(comparisons),
            *_spikes(runs, comparisons, controls),
        ]
    return [*found, *further, *_beside_the_shortcut(runs)]


def of_published_figures(scale: str) -> str:
    """Whether runs of this scale can tell that published figures are reproduced."""
    if scale == "paper":
        return "Whether published figures are reproduced is on the papers' page (python -m reports paper)."
    return "This scale cannot tell whether published figures are reproduced."


def _accuracy(comparisons: Comparisons, controls: Collection[str]) -> str:
    """Which variants are shown to be more or less accurate than the baseline."""
    baseline, accuracy = comparisons.baseline, comparisons.accuracy
    most = max((comparison.difference.n for comparison in accuracy.values()), default=0)
    if not any(comparison.family for comparison in accuracy.values()):
        return f"No verdict yet: it takes {VERDICT_SEEDS} seeds and some spread between them; here: {most}."
    gains = _decided(accuracy, Verdict.HIGHER)
    losses = _decided(accuracy, Verdict.LOWER)
    said = [
        f"{word} accurate than {baseline}: {_by_how_much(names, accuracy, controls)}."
        for word, names in (("More", gains), ("Less", losses))
        if names
    ]
    return " ".join(said) or f"No variant is shown to be more or less accurate than {baseline}."


def _decided(comparisons: Mapping[str, Comparison], verdict: Verdict) -> list[str]:
    """The variants with this verdict, the largest difference first."""
    found = [variant for variant, comparison in comparisons.items() if comparison.verdict is verdict]
    return sorted(found, key=lambda variant: -abs(comparisons[variant].difference.mean))


def _by_how_much(variants: Sequence[str], comparisons: Mapping[str, Comparison], controls: Collection[str]) -> str:
    """The variants with their differences, the largest first; where these are all, the range."""
    points = {variant: number(abs(comparisons[variant].difference.mean) * 100, 1) for variant in variants}
    if len(variants) == len(comparisons) > NAMED:
        return f"all {len(variants)} variants, by {points[variants[-1]]} to {points[variants[0]]} points"
    return _listed({variant: f"{variant} (by {value} points)" for variant, value in points.items()}, controls)


def _listed(named: Mapping[str, str], controls: Collection[str]) -> str:
    """The first of the variants by name, and how many more there are; controls alone are named, others' counted."""
    asked = [text for variant, text in named.items() if variant not in controls] or [*named.values()]
    more = len(asked) - NAMED
    others = len(named) - len(asked)
    rest = [f"{more} more"] if more > 0 else []
    return listing([*asked[:NAMED], *rest, *([count(others, "control")] if others else [])])


def _ruled_out(comparisons: Comparisons) -> list[Statement]:
    """What the seeds exclude where they show no difference, and how many seeds would decide."""
    undecided = [each for each in comparisons.accuracy.values() if not each.verdict.decided]
    found = resolution(undecided)
    if found is None:
        return []
    who = "the variant" if len(undecided) == 1 else f"all {len(undecided)}"
    whose = who if len(undecided) == len(comparisons.accuracy) else f"the other {count(len(undecided), 'variant')}"
    text = (
        f"For {whose}, gains above {number(found.gain * 100, 1)} points and losses above "
        f"{number(found.loss * 100, 1)} ({PERCENT_95} for all at once)."
    )
    if found.needed > found.seeds:
        text += f" Open: to tell one point takes about {found.needed} seeds; there are {found.seeds}."
    return [Statement("ruled out", (), text)]


def _spikes(runs: pd.DataFrame, comparisons: Comparisons, controls: Collection[str]) -> list[Statement]:
    """Which variants are shown to fire less, or more, than the baseline."""
    rates = by_seed(runs, "firing_rate").mean() * 100
    baseline = str(comparisons.baseline)
    if rates.isna().all():
        return []
    if not math.isfinite(rates.get(baseline, math.nan)):
        least = str(rates.idxmin())
        return [Statement("spikes", (), f"Sparsest: {least}, with a firing rate of {percent(rates[least])}.")]
    decided = {
        verdict: sorted(_decided(comparisons.rate, verdict), key=lambda variant: rates[variant])
        for verdict in (Verdict.LOWER, Verdict.HIGHER)
    }
    if not any(comparison.family for comparison in comparisons.rate.values()):
        return []
    own = f"{baseline} ({percent(rates[baseline])})"
    said = [
        f"{word} spikes than {own}: {_listed({name: f'{name} ({percent(rates[name])})' for name in names}, controls)}."
        for word, names in zip(("Fewer", "More"), decided.values(), strict=True)
        if names
    ]
    return [Statement("spikes", (), " ".join(said) or f"No variant is shown to fire less or more than {own}.")]


def _beside_the_shortcut(runs: pd.DataFrame) -> list[Statement]:
    """Which variants are shown to do more than the shortcut."""
    shortcut = by_seed(runs, "shortcut_accuracy")
    if shortcut.isna().all(axis=None):
        return []
    compared = against_reference(by_seed(runs, "test_accuracy"), shortcut)
    above = [variant for variant, each in compared.items() if each.verdict is Verdict.HIGHER]
    level = f"the shortcut ({percent(runs['shortcut_accuracy'].mean() * 100, 2)})"
    if not any(each.family for each in compared.values()):
        return []
    if len(above) == len(compared):
        return [Statement("shortcut", (), f"All variants are shown to lie above {level}.")]
    names = _listed({variant: variant for variant in above}, ())
    text = f"Shown to lie above {level}: {names}." if above else f"No variant is shown to lie above {level}."
    return [Statement("shortcut", (), text)]


def _highest(runs: pd.DataFrame) -> Statement:
    """The highest mean, of a sweep without a baseline."""
    means = by_seed(runs, "test_accuracy").mean()
    if means.isna().all():
        return Statement("accuracy", (), "The finished runs have no test accuracy.")
    best = str(means.idxmax())
    text = f"Highest mean: {best}, {percent(means[best] * 100, 2)}. Without a baseline nothing is tested against it."
    return Statement("accuracy", (), text)
