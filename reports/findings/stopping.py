"""Which variants of a sequential sweep ran fewer seeds because they were decided, in a sentence."""

from __future__ import annotations

from spike_ssm.reports.render.statements import Statement
from spike_ssm.reports.render.text import PERCENT_95, count, listing
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.statistics.followed import Followed
from spike_ssm.reports.statistics.seeds import MARGIN

NAMED = 4


def stopping_statement(comparisons: Comparisons, followed: Followed | None) -> list[Statement]:
    """A sentence on when seeds ended and what the tests are then; none where all seeds were to be run anyhow."""
    if followed is None or comparisons.baseline is None:
        return []
    ends = [
        f"{names} {why}"
        for names, why in (
            (_named(followed.shown, followed), f"shown to differ from {followed.baseline}"),
            (_named(followed.ruled_out, followed), f"no difference beyond {MARGIN * 100:.0f} point"),
        )
        if names
    ]
    decided = f"decided before that: {'; '.join(ends)}" if ends else "no variant is decided so far"
    text = (
        f"Seeds were run in order, up to {followed.planned}, and a variant's ended when it was decided; {decided}. "
        f"Its p and {PERCENT_95} intervals hold at all looks, each pair with its own spread; other tests take the "
        "number of seeds as given."
    )
    return [Statement("seeds", (), text)]


def _named(variants: list[str], followed: Followed) -> str:
    first = [f"{variant} (after {count(followed.decided[variant], 'seed')})" for variant in variants[:NAMED]]
    more = len(variants) - NAMED
    return listing([*first, f"{more} more"] if more > 0 else first)
