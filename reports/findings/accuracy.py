"""Findings in words, generated from the statistics and never stronger than the intervals allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from spike_ssm.reports.findings.differences import differences_from
from spike_ssm.reports.render.statements import Findings, of_several
from spike_ssm.reports.render.text import PERCENT_95, bounds, number, p_value
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.statistics.seeds import (
    VERDICT_SEEDS,
    Comparison,
    Verdict,
    against_reference,
    binomial_half_width,
    by_seed,
)

_SHORTCUT_TEST = "Only a mean shown to lie above it is evidence of more than the shortcut."
_BESIDE_SHORTCUT = {
    Verdict.HIGHER: ("above", "mean accuracy lies above the shortcut."),
    Verdict.OPEN: ("not shown", "these seeds do not show on which side of the shortcut mean accuracy lies."),
    Verdict.LOWER: ("below", "mean accuracy lies below the shortcut."),
    Verdict.NO_SPREAD: (
        "no verdict",
        "every seed lies equally far from the shortcut: no interval, no verdict.",
    ),
    Verdict.TOO_FEW: ("no verdict", f"fewer than {VERDICT_SEEDS} seeds."),
}


def task_findings(runs: pd.DataFrame, comparisons: Comparisons, baseline: str | None) -> list[Findings]:
    """Everything that may be said about the finished runs of one task."""
    found = []
    if comparisons.baseline and comparisons.accuracy:
        found.append(_accuracy_against_baseline(comparisons, comparisons.baseline))
        rates = {variant: rate for variant, rate in comparisons.rate.items() if rate.difference.n}
        if rates:
            found.append(_against_baseline("Firing rate", rates, comparisons.baseline))
    elif comparisons.baseline is None:
        reason = "names no baseline" if baseline is None else f"has no finished run of the baseline {baseline} here"
        found.append(Findings("Accuracy", f"This sweep {reason}, so the variants are not compared with one."))
    return [*found, _above_shortcut(runs)]


def _against_baseline(quantity: str, comparisons: Mapping[str, Comparison], baseline: str) -> Findings:
    statements = tuple(differences_from(baseline, comparisons))
    return Findings(f"{quantity} compared with {baseline}", _lead(comparisons, baseline), statements)


def _accuracy_against_baseline(comparisons: Comparisons, baseline: str) -> Findings:
    """The findings over seeds; what is claimed of these is followed by whether it is shown for new examples too."""
    found = _against_baseline("Accuracy", comparisons.accuracy, baseline)
    statements = tuple(
        replace(item, text=f"{item.text} {_reach(verdict, comparisons, first)}")
        if (verdict := comparisons.accuracy[first].verdict).decided
        else item
        for item in found.statements
        for first in item.variants[:1]  # the only one, where a difference is claimed
    )
    return replace(found, statements=statements)


def _reach(shown: Verdict, comparisons: Comparisons, variant: str) -> str:
    """Whether a difference `shown` for seeds on this test set is shown for new examples of the task."""
    if comparisons.decided is not None:
        return "Claimed for seeds on this test set; new examples are not tested where seeds end with a decision."
    examples = comparisons.examples.get(variant)
    if examples is None:
        return "Claimed for seeds on this test set; without predictions of every seed, not for new examples."
    if not math.isfinite(examples.p):
        return "Claimed for seeds on this test set; for new examples there is no verdict."
    evidence = f"{PERCENT_95} interval {bounds(examples.difference, 100)}, {p_value(examples.adjusted_p)}"
    if examples.verdict is shown:
        return f"Also shown for new examples of the task ({evidence})."
    return f"Claimed for seeds on this test set only: not shown for new examples of the task ({evidence})."


def _lead(comparisons: Mapping[str, Comparison], baseline: str) -> str:
    """The family in a sentence or two."""
    decided = [variant for variant, comparison in comparisons.items() if comparison.verdict.decided]
    family = max(comparison.family for comparison in comparisons.values())
    if not family:
        return f"No verdict: that takes at least {VERDICT_SEEDS} shared seeds, with some spread between them."
    tested = "Differences are paired by seed"
    tested += f"; p is corrected for {family} comparisons (Holm). " if family > 1 else ". "
    if not decided:
        return f"{tested}No variant can be told from {baseline} by these seeds."
    return f"{tested}A difference from {baseline} is shown for {len(decided)} of {len(comparisons)}."


def _above_shortcut(runs: pd.DataFrame) -> Findings:
    """Whether mean accuracy lies above the shortcut's, by the corrected test (stricter than the interval)."""
    accuracy, shortcut = by_seed(runs, "test_accuracy"), by_seed(runs, "shortcut_accuracy")
    title = "Accuracy compared with the shortcut"
    if shortcut.isna().all(axis=None):
        return Findings(title, "The shortcut's accuracy was not measured.")
    found: dict[Verdict, list[str]] = {}
    for variant, comparison in against_reference(accuracy, shortcut).items():
        found.setdefault(comparison.verdict, []).append(variant)
    lead = f"The shortcut reaches {number(runs['shortcut_accuracy'].mean() * 100)} %. {_SHORTCUT_TEST}"
    statements = [
        of_several(tag, found[verdict], text) for verdict, (tag, text) in _BESIDE_SHORTCUT.items() if verdict in found
    ]
    return Findings(title, lead, tuple(statements))


def caveat(runs: pd.DataFrame) -> str:
    """What the intervals over seeds do not contain: another test set."""
    examples = runs["predictions"].map(lambda entries: 0 if entries is None else len(entries)).max()
    if not examples or runs["test_accuracy"].isna().all():
        return ""
    half = binomial_half_width(float(runs["test_accuracy"].mean()), int(examples)) * 100
    return (
        "Unless they speak of new examples, intervals and verdicts describe the variation between seeds on this test "
        f"set of {examples:,} examples. Another test set of that size would move a single accuracy by about "
        f"± {number(half, 1)} points (binomial, {PERCENT_95}); differences between variants on the same examples move "
        "less."
    )
