"""The section of one task of a robustness sweep: accuracy by level of each corruption, and its mean over the levels.

The mean over the levels is the area under the curve of accuracy against the level, by trapezoids from the lowest level
to the highest, the one that changes nothing among them, over the length of that range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count

import pandas as pd

from spike_ssm.reports.loading.sweep import Sweep, unfold
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.statements import Findings, Statement
from spike_ssm.reports.render.text import PERCENT_95, bounds, listing, number, p_value
from spike_ssm.reports.sections.measured import MeasuredSection
from spike_ssm.reports.sections.robustness.areas import areas, compared
from spike_ssm.reports.sections.robustness.corruptions import CORRUPTIONS
from spike_ssm.reports.sections.robustness.figures import curve_figure
from spike_ssm.reports.sections.robustness.tables import area_table, difference_table, loss_table
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, Comparison, Verdict, t_interval


def robustness_section(
    sweep: Sweep, task: str, runs: pd.DataFrame, looks: Mapping[str, Look], prefix: str
) -> MeasuredSection:
    """What the finished `runs` of one task, which evaluated trained networks, show."""
    curves = unfold(runs, "robustness")
    curves["accuracy"] = curves["accuracy"].astype(float)
    found = areas(curves)
    variants, names = list(dict.fromkeys(runs["variant"])), (f"{prefix}c{place}" for place in count())
    chosen = {variant: looks[variant] for variant in variants}
    baseline = sweep.manifest.baseline if sweep.manifest.baseline in variants else None
    comparisons = compared(found, baseline) if baseline else {}
    tables = [area_table(runs, curves, found, chosen), loss_table(curves, found, chosen)]
    if baseline and comparisons:
        tables.append(difference_table(comparisons, baseline, chosen))
    shortcut = float(runs["shortcut_accuracy"].mean())
    figures = [
        curve_figure(CORRUPTIONS[str(name)], own, chosen, baseline, shortcut, next(names))
        for name, own in curves.groupby("corruption", sort=False)
        if own["accuracy"].notna().any()
    ]
    return MeasuredSection(
        f"robustness-{task}",
        f"Robustness on {task}",
        "Trained networks, not trained again, on the test set of their task under corruptions that they never met in "
        "training. What each corruption and its levels are is said in docs/reports.md.",
        {},
        _findings(comparisons, baseline),
        tables,
        chosen,
        figures,
        numbers=_numbers(task, curves, found, comparisons),
    )


def _findings(comparisons: Mapping[str, Mapping[str, Comparison]], baseline: str | None) -> list[Findings]:
    if not comparisons or baseline is None:
        return [Findings("Mean accuracy over the levels", "Without a finished run of a baseline nothing is compared.")]
    family = max(each.family for found in comparisons.values() for each in found.values())
    lead = (
        f"Differences are paired by seed; p is corrected for {family} comparisons (Holm). They include what variants "
        "differ by without corruption."
        if family
        else f"No verdict: that takes at least {VERDICT_SEEDS} shared seeds, with some spread between them."
    )
    statements = [_statement(name, found, baseline) for name, found in comparisons.items() if family]
    return [Findings(f"Mean accuracy over the levels compared with {baseline}", lead, tuple(statements))]


def _statement(corruption: str, found: Mapping[str, Comparison], baseline: str) -> Statement:
    """What the tests of one corruption show, each variant once."""
    shown = [
        f"{variant} is {each.verdict.value} than {baseline} by {number(abs(each.difference.mean) * 100)} points "
        f"({PERCENT_95} interval {bounds(each.difference, 100)}, {p_value(each.adjusted_p)})"
        for variant, each in found.items()
        if each.verdict.decided
    ]
    unshown = [variant for variant, each in found.items() if each.verdict is Verdict.OPEN]
    without = [variant for variant, each in found.items() if not each.verdict.decided and variant not in unshown]
    parts = list(shown)
    parts += [f"no difference is shown for {listing(unshown)}"] if unshown else []
    parts += [f"no verdict on {listing(without)}"] if without else []
    tag = "shown" if shown else "not shown" if unshown else "no verdict"
    return Statement(tag, (), f"{CORRUPTIONS[corruption].title}: {'; '.join(parts)}.")


def _numbers(
    task: str, curves: pd.DataFrame, found: pd.DataFrame, comparisons: Mapping[str, Mapping[str, Comparison]]
) -> pd.DataFrame:
    """Every level, then every area (without a level), one row a variant and corruption; units in the names."""
    rows: list[dict[str, object]] = []
    for (variant, corruption, level), group in curves.groupby(["variant", "corruption", "level"], sort=False):
        accuracy, rate = t_interval(group["accuracy"]), t_interval(group["firing_rate"].astype(float))
        rows.append(
            {
                "task": task, "variant": variant, "corruption": corruption, "level": level, "seeds": accuracy.n,
                "accuracy_percent": accuracy.mean * 100, "accuracy_half_interval_percent": accuracy.half * 100,
                "accuracy_lowest_percent": accuracy.least * 100, "accuracy_highest_percent": accuracy.most * 100,
                "firing_rate_percent": rate.mean * 100, "examples": group["examples"].max(),
                "reason": "; ".join(group["reason"].dropna().unique()),
            }
        )  # fmt: skip
    for (variant, corruption), group in found.groupby(["variant", "corruption"], sort=False):
        value, each = t_interval(group["area"]), comparisons.get(str(corruption), {}).get(str(variant))
        rows.append(
            {
                "task": task, "variant": variant, "corruption": corruption, "seeds": value.n,
                "area_percent": value.mean * 100, "area_half_interval_percent": value.half * 100,
                "area_lowest_percent": value.least * 100, "area_highest_percent": value.most * 100,
                "difference_points": each.difference.mean * 100 if each else math.nan,
                "difference_half_interval_points": each.difference.half * 100 if each else math.nan,
                "p": each.p if each else math.nan, "p_holm": each.adjusted_p if each else math.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
