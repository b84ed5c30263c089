"""No number untested: both tables of the page, cell by cell, worked out again from the result files.

With pandas and scipy alone: nothing of `reports` but the page itself is used.
"""

from __future__ import annotations

import math
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

BASELINE = "none"
MEANS = {  # heading: column, factor
    "rate, %": ("firing_rate", 100),
    "silent, %": ("silent", 100),
    "saturated, %": ("saturated", 100),
    "peak MiB": ("peak_memory_mib", 1),
    "nJ/token": ("energy_nj_per_token", 1),
    "parameters": ("parameters", 1),
}

LEARNED = [
    f"{name}_{when}" for name in ("threshold", "refractory", "decay", "leak") for when in ("before", "after")
]  # the last columns of the main table


def cells(page: str, caption: str) -> tuple[list[str], dict[str, list[str]]]:
    """The headings of a table's columns, and the cells of every row by its heading."""
    (table,) = [each for each in re.findall(r"<table.*?</table>", page, re.DOTALL) if f">{caption}</caption>" in each]
    head, body = table.split("<tbody>")
    headings = [text(each) for each in re.findall(r'<th scope="col"[^>]*>(.*?)</th>', head, re.DOTALL)]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("<tr")[1:]]
    return [each for each in headings if each != "Variant"], {
        text(row[0]).removesuffix("best").removesuffix("≈ ").strip(): [text(each) for each in row[1:]] for row in rows
    }


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def assert_shows(cell: str, *expected: float) -> None:
    """The cell's numbers are the expected ones to its last digit; a dash is NaN."""
    if cell == "<0.001":
        assert expected[0] < 0.001
        return
    shown = re.findall(r"[\N{MINUS SIGN}+]?[\d,]+(?:\.\d+)?", cell)
    assert len(shown) == sum(map(math.isfinite, expected)), (cell, expected)
    for number, value in zip(shown, filter(math.isfinite, expected), strict=True):
        digits = len(number.partition(".")[2])
        read = float(number.replace(",", "").replace("\N{MINUS SIGN}", "-"))
        assert read == pytest.approx(value, abs=0.5 * 10**-digits + 1e-9)


def t_test(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, both ends of the 95 % interval, p; the mean alone where every seed has the same value."""
    if np.ptp(values) < 1e-7:
        return float(values.mean()), math.nan, math.nan, math.nan
    found = stats.ttest_1samp(values, 0.0)
    low, high = found.confidence_interval(0.95)
    return float(values.mean()), float(low), float(high), float(found.pvalue)


def crossed_test(d: pd.DataFrame) -> tuple[float, float, float, float]:
    """As `t_test`, for differences by seed (rows) and example (columns): see `reports.statistics.examples`."""
    seeds, examples = d.shape
    if np.ptp(d.mean(axis=1)) < 1e-7:
        return d.to_numpy().mean(), math.nan, math.nan, math.nan
    residual = d.sub(d.mean(axis=1), axis=0).sub(d.mean(axis=0), axis=1) + d.to_numpy().mean()
    rest = (residual**2).to_numpy().sum() / ((seeds - 1) * (examples - 1))
    seed_part = stats.sem(d.mean(axis=1)) ** 2
    example_part = max(0.0, stats.sem(d.mean(axis=0)) ** 2 - rest / (seeds * examples))
    mean = d.to_numpy().mean()

    def half(p: float) -> float:
        over_seeds, over_examples = (stats.t.ppf(1 - p / 2, n - 1) for n in d.shape)
        over_rest = stats.t.ppf(1 - p / 2, (seeds - 1) * (examples - 1)) * math.sqrt(rest / (seeds * examples))
        return math.hypot(max(over_seeds * seed_part**0.5, over_rest), over_examples * example_part**0.5)

    p = float(optimize.bisect(lambda p: half(p) - abs(mean), 1e-9, 1 - 1e-9))
    return mean, mean - half(0.05), mean + half(0.05), p


def holm(p: list[float]) -> list[float]:
    """Each p's adjusted value: of all p not above it, the largest product with the number not below."""
    return [
        max((min(1.0, q * sum(r >= q for r in p)) for q in p if q <= own), default=math.nan)  # NaN is below nothing
        for own in p
    ]


@pytest.fixture(scope="module")
def runs(html: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted((html.parent / "runs").rglob("*.parquet"))]).assign(
        variant=lambda found: found["id"].str.extract(r"-(.*)-")[0]
    )


@pytest.fixture(scope="module")
def page(html: Path) -> str:
    return (html / "ablation_refractory.html").read_text(encoding="utf-8")


