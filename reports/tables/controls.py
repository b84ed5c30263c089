"""What `reports.statistics.controls` and `one_setting` found, as tables of the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Row, Table
from spike_ssm.reports.render.text import ABSENT, bare_p_value, bounds, estimate, mean_of
from spike_ssm.reports.statistics.controls import POINT, Advantage, Judged
from spike_ssm.reports.statistics.one_setting import Beside
from spike_ssm.reports.tables.differences import (
    PLACEBO_NOTE,
    compared_cells,
    numbers_of,
    on_demand,
    placebos,
    rate_numbers,
)


def control_table(judged: Sequence[Judged], looks: Mapping[str, Look]) -> Table | None:
    """Every test that a verdict follows from; None without effects."""
    if not judged:
        return None
    texts = (
        "compared with",
        "at rate, %",
        "difference, points",
        "95 % interval",
        "p, Holm",
        f"p within ± {POINT}, Holm",
        "placebo, points",
    )
    rows = []
    for each in judged:
        look = looks.get(each.effect.variant)
        rows.append(Row(each.effect.variant, ("without the effect", *_cells(each.advantage)), look))
        rows += [
            Row(each.effect.variant, (f"the same of {control}", *_cells(advantage)), look)
            for control, advantage in each.beyond.items()
        ]
    notes = (
        "Without the effect: accuracy minus that on the curve through the variants without it, at the variant's own "
        "rate. The same of a control: that difference minus the control's, each at its own rate. Paired by seed.",
        "p: t-test against 0, two-sided. p within: two one-sided t-tests (TOST) that the difference is smaller than "
        f"{POINT} either way.",
        PLACEBO_NOTE,
    )
    numbers = [
        {"variant": each.effect.variant, "beyond": beyond, **rate_numbers(advantage.at)}
        | numbers_of(advantage.comparison)
        | {"p_within_margin_holm": advantage.equal_p}
        for each in judged
        for beyond, advantage in {"": each.advantage, **each.beyond}.items()
    ]
    headings = on_demand(texts, ("at rate, %", "placebo, points"))
    return Table("Controls", "Variant", headings, tuple(rows), notes, numbers=pd.DataFrame(numbers))


def one_setting_table(found: Sequence[Beside], looks: Mapping[str, Look]) -> Table | None:
    """Effects beside plainer variants under the same setting, a row a pair; None where no two share a number."""
    if not found:
        return None
    texts = (
        *("compared with", "difference, points", "95 % interval", "p", "p, Holm", "verdict"),
        *("firing rate, difference, points", "verdict on it"),
    )
    rows = [
        Row(
            each.effect,
            (
                each.other,
                *compared_cells(each.accuracy),
                each.accuracy.verdict.value,
                estimate(each.rate.difference, 100, signed=True),
                each.rate.verdict.value if each.rate.difference.n else ABSENT,
            ),
            looks.get(each.effect),
        )
        for each in found
    ]
    notes = (
        "Accuracy minus that of a variant without the effect whose name ends with the same number, paired by seed. "
        "Where that is the weight of a penalty on the firing rate both had the same aim, and nothing is interpolated; "
        "how alike their rates are stands beside it.",
        "Accuracies have the spread that all variants share where they spread alike. p, Holm: corrected over the rows; "
        "the firing rates' tests are a family of their own.",
    )
    numbers = [
        {"variant": each.effect, "against": each.other} | numbers_of(each.accuracy) | numbers_of(each.rate, "rate_")
        for each in found
    ]
    headings = on_demand(texts, ("p", "verdict on it"))
    return Table("Effects under one setting", "Variant", headings, tuple(rows), notes, numbers=pd.DataFrame(numbers))


def _cells(advantage: Advantage) -> list[str]:
    at, comparison = advantage.at, advantage.comparison
    if at.problem:
        return [at.problem, *[ABSENT] * 5]
    return [
        estimate(at.rate, 100),
        mean_of(comparison.difference, 100, signed=True),
        bounds(comparison.difference, 100),
        bare_p_value(comparison.adjusted_p),
        bare_p_value(advantage.equal_p),
        placebos(at),
    ]
