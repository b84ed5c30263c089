"""Whatever number a file holds, the page comes out, without what no measurement gives, and says of which run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spike_ssm.reports.loading.sweep import load
from spike_ssm.reports.pages.compare import build_comparison
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.results.schema import RUN
from spike_ssm.results.verify.limits import limits

NAME = "ablation_refractory"
FLOATS = [field.name for field in RUN if pa.types.is_floating(field.type)]
INTEGERS = [field.name for field in RUN if pa.types.is_integer(field.type) and field.name != "seed"]
NESTED = ("epochs", "layers", "operations")
EXTREMES = {
    "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "null": None, "below": -0.2, "above": 1.5, "huge": 1e308,
    "tiny": 5e-324, "zero": 0.0,
}  # fmt: skip


def said(results: Path) -> tuple[str, ...]:
    return load(results, NAME).left_out


def text_of(page: Path) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8")).split())


@pytest.mark.fault(
    "An accuracy of inf or above 1, NaN, or a negative rate in a file.", "The page leaves it out and names the run."
)
@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [("test_accuracy", math.inf, "inf"), ("test_accuracy", 1.5, "1.5"), ("firing_rate", -0.2, "-0.2")],
)
def test_an_impossible_value_is_left_out_and_said_in_one_sentence(
    sweep: Callable[..., Path], tmp_path: Path, column: str, value: float, shown: str
) -> None:
    results = sweep(change=lambda row: row | {column: value} if row["id"] == "lis-fixed-1" else row, details=False)
    sentence = f"fixed, listops, seed 1 (lis-fixed-1): impossible, and left out: {column} ({shown})."
    assert said(results) == (sentence,)
    page = text_of(build_report(NAME, results, tmp_path / "html"))
    assert f"Values left out {sentence}" in page
    assert "18 of 18 runs finished" in page
    loaded = load(results, NAME).runs.set_index("id")[column]
    assert loaded.isna().sum() == 1
    assert loaded.drop("lis-fixed-1").between(0, 1).all()
    assert sentence in text_of(build_comparison((NAME, results), (NAME, results), tmp_path / "html"))


def test_an_accuracy_that_is_no_number_is_named_too(sweep: Callable[..., Path]) -> None:
    results = sweep(change=lambda row: row | {"test_accuracy": math.nan} if row["seed"] else row, details=False)
    assert len(said(results)) == 12
    assert said(results)[0].endswith("impossible, and left out: test_accuracy (no number).")


def test_possible_values_are_left_as_they_are(sweep: Callable[..., Path]) -> None:
    assert said(sweep()) == ()


def test_entries_of_layers_and_epochs_are_looked_at_too(sweep: Callable[..., Path], tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == "lis-none-0":
            row["layers"][1]["firing_rate"] = math.inf
            row["epochs"][3]["validation_accuracy"] = -1.0
        return row

    results = sweep(change=change)
    (sentence,) = said(results)
    assert sentence.endswith("impossible, and left out: validation_accuracy of epochs, firing_rate of layers.")
    assert "Learning curves" in build_report(NAME, results, tmp_path).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("whom", ["one run", "the baseline", "every run"])
def test_a_page_comes_out_whatever_the_columns_hold(
    sweep: Callable[..., Path], tmp_path: Path, kind: str, whom: str
) -> None:
    value = EXTREMES[kind]

    def change(row: dict[str, Any]) -> dict[str, Any]:
        hit = {"one run": row["id"] == "lis-fixed-1", "the baseline": "-none-" in row["id"], "every run": True}[whom]
        if not hit:
            return row
        whole = None if value is None else int(min(max(value, -(2**31)), 2**31 - 1)) if math.isfinite(value) else -1
        nested = {
            name: [
                {key: value if isinstance(entry, float) else entry for key, entry in each.items()} for each in row[name]
            ]
            for name in NESTED
        }
        return row | dict.fromkeys(FLOATS, value) | dict.fromkeys(INTEGERS, whole) | nested

    results = sweep(variants=("none", "fixed", "trainable"), change=change)
    page = text_of(build_report(NAME, results, tmp_path))
    assert "9 of 9 runs finished" in page
    assert not re.search(r"\b(nan|inf)\b(?! )", page.replace("(inf)", "").replace("(-inf)", ""))


@pytest.mark.slow
@pytest.mark.parametrize("columns", [(FLOATS + INTEGERS)[start::9] for start in range(9)], ids=", ".join)
def test_single_columns_may_hold_anything(sweep: Callable[..., Path], tmp_path: Path, columns: list[str]) -> None:
    integers = (None, -7, 0, 2**31 - 1)

    def change(row: dict[str, Any]) -> dict[str, Any]:
        place = ["none", "fixed", "trainable"].index(row["id"].split("-")[1]) * 3 + row["seed"]
        for shift, column in enumerate(columns):
            values = integers if column in INTEGERS else tuple(EXTREMES.values())
            row |= {column: values[(place + shift) % len(values)]}
        return row

    results = sweep(variants=("none", "fixed", "trainable"), details=False, change=change)
    build_report(NAME, results, tmp_path)
    for column in columns:
        kept = load(results, NAME).runs[column].dropna()
        assert kept.between(*limits(column)).all()
