"""The tables of a task under corruptions: accuracy, what is lost of it, and differences to the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, bare_p_value, estimate, listing
from spike_ssm.reports.sections.robustness.areas import AREA
from spike_ssm.reports.sections.robustness.corruptions import CORRUPTIONS
from spike_ssm.reports.statistics.seeds import Comparison, t_interval
from spike_ssm.reports.tables.differences import numbers_of


def area_table(runs: pd.DataFrame, curves: pd.DataFrame, found: pd.DataFrame, looks: Mapping[str, Look]) -> Table:
    """Accuracy without corruption, and its mean over the levels of each."""
    names = list(dict.fromkeys(curves["corruption"]))
    rows = []
    for variant, look in looks.items():
        clean = t_interval(runs.loc[runs["variant"] == variant, "test_accuracy"])
        cells = [estimate(clean, 100), str(clean.n)]
        rows.append(Row(variant, (*cells, *(_mean(curves, found, variant, name, "area") for name in names)), look))
    headings = [
        Heading("clean, %"),
        Heading("seeds"),
        *(Heading(CORRUPTIONS[name].title, "Mean over the levels, %") for name in names),
    ]
    few = curves[curves["corruption"] == "state_bits"]["examples"].max()
    notes = [
        "Means over seeds; ± is the half width of the 95 % t-interval over seeds.",
        AREA,
        *([f"State bits: of the first {int(few):,} test examples, also in full precision."] if few == few else []),
        *_left_out(curves),
    ]
    return Table("Accuracy under corruption", "Variant", tuple(headings), tuple(rows), tuple(notes), numbers=found)


def loss_table(curves: pd.DataFrame, found: pd.DataFrame, looks: Mapping[str, Look]) -> Table:
    """What each corruption takes of the accuracy without it."""
    names = list(dict.fromkeys(curves["corruption"]))
    lost = found.assign(loss=found["clean"] - found["area"])
    rows = [
        Row(variant, tuple(_mean(curves, lost, variant, name, "loss") for name in names), look)
        for variant, look in looks.items()
    ]
    notes = ("Accuracy without the corruption, on the same examples, minus the mean over the levels, of each run.",)
    headings = tuple(Heading(CORRUPTIONS[name].title, "Points") for name in names)
    return Table("Accuracy lost to corruption", "Variant", headings, tuple(rows), notes, numbers=lost)


def difference_table(
    comparisons: Mapping[str, Mapping[str, Comparison]], baseline: str, looks: Mapping[str, Look]
) -> Table:
    """Each variant's mean over the levels minus the baseline's, with the test of it."""
    rows = []
    for variant, look in looks.items():
        cells: list[str] = []
        for found in comparisons.values():
            each = found.get(variant)
            difference = each.difference if each else t_interval([])
            cells.append(estimate(difference, 100, signed=True))
            cells.append(bare_p_value(each.adjusted_p if each else math.nan))
        if variant != baseline:
            rows.append(Row(variant, tuple(cells), look))
    headings = [
        Heading(text, CORRUPTIONS[name].title, rest=text == "p, Holm")
        for name in comparisons
        for text in ("difference, points", "p, Holm")
    ]
    numbers = [
        {"variant": variant, "corruption": name, **numbers_of(each)}
        for name, found in comparisons.items()
        for variant, each in found.items()
    ]
    notes = (
        "Mean over the levels minus that of the baseline, paired by seed (t-test, two-sided); ± is the half width of "
        "the 95 % interval. All p of the table are corrected together (Holm).",
        "A variant that is more accurate without corruption starts higher; what corruption takes from it is above.",
    )
    caption = f"Differences to {baseline} under corruption"
    return Table(caption, "Variant", tuple(headings), tuple(rows), notes, numbers=pd.DataFrame(numbers))


def _mean(curves: pd.DataFrame, found: pd.DataFrame, variant: str, corruption: str, column: str) -> str:
    """Mean over seeds with its interval, %; or why there is none."""
    own = found[(found["variant"] == variant) & (found["corruption"] == corruption)]
    value = t_interval(own[column])
    if value.n:
        return estimate(value, 100)
    reasons = curves[(curves["variant"] == variant) & (curves["corruption"] == corruption)]["reason"].dropna()
    return listing(list(dict.fromkeys(reasons))) or ABSENT


def _left_out(curves: pd.DataFrame) -> list[str]:
    """A sentence for each corruption with levels at which no variant could be evaluated."""
    sentences = []
    for name, own in curves.groupby("corruption", sort=False):
        known = own.groupby("level")["accuracy"].transform(lambda values: values.notna().any())
        missing = own[~known]
        if not missing.empty and known.any():
            levels = listing([f"{level:g}" for level in sorted(set(missing["level"]))])
            reasons = listing(list(dict.fromkeys(missing["reason"])))
            sentences.append(f"{CORRUPTIONS[str(name)].title}: without the levels {levels} ({reasons}).")
    return sentences
