"""The tests behind the findings, as tables: differences to the baseline, and differences at one firing rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, bare_p_value, bounds, number, plus_minus
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.statistics.matched import FEWEST_RATES, AtRate, Matched
from spike_ssm.reports.statistics.pooled import Spread
from spike_ssm.reports.statistics.seeds import Comparison, Disagreement

_TESTED = ("95 % interval", "p", "p, Holm")


def comparison_table(
    comparisons: Comparisons, disagreements: Mapping[str, Disagreement | None], looks: Mapping[str, Look]
) -> Table | None:
    """Paired differences to the baseline with their tests; None where there is nothing to compare."""
    if not comparisons.accuracy:
        return None
    groups = {
        "Accuracy, over seeds": ("difference, points", *_TESTED),
        "Accuracy, over seeds and examples": _TESTED,
        "Firing rate, over seeds": ("difference, points", *_TESTED),
        "Answers only one has right": ("variant", "baseline"),
    }
    rows = []
    for variant, accuracy in comparisons.accuracy.items():
        cells = [*compared_cells(accuracy), *_tested(comparisons.examples.get(variant))]
        cells += compared_cells(comparisons.rate.get(variant))
        counts = disagreements.get(variant)
        cells += [f"{counts.only_variant:,}", f"{counts.only_baseline:,}"] if counts else [ABSENT, ABSENT]
        rows.append(Row(variant, tuple(cells), looks[variant]))
    return Table(
        f"Paired differences to {comparisons.baseline}",
        "Variant",
        tuple(Heading(text, group) for group, texts in groups.items() for text in texts),
        tuple(rows),
        _notes(comparisons, disagreements),
    )


def _notes(comparisons: Comparisons, disagreements: Mapping[str, Disagreement | None]) -> tuple[str, ...]:
    notes = [
        "Over seeds: paired by seed (t-test, two-sided), what other seeds would show on this test set. "
        f"{_spread_note(comparisons.spread)}"
    ]
    if comparisons.examples:
        notes.append(
            "Over seeds and examples: from the stored predictions, what other seeds would show on other examples of "
            "the task; the interval contains the one over seeds."
        )
    examples = max((counts.examples for counts in disagreements.values() if counts), default=0)
    if examples:
        notes.append(
            f"Answers only one has right: of up to {examples:,}, pooled over test examples and seeds. "
            "A description, not a test: the seeds share their examples."
        )
    return tuple(notes)


def _spread_note(shared: Spread | None) -> str:
    """Whose spread the tests of accuracy over seeds take."""
    if shared is None:
        return ""
    if not shared.is_shared:
        return (
            f"Variants spread differently (Bartlett, p = {bare_p_value(shared.alike_p)}): each pair has its own spread."
        )
    return (
        f"All pairs share one spread of accuracy, that of a run about its variant and seed, {number(shared.sd * 100)} "
        f"points with {shared.freedom} degrees of freedom; of firing rates each pair has its own."
    )


def matched_table(matched: Sequence[Matched]) -> Table | None:
    """Accuracy at a common firing rate; None where nothing traces a curve."""
    if not matched:
        return None
    texts = ("compared with", "at rate, %", "difference, points", *_TESTED, "seeds", "placebo, points", "verdict")
    rows = []
    for each in matched:
        at = plus_minus(each.at.rate.mean * 100, each.at.rate.half * 100)
        cells = [at, *compared_cells(each.comparison), str(each.comparison.difference.n), placebos(each.at)]
        cells.append(f"withheld: {each.doubt}" if each.doubt else each.comparison.verdict.value)
        if each.at.problem:
            cells = [each.at.problem, *[ABSENT] * 7]
        rows.append(Row(each.at.curve, (each.at.reference, *cells)))
    notes = (
        "Accuracy on the curve through a side's variants (a monotone cubic in the logarithm of the rate), seed by "
        "seed, never beyond its ends; the rate is the baseline's where all reach it, else the middle of what both "
        "reach.",
        "Differences are paired by seed (t-test, two-sided).",
        PLACEBO_NOTE,
    )
    return Table("Accuracy at matched firing rate", "Curve", tuple(map(Heading, texts)), tuple(rows), notes)


PLACEBO_NOTE = (
    "Placebo: the same comparison where there is no effect, the curve's own variant nearest in rate, left out, against "
    "the curve of the others. A verdict is withheld where its 95 % interval leaves out 0 or is wider than the "
    f"difference, and where a curve has fewer than {FEWEST_RATES} rates."
)


def placebos(at: AtRate) -> str:
    """What was found where there is nothing, of each curve of a comparison: `plain_1: −0.53 ± 0.81`."""
    found = [(each.variant, each.difference) for each in at.placebos]
    shown = [f"{name}: {plus_minus(each.mean * 100, each.half * 100, signed=True)}" for name, each in found]
    return "; ".join(shown) or ABSENT


def compared_cells(comparison: Comparison | None) -> list[str]:
    """Difference in points, its interval, p and corrected p."""
    if comparison is None or comparison.difference.n == 0:
        return [ABSENT] * 4
    return [number(comparison.difference.mean * 100, signed=True), *_tested(comparison)]


def _tested(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return [ABSENT] * 3
    difference = comparison.difference
    interval = bounds(difference, 100) if math.isfinite(difference.half) else ABSENT
    return [interval, bare_p_value(comparison.p), bare_p_value(comparison.adjusted_p)]
