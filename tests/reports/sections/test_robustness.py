"""The section of a robustness sweep: its numbers are those of the result files, its words no stronger than them."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spike_ssm.harness.config.robustness import RANGES
from spike_ssm.reports.pages.paper.runs import gather
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.sections.robustness.areas import area, place_of
from spike_ssm.reports.sections.robustness.corruptions import CORRUPTIONS
from spike_ssm.results.reading import read_run
from spike_ssm.results.store import write_run

LEVELS = {"input_noise": [0, 0.5, 2.0], "length": [1, 0.5, 2.0], "weight_bits": [32, 4, 8], "spike_deletion": [0, 0.1]}
VARIANTS = ("none", "fixed", "trainable")
DENSE = "trainable"


def evaluated(row: dict[str, Any], steep: str | None = None) -> dict[str, Any]:
    """The row of a trained run as that of its evaluation. The variant `steep` loses much more, in every seed alike."""
    variant, noise = row["id"].split("-")[1], np.random.default_rng([row["seed"], len(row["id"])])
    rows = []
    for corruption, levels in LEVELS.items():
        for place, level in enumerate(levels):
            loss = place * ((0.1 if variant == steep else 0.02) + 0.002 * noise.random())
            missing = corruption == "spike_deletion" and variant == DENSE
            rows.append(
                {
                    "corruption": corruption,
                    "level": level,
                    "accuracy": None if missing else row["test_accuracy"] - loss,
                    "firing_rate": None if missing else row["firing_rate"],
                    "examples": None if missing else 400,
                    "reason": "does not spike" if missing else None,
                }
            )
    return {**row, **dict.fromkeys(("epochs", "layers", "predictions", "operations")), "robustness": rows}


@pytest.fixture
def build(sweep: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[Path, str, pd.DataFrame]]:
    """Results folder, the page's text without tags, and the CSV of a robustness sweep with the changes given."""

    def built(steep: str | None = None, change: Any = None, **options: Any) -> tuple[Path, str, pd.DataFrame]:
        changed = change or (lambda row: evaluated(row, steep))
        results = sweep(variants=VARIANTS, change=changed, **options)
        page = build_report("ablation_refractory", results, tmp_path / "html")
        text = re.sub(r"<svg.*?</svg>|<[^>]+>", " ", page.read_text(), flags=re.DOTALL)
        return results, " ".join(unescape(text).split()), pd.read_csv(page.with_suffix(".csv"))

    return built


def stored(results: Path) -> pd.DataFrame:
    """Every level of every run, from the result files alone."""
    rows = []
    for path in results.glob("rows/*.parquet"):
        run = read_run(path)
        rows += [{"variant": run["id"].split("-")[1], "seed": run["seed"], **entry} for entry in run["robustness"]]
    return pd.DataFrame(rows)


def own_areas(curves: pd.DataFrame, corruption: str) -> pd.DataFrame:
    """Seed by variant, by a loop over trapezoids."""
    found: dict[str, dict[int, float]] = {}
    of_one = curves[curves["corruption"] == corruption].dropna(subset=["accuracy"])
    for (variant, seed), group in of_one.groupby(["variant", "seed"]):
        bits = corruption.endswith("bits")
        x = [(0 if level == 32 else 2 ** (1 - level)) if bits else level for level in group["level"]]
        points = sorted(zip(x, group["accuracy"], strict=True))
        total = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
        found.setdefault(variant, {})[seed] = total / (points[-1][0] - points[0][0])
    return pd.DataFrame(found)


# --- numbers


def test_every_mean_over_the_levels_is_that_of_the_result_files(build: Callable[..., Any]) -> None:
    results, text, csv = build()
    curves = stored(results)
    for corruption in LEVELS:
        for variant, values in own_areas(curves, corruption).items():
            (row,) = (
                csv[csv["area_percent"].notna() & (csv["variant"] == variant)]
                .query("corruption == @corruption")
                .to_dict("records")
            )
            half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
            assert row["area_percent"] == pytest.approx(100 * values.mean())
            assert row["area_half_interval_percent"] == pytest.approx(100 * half)
            assert f"{100 * values.mean():.2f} ± {100 * half:.2f}" in text


def test_every_point_of_a_curve_is_that_of_the_result_files(build: Callable[..., Any]) -> None:
    results, _, csv = build()
    means = stored(results).groupby(["variant", "corruption", "level"])["accuracy"].mean()
    points = csv[csv["level"].notna()].set_index(["variant", "corruption", "level"])
    assert len(points) == len(means) == len(VARIANTS) * sum(map(len, LEVELS.values()))
    for place, mean in means.items():
        assert points.loc[place, "accuracy_percent"] == pytest.approx(100 * mean, nan_ok=True)


def test_differences_to_the_baseline_are_paired_by_seed_and_corrected_over_the_section(
    build: Callable[..., Any],
) -> None:
    results, _, csv = build()
    curves = stored(results)
    differences, p = {}, {}
    for corruption in LEVELS:
        found = pd.DataFrame(own_areas(curves, corruption))
        rest = found.sub(found.mean(axis=1), axis=0).sub(found.mean(axis=0), axis=1) + found.to_numpy().mean()
        freedom = (found.shape[0] - 1) * (found.shape[1] - 1)
        error = np.sqrt(2 * (rest**2).to_numpy().sum() / freedom / len(found))
        alike = stats.bartlett(*rest.T.to_numpy()).pvalue > 0.2
        for variant in found.columns.drop("none"):
            values = differences[variant, corruption] = found[variant] - found["none"]
            shared = 2 * stats.t.sf(abs(values.mean()) / error, freedom)
            p[variant, corruption] = shared if alike else stats.ttest_1samp(values, 0).pvalue
    ranked, largest, holm = sorted(p, key=lambda place: p[place]), 0.0, {}
    for rank, place in enumerate(ranked):
        largest = max(largest, min(1.0, p[place] * (len(p) - rank)))
        holm[place] = largest
    rows = csv[csv["difference_points"].notna()].set_index(["variant", "corruption"])
    assert set(rows.index) == set(differences)
    for place, values in differences.items():
        assert rows.loc[place, "difference_points"] == pytest.approx(100 * values.mean())
        assert rows.loc[place, "p_holm"] == pytest.approx(holm[place])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.floats(-2, 2), st.floats(0.1, 3))
