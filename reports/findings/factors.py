"""Main effects of a grid, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from spike_ssm.reports.findings.differences import differences_from
from spike_ssm.reports.render.statements import Findings
from spike_ssm.reports.statistics.factors import MainEffect
from spike_ssm.reports.statistics.seeds import Comparison

_LEAD = (
    "The first look at a grid: what a setting does to accuracy, averaged over the others. It rests on more runs than a "
    "difference of two variants does."
)


def effect_findings(effects: Sequence[MainEffect]) -> Findings | None:
    """What each setting does on average; None where the sweep is no grid of several axes."""
    by_reference: dict[str, dict[str, Comparison]] = {}
    for each in effects:
        by_reference.setdefault(each.reference, {})[f"{each.factor} {each.level}"] = each.comparison
    statements = [said for reference, found in by_reference.items() for said in differences_from(reference, found)]
    return Findings("Main effects", _LEAD, tuple(statements)) if statements else None
