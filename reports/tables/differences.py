"""The cells of a tested difference, the same in every table."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from spike_ssm.reports.render.table import Heading
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


def numbers_of(comparison: Comparison | None, of: str = "") -> dict[str, float | str]:
    """A tested difference for a CSV, in points: `of` begins the columns' names; p_holm is corrected, p is not.

    Without a comparison nothing is known but that there is none.
    """
    if comparison is None:
        return {}
    difference = comparison.difference
    row = {"difference_points": difference.mean * 100, "half_interval_points": difference.half * 100}
    row |= {"lowest_points": difference.least * 100, "highest_points": difference.most * 100}
    row |= {"p": comparison.p, "p_holm": comparison.adjusted_p, "seeds": difference.n}
    return {f"{of}{name}": value for name, value in row.items()} | {f"{of}verdict": comparison.verdict.value}


def rate_numbers(at: AtRate) -> dict[str, float | str]:
    """What is compared at one firing rate, and at which, for a CSV."""
    rate = {"rate_percent": at.rate.mean * 100, "rate_half_interval": at.rate.half * 100}
    return {"curve": at.curve, "compared_with": at.reference, **rate, "problem": at.problem, "placebo": placebos(at)}


def on_demand(texts: Iterable[str], rest: Collection[str]) -> tuple[Heading, ...]:
    """Headings of these texts, those in `rest` seen on demand."""
    return tuple(Heading(text, rest=text in rest) for text in texts)


def placebos(at: AtRate) -> str:
    """What was found where there is nothing, of each curve of a comparison: `plain_1: −0.53 ± 0.81`."""
    shown = [f"{each.variant}: {estimate(each.difference, 100, signed=True)}" for each in at.placebos]
    return "; ".join(shown) or ABSENT
