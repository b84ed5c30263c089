"""Seeds and examples as crossed random effects: coverage and false alarms, by simulation with planted effects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.build import build_report
from reports.crossed import compare_crossed, crossed
from reports.pareto import pareto_front
from reports.statistics import t_interval
from reports.text import bounds
from results.store import read_run, run_path


def planted(rng: np.random.Generator, seeds: int, examples: int, of_seed: float, of_example: float) -> np.ndarray:
    """Differences of mean 0 with these standard deviations, and a rest of 0.5."""
    rest = 0.5 * rng.standard_normal((seeds, examples))
    return rest + of_seed * rng.standard_normal((seeds, 1)) + of_example * rng.standard_normal(examples)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("of_seed", "of_example"), [(0.0, 0.0), (0.02, 0.0), (0.0, 0.5), (0.02, 0.5), (0.1, 0.3)])
def test_the_interval_covers_and_the_test_seldom_cries_wolf(seeds: int, of_seed: float, of_example: float) -> None:
    rng = np.random.default_rng(seeds)
    found = [crossed(planted(rng, seeds, 150, of_seed, of_example)) for _ in range(300)]
    covered = np.mean([abs(each.difference.mean) <= each.difference.half for each in found])
    assert 0.92 <= covered <= 1.0
    assert np.mean([each.p < 0.05 for each in found]) == pytest.approx(1 - covered)


def test_seeds_alone_would_be_too_sure_of_new_examples() -> None:
    rng = np.random.default_rng(0)
    samples = [planted(rng, 5, 150, 0.0, 0.5) for _ in range(400)]
    alone = [t_interval(sample.mean(1)) for sample in samples]
    assert np.mean([abs(each.mean) <= each.half for each in alone]) < 0.9


def test_a_planted_difference_is_found() -> None:
    rng = np.random.default_rng(1)
    assert all(crossed(0.3 + planted(rng, 5, 300, 0.02, 0.5)).p < 0.001 for _ in range(20))


@given(st.integers(0, 1000))
def test_the_order_of_seeds_and_examples_does_not_matter(number: int) -> None:
    rng = np.random.default_rng(number)
    sample = planted(rng, 4, 30, 0.1, 0.3)
    one, other = crossed(sample), crossed(rng.permutation(rng.permutation(sample, axis=0), axis=1))
    assert one.difference.half == pytest.approx(other.difference.half)
    assert one.p == pytest.approx(other.p)


def correctness(rng: np.random.Generator, accuracy: float, seeds: int, examples: int = 200) -> dict[int, pd.Series]:
    index = pd.MultiIndex.from_product([range(examples), [0]])
    return {seed: pd.Series(rng.random(examples) < accuracy, index) for seed in range(seeds)}


def test_variants_are_compared_where_both_have_seeds_and_corrected_together() -> None:
    rng = np.random.default_rng(2)
    right = {
        "none": correctness(rng, 0.5, 5),
        "better": correctness(rng, 0.9, 5),
        "same": correctness(rng, 0.5, 4),
        "few": correctness(rng, 0.5, 2),
    }
    found = compare_crossed(right, "none")
    assert set(found) == {"better", "same"}
    assert (found["better"].difference.n, found["same"].difference.n) == (5, 4)
    assert found["better"].decided
    assert not found["same"].decided
    assert all(each.adjusted_p >= each.p for each in found.values())
    assert compare_crossed(right, None) == {}


def test_equal_answers_are_no_evidence() -> None:
    assert np.isnan(crossed(np.zeros((3, 10))).p)


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1))
def test_the_front_holds_whom_nobody_beats_and_beats_all_others(points: dict[str, tuple[int, int]]) -> None:
    accuracy = pd.Series({name: float(each[0]) for name, each in points.items()})
    rate = pd.Series({name: float(each[1]) for name, each in points.items()})
    front = pareto_front(accuracy, rate)

    def beats(one: str, other: str) -> bool:
        (a, r), (b, q) = points[one], points[other]
        return a >= b and r <= q and (a > b or r < q)

    assert front
    for name in points:
        assert (name in front) == (not any(beats(other, name) for other in points))
        assert name in front or any(beats(other, name) for other in front)
    assert [points[name][1] for name in front] == sorted(points[name][1] for name in front)


def test_the_page_shows_what_the_stored_predictions_say(sweep: Callable[..., Path], tmp_path: Path) -> None:
    """Recomputed here from the files: the differences in being right, and the front of the means."""
    variants, seeds = ("none", "fixed", "trainable"), range(4)
    folder = sweep(variants=variants, seeds=tuple(seeds))
    build_report("ablation_refractory", folder, tmp_path / "html", ["csv", "md", "html"])
    rows = {name: [read_run(run_path(folder, f"lis-{name}-{seed}")) for seed in seeds] for name in variants}
    right = {
        name: np.array([[each["label"] == each["prediction"] for each in row["predictions"]] for row in found])
        for name, found in rows.items()
    }
    page = (tmp_path / "html" / "ablation_refractory.html").read_text()
    for name in variants[1:]:
        expected = crossed(right[name].astype(float) - right["none"].astype(float))
        assert bounds(expected.difference, 100) in page
    csv = pd.read_csv(tmp_path / "html" / "ablation_refractory.csv").set_index("variant")
    means = {name: pd.DataFrame(found)[["test_accuracy", "firing_rate"]].mean() for name, found in rows.items()}
    for name in variants:
        beaten = any(
            (other.test_accuracy >= means[name].test_accuracy) and (other.firing_rate <= means[name].firing_rate)
            for label, other in means.items()
            if label != name
        )
        assert csv["on_pareto_front"][name] == (not beaten)
    assert "Accuracy on new test examples" in page
