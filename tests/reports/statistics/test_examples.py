"""Intervals over seeds and test examples against hand-made data, against simulation and against scipy's t-test."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from spike_ssm.reports.statistics.examples import crossed, over_examples, parts
from spike_ssm.reports.statistics.seeds import Verdict, against, t_interval

REPEATS, EXAMPLES = 1500, 120
SPREADS = [  # standard deviation of seeds, of examples, of the rest
    (0.1, 0.0, 1.0),
    (0.0, 1.0, 1.0),
    (0.0, 1.0, 0.1),
    (0.1, 0.5, 1.0),
    (0.3, 1.0, 1.0),
    (1.0, 1.0, 0.1),
]
few = arrays(np.int8, st.tuples(st.integers(3, 6), st.integers(3, 20)), elements=st.integers(-1, 1)).filter(
    lambda found: np.ptp(found.mean(axis=1)) > 0.01
)


def drawn(rng: np.random.Generator, seeds: int, spreads: tuple[float, float, float]) -> np.ndarray:
    """Sums of effects of seeds, of examples and of both: [REPEATS, seeds, EXAMPLES], mean 0."""
    shapes = ((REPEATS, seeds, 1), (REPEATS, 1, EXAMPLES), (REPEATS, seeds, EXAMPLES))
    total = np.zeros(shapes[-1])
    for spread, shape in zip(spreads, shapes, strict=True):
        total += spread * rng.standard_normal(shape)
    return total


def missed(differences: np.ndarray) -> float:
    """The share of repetitions whose 95 % interval leaves out 0."""
    found = parts(differences)
    return float(np.mean(np.abs(found.mean) > found.half_width(0.05)))


@pytest.mark.parametrize(("seeds", "spreads"), list(product((3, 5, 10), SPREADS)))
def test_interval_covers_between_93_and_99_percent_whatever_varies(seeds, spreads):
    assert 0.01 <= missed(drawn(np.random.default_rng([1, seeds]), seeds, spreads)) <= 0.065


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_without_effects_of_seeds_or_examples_it_errs_on_the_wide_side(seeds):
    assert 0.003 <= missed(drawn(np.random.default_rng([8, seeds]), seeds, (0.0, 0.0, 1.0))) <= 0.05


def test_pooled_over_all_planted_effects_it_never_claims_too_much():
    """Of 5 %, 27,000 draws leave a standard error of 0.13 %: at most 5.3 %."""
    rng = np.random.default_rng(2)
    assert np.mean([missed(drawn(rng, seeds, each)) for seeds in (3, 5, 10) for each in SPREADS]) < 0.053


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_equally_good_classifiers_are_rarely_told_apart(seeds):
    """Answers right or wrong, with examples of unequal difficulty, good seeds, and examples that suit one of both."""
    rng = np.random.default_rng([3, seeds])
    difficulty = rng.standard_normal((REPEATS, 1, EXAMPLES))
    ours, theirs = (drawn(rng, seeds, (0.1, 0.5, 1.0)) + difficulty > -0.3 for _ in range(2))
    assert missed(ours.astype(float) - theirs.astype(float)) <= 0.065


def test_over_seeds_alone_the_examples_of_one_test_set_pass_for_more_than_they_are():
    """What the second source of variation is for: seeds agree on examples that suit one variant by chance."""
    differences = drawn(np.random.default_rng(4), 5, (0.0, 1.0, 0.1))
    assert np.mean(stats.ttest_1samp(differences.mean(axis=2), 0.0, axis=1).pvalue < 0.05) > 0.5
    assert missed(differences) <= 0.065


def test_parts_are_the_mean_squares_of_the_two_way_table():
    d = np.random.default_rng(5).standard_normal((4, 7))
    rows, columns, mean = d.mean(axis=1), d.mean(axis=0), d.mean()
    rest = ((d - rows[:, None] - columns + mean) ** 2).sum() / (3 * 6)
    between_examples = 4 * ((columns - mean) ** 2).sum() / 6
    found = parts(d)
    assert found.mean == pytest.approx(mean)
    assert found.seeds == pytest.approx(rows.var(ddof=1) / 4)
    assert found.rest == pytest.approx(rest / (4 * 7))
    assert found.examples == pytest.approx(max(0.0, (between_examples - rest) / (4 * 7)))


@settings(deadline=None, max_examples=50)
@given(few)
def test_it_contains_the_interval_over_seeds_and_its_p_is_never_smaller(differences):
    found, over_seeds = crossed(differences.astype(float)), t_interval(differences.mean(axis=1))
    assert found.difference.mean == pytest.approx(over_seeds.mean, abs=1e-12)
    assert found.difference.half >= over_seeds.half * (1 - 1e-9)
    assert found.p >= stats.ttest_1samp(differences.mean(axis=1), 0.0).pvalue - 1e-9


@settings(deadline=None, max_examples=50)
@given(few)
def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_zero(differences):
    found = crossed(differences.astype(float))
    assert (found.p < 0.05) == (not found.difference.low <= 0 <= found.difference.high)


@settings(deadline=None, max_examples=50)
@given(few, st.randoms(use_true_random=False))
def test_order_of_seeds_and_examples_does_not_matter(differences, random):
    seeds, examples = (random.sample(range(n), n) for n in differences.shape)
    first, second = crossed(differences.astype(float)), crossed(differences[seeds][:, examples].astype(float))
    assert second.difference.half == pytest.approx(first.difference.half, abs=1e-9)
    assert second.p == pytest.approx(first.p, abs=1e-9)


def test_where_only_seeds_differ_it_is_the_t_test_over_seeds():
    d = np.repeat([[0.01], [0.02], [0.06]], 50, axis=1)
    assert crossed(d).p == pytest.approx(stats.ttest_1samp(d[:, 0], 0.0).pvalue, abs=1e-6)


def test_seeds_that_agree_by_chance_do_not_hide_how_much_answers_vary():
    """Per seed 250 examples lost and 16 to 18 more gained: hardly a spread over seeds, and hardly evidence."""
    rng = np.random.default_rng(7)
    answers = [[1] * gained + [-1] * 250 + [0] * (750 - gained) for gained in (266, 267, 268)]
    d = np.array([rng.permutation(each) for each in answers], dtype=float)
    assert stats.ttest_1samp(d.mean(axis=1), 0.0).pvalue < 0.002
    assert crossed(d).p > 0.05


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        (np.array([[1, 0, 1], [1, 1, 1]]), Verdict.TOO_FEW),
        (np.array([[1], [0], [1]]), Verdict.TOO_FEW),
        (np.array([[1, 0, 1]] * 3), Verdict.NO_SPREAD),
    ],
    ids=["two seeds", "one example", "every seed the same"],
)
def test_there_is_no_verdict_from_too_little(differences, verdict):
    found = crossed(differences.astype(float))
    assert found.verdict is verdict
    assert math.isnan(found.p)
    assert math.isnan(found.difference.half)


def answers(hits: np.ndarray) -> dict[int, pd.Series]:
    """Right or wrong of every seed, as `reports.loading.sweep.correctness` gives it."""
    index = pd.MultiIndex.from_arrays([range(hits.shape[1]), np.arange(hits.shape[1]) % 10], names=["example", "label"])
    return {seed: pd.Series(row, index) for seed, row in enumerate(hits)}


@pytest.fixture
def hits() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    return {name: rng.random((3, 400)) < share for name, share in (("none", 0.5), ("up", 0.7), ("same", 0.5))}


def over_seeds(hits):
    return against(pd.DataFrame({name: found.mean(axis=1) for name, found in hits.items()}), "none")


def test_variants_are_paired_by_example_and_corrected_together(hits):
    shuffled = {seed: each.sample(frac=1, random_state=seed) for seed, each in answers(hits["up"]).items()}
    right = {name: answers(found) for name, found in hits.items()} | {"up": shuffled}
    found = over_examples(right, "none", over_seeds(hits))
    alone = crossed(hits["up"].astype(float) - hits["none"])
    assert found["up"].p == pytest.approx(alone.p)
    assert found["up"].adjusted_p == pytest.approx(2 * alone.p)
    assert found["up"].verdict is Verdict.HIGHER
    assert found["same"].verdict is Verdict.OPEN


@pytest.mark.parametrize("without", ["a seed", "examples", "everything"])
def test_predictions_that_do_not_tell_the_whole_difference_give_no_comparison(hits, without):
    right = {name: answers(found) for name, found in hits.items()}
    kept = {
        "a seed": {0: right["up"][0], 1: right["up"][1]},
        "examples": {seed: each[each][:150] for seed, each in right["up"].items()},
        "everything": {},
    }
    assert set(over_examples(right | {"up": kept[without]}, "none", over_seeds(hits))) == {"same"}
