"""The cells of a tested difference, the same in every table."""

from __future__ import annotations

from spike_ssm.reports.render.text import ABSENT, bare_p_value, bounds, estimate, mean_of
from spike_ssm.reports.statistics.matched import FEWEST_RATES, AtRate
from spike_ssm.reports.statistics.seeds import Comparison

TESTED = ("95 % interval", "p", "p, Holm")
"""Headings of `tested_cells`."""


PLACEBO_NOTE = (
    "Placebo: the same comparison where there is no effect, the curve's own variant nearest in rate, left out, against "
    "the curve of the others. A verdict is withheld where its 95 % interval leaves out 0 or is wider than the "
    f"difference, and where a curve has fewer than {FEWEST_RATES} rates."
)
"""What placebos are, under each table that has some."""


def compared_cells(comparison: Comparison | None) -> list[str]:
    """Difference in points, its interval, p and corrected p."""
    if comparison is None or comparison.difference.n == 0:
        return [ABSENT] * 4
    return [mean_of(comparison.difference, 100, signed=True), *tested_cells(comparison)]


def tested_cells(comparison: Comparison | None) -> list[str]:
    """Interval in points, p and corrected p."""
    if comparison is None:
        return [ABSENT] * 3
    return [bounds(comparison.difference, 100), bare_p_value(comparison.p), bare_p_value(comparison.adjusted_p)]


def placebos(at: AtRate) -> str:
    """What was found where there is nothing, of each curve of a comparison: `plain_1: −0.53 ± 0.81`."""
    shown = [f"{each.variant}: {estimate(each.difference, 100, signed=True)}" for each in at.placebos]
    return "; ".join(shown) or ABSENT
