"""One difference in a sentence, never stronger than its test allows."""

from __future__ import annotations

from spike_ssm.reports.render.text import PERCENT_95, bounds, count, few_seeds, number, p_value
from spike_ssm.reports.statistics.seeds import Comparison, Verdict

TAGS = {
    Verdict.HIGHER: "higher",
    Verdict.LOWER: "lower",
    Verdict.OPEN: "not shown",
    Verdict.NO_SPREAD: "no verdict",
    Verdict.TOO_FEW: "no verdict",
}
"""A word for each verdict."""


def difference_from(baseline: str, comparison: Comparison) -> str:
    """The rest of a sentence that begins with what is compared."""
    difference, seeds = comparison.difference, count(comparison.difference.n, "seed")
    points = f"{number(difference.mean * 100, signed=True)} points"
    interval = f"{PERCENT_95} interval {bounds(difference, 100)}"
    match comparison.verdict:
        case Verdict.TOO_FEW if difference.n == 0:
            return f"shares no finished seed with {baseline}."
        case Verdict.TOO_FEW:
            values = few_seeds(difference, 100, signed=True)
            return f"differs by {points} over {seeds}{f' ({values})' if values else ''}: too few for a verdict."
        case Verdict.NO_SPREAD:
            return f"differs by {points} in each of {seeds}: without spread, no interval and no verdict."
        case Verdict.HIGHER | Verdict.LOWER:
            by = f"{number(abs(difference.mean) * 100)} points"
            which = comparison.verdict.value
            return f"is {which} than {baseline} by {by} ({interval}, {p_value(comparison.adjusted_p)}, {seeds})."
    evidence = f"{points} ({interval}, {p_value(comparison.adjusted_p)}, {seeds})"
    if difference.low > 0 or difference.high < 0:
        return f"differs by {evidence}: the interval leaves out zero, the corrected test does not. No verdict."
    return f"shows no difference that {seeds} can show: {evidence}."