def test_an_area_lies_between_the_lowest_and_the_highest_accuracy_wherever_the_levels_are(
    accuracies: list[float], start: float, step: float
) -> None:
    found = area([start + step * place for place in range(len(accuracies))], accuracies)
    assert min(accuracies) - 1e-9 <= found <= max(accuracies) + 1e-9


def test_the_area_of_a_straight_line_is_its_middle_and_of_one_level_its_accuracy() -> None:
    assert area([0, 0.3, 2], [0.8, 0.68, 0]) == pytest.approx(0.4)
    assert area([1.0], [0.7]) == 0.7


def test_bits_stand_at_their_rounding_step_and_full_precision_at_0() -> None:
    assert [place_of(bits, "weight_bits") for bits in (32, 8, 4)] == [0, 2**-7, 2**-3]
    assert place_of(4, "input_noise") == 4


# --- words


def test_a_variant_that_loses_more_in_every_seed_is_lower_and_others_are_not(build: Callable[..., Any]) -> None:
    _, text, csv = build(steep="fixed", seeds=range(6))
    assert "Mean accuracy over the levels compared with none" in text
    decided = csv[(csv["p_holm"] < 0.05) & (csv["corruption"] == "length")]
    assert set(decided["variant"]) >= {"fixed"}
    assert re.search(
        r"Sequence length: (\S+ is higher than none [^;]*; )?fixed is lower than none by \d+\.\d\d points", text
    )
    for _, row in csv[csv["p_holm"] >= 0.05].iterrows():
        title = CORRUPTIONS[row["corruption"]].title
        assert not re.search(rf"{title}: [^.]*{row['variant']} is (higher|lower)", text)


def test_two_seeds_decide_nothing(build: Callable[..., Any]) -> None:
    _, text, _ = build(steep="fixed", seeds=(0, 1))
    assert "No verdict: that takes at least 3 shared seeds" in text
    assert "is lower than" not in text


def test_a_corruption_without_a_meaning_for_a_variant_is_said_in_table_and_figure(build: Callable[..., Any]) -> None:
    _, text, csv = build()
    assert text.count("does not spike") >= 3
    assert "Not drawn: trainable (does not spike)." in text
    rows = csv[(csv["variant"] == DENSE) & (csv["corruption"] == "spike_deletion")]
    assert rows["area_percent"].isna().all()
    assert set(rows["reason"].dropna()) == {"does not spike"}


def test_levels_that_no_variant_has_are_named_and_left_out_of_every_area(build: Callable[..., Any]) -> None:
    def without_longer(row: dict[str, Any]) -> dict[str, Any]:
        changed = evaluated(row)
        for entry in changed["robustness"]:
            if (entry["corruption"], entry["level"]) == ("length", 2.0):
                entry |= {"accuracy": None, "examples": None, "reason": "no longer sequences to be had"}
        return changed

    results, text, csv = build(change=without_longer)
    assert "Sequence length: without the levels 2 (no longer sequences to be had)." in text
    (row,) = csv.query("variant == 'none' and corruption == 'length' and level != level").to_dict("records")
    assert row["area_percent"] == pytest.approx(100 * own_areas(stored(results), "length")["none"].mean())


def test_the_page_of_evaluations_has_no_section_of_trained_runs_and_a_figure_a_corruption(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    _, text, _ = build()
    assert "Robustness on listops" in text
    assert "Learning curves" not in text
    figures = {path.stem for path in (tmp_path / "html" / "ablation_refractory").glob("*.svg")}
    titles = ("input_noise", "sequence_length", "spike_deletion", "weight_bits")
    assert figures == {f"robustness_listops_{title}" for title in titles}


def test_the_tables_are_in_markdown_and_latex_too(build: Callable[..., Any], tmp_path: Path) -> None:
    build()
    for suffix in ("md", "tex"):
        written = (tmp_path / "html" / f"ablation_refractory.{suffix}").read_text()
        for caption in ("Accuracy under corruption", "Accuracy lost to corruption", "Differences to none"):
            assert caption in written


def test_without_a_finished_baseline_nothing_is_compared(build: Callable[..., Any]) -> None:
    _, text, csv = build(change=lambda row: None if "-none-" in row["id"] else evaluated(row))
    assert "Without a finished run of a baseline nothing is compared." in text
    assert csv["difference_points"].isna().all()


def test_the_papers_tables_count_a_trained_run_once_and_not_its_evaluation(
    paper_runs: Callable[..., Path], paper_row: Callable[..., dict[str, Any]]
) -> None:
    place = ("lra_accuracy", "S4D-Lin", "listops")
    results = paper_runs(*place, [0.5])
    write_run(results, paper_row(*place, 0, **{"id": "evaluation", "robustness.streamed_examples": 256}))
    found = gather([results])
    assert len(found.found) == 1
    (sentence,) = found.others
    assert sentence.endswith("evaluation.parquet holds an evaluation of a trained run, which counts by itself.")


def test_every_corruption_of_the_harness_has_a_title_here() -> None:
    assert list(CORRUPTIONS) == list(RANGES)