def wide(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    return runs.pivot(index="seed", columns="variant", values=column)


def hits(runs: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Right answers, one row a seed and one column an example."""
    own = runs[runs["variant"] == variant]
    frames = {seed: pd.DataFrame(list(rows)) for seed, rows in zip(own["seed"], own["predictions"], strict=True)}
    answers = pd.concat(frames, names=["seed"]).reset_index("seed")
    answers["right"] = (answers["label"] == answers["prediction"]).astype(float)
    return answers.pivot(index="seed", columns="example", values="right")


def learned(own: pd.DataFrame, name: str) -> float:
    """Mean over seeds and layers; NaN of a variant without what it is about."""
    mean = float(np.mean([layer[name] for layers in own["layers"] for layer in layers]))
    return math.nan if mean == 0 and not name.startswith("leak") else mean


def test_every_number_of_the_main_table(page, runs):
    headings, rows = cells(page, "Test accuracy, spikes and cost")
    accuracy = wide(runs, "test_accuracy")
    assert set(rows) == {*accuracy, "Shortcut", "Majority class"}
    for variant in accuracy:
        shown = dict(zip(headings[: -len(LEARNED)], rows[variant][: -len(LEARNED)], strict=True))
        assert headings[-len(LEARNED) :] == ["before", "after"] * 4
        for name, cell in zip(LEARNED, rows[variant][-len(LEARNED) :], strict=True):
            assert_shows(cell, learned(runs[runs["variant"] == variant], name))
        shown.pop("accuracy, rate")
        mean, low, high, _ = t_test(accuracy[variant].to_numpy() * 100)
        assert_shows(shown.pop("test, %"), mean, (high - low) / 2)
        difference, low, high, _ = t_test((accuracy[variant] - accuracy[BASELINE]).to_numpy() * 100)
        own = variant == BASELINE
        assert_shows(shown.pop("vs none, points"), *[math.nan] * 2 if own else (difference, (high - low) / 2))
        assert_shows(shown.pop("seeds"), 3)
        ratio = wide(runs, "energy_nj_per_token")[variant] / wide(runs, "dense_energy_nj_per_token")[variant]
        assert_shows(shown.pop("÷ dense"), ratio.mean())
        for heading, (column, factor) in MEANS.items():
            assert_shows(shown.pop(heading), wide(runs, column)[variant].mean() * factor)
        assert shown == {}, "a column that this test does not know"
    assert_shows(rows["Shortcut"][0], runs["shortcut_accuracy"].mean() * 100)
    assert_shows(rows["Majority class"][0], runs["majority_accuracy"].mean() * 100)


def test_the_pareto_column_follows_from_means_and_tests(page, runs):
    headings, rows = cells(page, "Test accuracy, spikes and cost")
    accuracy, rate = wide(runs, "test_accuracy"), wide(runs, "firing_rate")
    pairs = [(a, b) for a in accuracy for b in accuracy if a < b]
    gains = [(a, b, (gain[a] - gain[b]).to_numpy()) for gain in (accuracy, -rate) for a, b in pairs]
    adjusted = holm([t_test(gain)[3] for *_, gain in gains])
    pairs_better = {
        ((a, b) if gain.mean() > 0 else (b, a), place)
        for place, ((a, b, gain), p) in enumerate(zip(gains, adjusted, strict=True))
        if p < 0.05
    }
    shown_better = set()
    for (a, b), place in pairs_better:
        rest = (accuracy if place >= len(pairs) else -rate)[[a, b]]
        if stats.ttest_1samp(rest[a] - rest[b], -0.01, alternative="greater").pvalue < 0.05:
            shown_better.add((a, b))
    for variant in accuracy:
        as_good = [
            other
            for other in accuracy
            if other != variant
            and accuracy[other].mean() >= accuracy[variant].mean()
            and rate[other].mean() <= rate[variant].mean()
        ]
        dominated = any((other, variant) in shown_better for other in as_good)
        expected = "front" if not as_good else "dominated" if dominated else "undecided"
        assert dict(zip(headings, rows[variant], strict=True))["accuracy, rate"] == expected


def test_the_variants_of_this_page_do_not_spread_alike_so_that_each_pair_has_its_own_spread(runs):
    """`tests/reports/statistics/test_pooled.py` has the other case."""
    values = wide(runs, "test_accuracy")
    rest = values.sub(values.mean(axis=1), axis=0).sub(values.mean(axis=0), axis=1) + values.to_numpy().mean()
    assert stats.bartlett(*rest.T.to_numpy()).pvalue < 0.2


def test_every_number_of_the_comparison_table(page, runs):
    headings, rows = cells(page, f"Paired differences to {BASELINE}")
    variants = [variant for variant in wide(runs, "test_accuracy") if variant != BASELINE]
    assert set(rows) == set(variants)
    assert len(headings) == 13
    answers = {variant: hits(runs, variant) for variant in [*variants, BASELINE]}
    groups = [
        [t_test((values[variant] - values[BASELINE]).to_numpy() * 100) for variant in variants]
        for values in (wide(runs, "test_accuracy"), wide(runs, "firing_rate"))
    ]
    groups.insert(1, [crossed_test((answers[variant] - answers[BASELINE]) * 100) for variant in variants])
    adjusted = [holm([p for *_, p in group]) for group in groups]
    for place, variant in enumerate(variants):
        shown = iter(rows[variant])
        for kind, (group, corrected) in enumerate(zip(groups, adjusted, strict=True)):
            mean, low, high, p = group[place]
            if kind != 1:
                assert_shows(next(shown), mean)
            assert_shows(next(shown), low, high)
            assert_shows(next(shown), p)
            assert_shows(next(shown), corrected[place])
        ours, theirs = answers[variant], answers[BASELINE]
        assert_shows(next(shown), (ours > theirs).to_numpy().sum())
        assert_shows(next(shown), (ours < theirs).to_numpy().sum())
        assert list(shown) == []
