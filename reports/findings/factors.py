"""Main effects of a grid, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from spike_ssm.reports.findings.differences import differences_from
from spike_ssm.reports.render.statements import Findings
from spike_ssm.reports.statistics.factors import MainEffect
from spike_ssm.reports.statistics.seeds import Comparison


def effect_findings(effects: Sequence[MainEffect], measure: str = "accuracy") -> Findings | None:
    """What each setting does to the `measure`, so called, on average; None where the sweep is no grid of several axes.

    Of each factor first what is shown, then what is not, against its reference.
    """
    by_factor: dict[str, dict[str, Comparison]] = {}
    for each in effects:
        reference = f"{each.factor} {each.reference}"
        by_factor.setdefault(reference, {})[f"{each.factor} {each.level}"] = each.comparison
    statements = [said for reference, found in by_factor.items() for said in differences_from(reference, found)]
    lead = (
        f"The first look at a grid: what a setting does to {measure}, averaged over the others. It rests on more runs "
        "than a difference of two variants does."
    )
    return Findings(f"Main effects on {measure}", lead, tuple(statements)) if statements else None
