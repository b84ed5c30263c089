"""Main effects of a grid, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from spike_ssm.reports.findings.differences import TAGS, difference_from
from spike_ssm.reports.render.statements import Findings, Statement
from spike_ssm.reports.statistics.factors import MainEffect

_LEAD = (
    "The first look at a grid: what a setting does to accuracy, averaged over the others. It rests on more runs than a "
    "difference of two variants does."
)


def effect_findings(effects: Sequence[MainEffect]) -> Findings | None:
    """What each setting does on average; None where the sweep is no grid of several axes."""
    statements = tuple(
        Statement(
            TAGS[each.comparison.verdict],
            (f"{each.factor} {each.level}",),
            difference_from(each.reference, each.comparison),
        )
        for each in effects
    )
    return Findings("Main effects", _LEAD, statements) if statements else None
