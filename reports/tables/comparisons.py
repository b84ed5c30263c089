"""The tests behind the findings, as tables: differences to the baseline, and differences at one firing rate."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, bare_p_value, number
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.statistics.pooled import Spread
from spike_ssm.reports.statistics.seeds import Disagreement
from spike_ssm.reports.tables.differences import TESTED, compared_cells, numbers_of, tested_cells

_ACCURACY, _RATE = "Accuracy, over seeds", "Firing rate, over seeds"
_SEEN = {
    *((_ACCURACY, text) for text in ("difference, points", "95 % interval", "p, Holm")),
    *((_RATE, text) for text in ("difference, points", "p, Holm")),
}
"""Group and text of the headings that are seen at first."""


def comparison_table(
    comparisons: Comparisons, disagreements: Mapping[str, Disagreement | None], looks: Mapping[str, Look]
) -> Table | None:
    """Paired differences to the baseline with their tests; None where there is nothing to compare."""
    if not comparisons.accuracy:
        return None
    groups = {
        _ACCURACY: ("difference, points", *TESTED),
        "Accuracy, over seeds and examples": TESTED,
        _RATE: ("difference, points", *TESTED),
        "Answers only one has right": ("variant", "baseline"),
    }
    rows, numbers = [], []
    for variant, accuracy in comparisons.accuracy.items():
        cells = [*compared_cells(accuracy), *tested_cells(comparisons.examples.get(variant))]
        cells += compared_cells(comparisons.rate.get(variant))
        counts = disagreements.get(variant)
        cells += [f"{counts.only_variant:,}", f"{counts.only_baseline:,}"] if counts else [ABSENT, ABSENT]
        rows.append(Row(variant, tuple(cells), looks[variant]))
        row: dict[str, float | str] = {"variant": variant, **numbers_of(accuracy, "accuracy_")}
        row |= numbers_of(comparisons.examples.get(variant), "accuracy_over_examples_")
        row |= numbers_of(comparisons.rate.get(variant), "firing_rate_")
        row |= (
            {"only_variant_right": counts.only_variant, "only_baseline_right": counts.only_baseline} if counts else {}
        )
        numbers.append(row)
    return Table(
        f"Paired differences to {comparisons.baseline}",
        "Variant",
        tuple(
            Heading(text, group, rest=(group, text) not in _SEEN) for group, texts in groups.items() for text in texts
        ),
        tuple(rows),
        _notes(comparisons, disagreements),
        numbers=pd.DataFrame(numbers),
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
