"""Statistics against values worked out by hand or by scipy, and against simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spike_ssm.reports.statistics.seeds import (
    Verdict,
    above,
    against,
    against_reference,
    binomial_half_width,
    by_seed,
    compare,
    corrected,
    disagreement,
    holm,
    t_interval,
    uncorrected,
)


def test_interval_of_1_2_3_is_the_textbook_value():
    # t(0.975, 2) = 4.302653, sd = 1, sqrt(3) = 1.7320508
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.half == pytest.approx(4.302653 / 1.7320508, rel=1e-6)
    assert (interval.low, interval.high) == (2.0 - interval.half, 2.0 + interval.half)


def test_interval_agrees_with_scipy():
    values = [0.412, 0.431, 0.405, 0.428, 0.419]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    interval = t_interval(values)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_interval_covers_95_percent_at_three_seeds():
    draws = np.random.default_rng(0).normal(size=(2000, 3))
    covered = [interval.low <= 0 <= interval.high for interval in map(t_interval, draws)]
    assert 0.935 < np.mean(covered) < 0.965


def test_below_three_values_there_is_no_interval_but_their_range_and_none_has_no_mean():
    assert math.isnan(t_interval([0.5, 0.7]).half)
    assert (t_interval([0.7, 0.5]).least, t_interval([0.7, 0.5]).most) == (0.5, 0.7)
    assert math.isnan(t_interval([0.5]).half)
    assert t_interval([0.5]).mean == 0.5
    assert math.isnan(t_interval([]).mean)


def test_nan_values_are_not_counted():
    assert t_interval([1.0, math.nan, 3.0, math.inf]).n == 2


def test_holm_multiplies_by_the_number_left_and_never_decreases():
    # 0.01 * 4, then 0.02 * 3, then max(0.03 * 2, 0.06), then max(0.5, 0.06)
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])


def test_holm_leaves_out_what_was_not_tested():
    assert holm([0.01, math.nan, 0.04])[0] == pytest.approx(0.02)
    assert math.isnan(holm([0.01, math.nan])[1])


def test_comparison_is_scipys_paired_t_test():
    values = pd.DataFrame({"none": [0.40, 0.42, 0.41, 0.43], "other": [0.42, 0.43, 0.44, 0.46]})
    comparison = against(values, "none")["other"]
    assert comparison.p == pytest.approx(stats.ttest_rel(values["other"], values["none"]).pvalue)
    assert comparison.difference.mean == pytest.approx(0.0225)
    assert comparison.verdict is Verdict.HIGHER


def test_seeds_are_paired_and_seeds_of_only_one_side_are_left_out():
    runs = pd.DataFrame(
        {
            "seed": [2, 1, 0, 0, 1, 2, 3],
            "variant": ["a", "a", "a", "b", "b", "b", "b"],
            "test_accuracy": [0.3, 0.2, 0.1, 0.2, 0.31, 0.42, 0.9],
        }
    )
    difference = against(by_seed(runs, "test_accuracy"), "a")["b"].difference
    assert difference.n == 3
    assert difference.mean == pytest.approx((0.1 + 0.11 + 0.12) / 3)


def test_many_comparisons_at_once_are_scipys_one_by_one():
    values = np.random.default_rng(5).normal(size=(40, 6))
    values[np.random.default_rng(6).random(values.shape) < 0.2] = math.nan
    found = uncorrected(dict(enumerate(values)))
    for place, row in enumerate(values):
        own = row[np.isfinite(row)]
        assert found[place].difference.n == len(own)
        if len(own) >= 3:
            theirs = stats.ttest_1samp(own, 0.0)
            low, high = theirs.confidence_interval(0.95)
            assert found[place].p == pytest.approx(theirs.pvalue, rel=1e-9)
            assert (found[place].difference.low, found[place].difference.high) == pytest.approx((low, high))
            one_sided = stats.ttest_1samp(own, -0.1, alternative="greater").pvalue
            assert above(row[np.newaxis], -0.1)[0] == pytest.approx(one_sided, rel=1e-9)


def test_pairing_sees_what_the_noise_of_seeds_would_hide():
    noise = np.array([0.0, 0.1, 0.2])
    values = pd.DataFrame({"none": noise, "other": noise + np.array([0.010, 0.011, 0.012])})
    assert against(values, "none")["other"].verdict is Verdict.HIGHER


def test_there_is_no_verdict_below_three_seeds_however_clear_the_difference():
    comparison = compare(pd.DataFrame({"other": [0.5, 0.51]}))["other"]
    assert comparison.verdict is Verdict.TOO_FEW
    assert math.isnan(comparison.p)
    assert math.isnan(comparison.difference.half), "nor an interval"
    assert (comparison.difference.least, comparison.difference.most) == (0.5, 0.51)


@pytest.mark.parametrize("difference", [0.0, 0.1])
def test_equal_differences_in_every_seed_give_neither_interval_nor_verdict(difference):
    comparison = compare(pd.DataFrame({"other": [0.1 + difference - 0.1] * 2 + [difference]}))["other"]
    assert comparison.verdict is Verdict.NO_SPREAD
    assert math.isnan(comparison.difference.half)


def test_a_difference_that_fails_the_correction_is_not_claimed():
    rng = np.random.default_rng(3)
    alone = compare(pd.DataFrame({"a": [0.010, 0.013, 0.008]}))["a"]
    others = pd.DataFrame({"a": [0.010, 0.013, 0.008]} | {str(k): rng.normal(size=3) for k in range(9)})
    assert alone.verdict is Verdict.HIGHER
    assert compare(others)["a"].verdict is Verdict.OPEN


def test_what_one_family_claims_a_larger_one_may_not():
    own = compare({"a": pd.Series([0.010, 0.013, 0.008])})
    assert own["a"].verdict is Verdict.HIGHER
    both = corrected(own | {str(k): replace(own["a"], p=0.9) for k in range(9)})
    assert both["a"].verdict is Verdict.OPEN


def test_noise_alone_is_rarely_called_a_difference():
    """The family-wise error of five comparisons with a shared baseline stays near or below 5 %."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(300):
        values = pd.DataFrame(rng.normal(size=(3, 6)), columns=list("abcdef"))
        false += any(comparison.verdict.decided for comparison in against(values, "a").values())
    assert false / 300 < 0.08


def test_shortcut_is_compared_run_by_run():
    accuracy = pd.DataFrame({"a": [0.40, 0.41, 0.42], "b": [0.30, 0.34, 0.36]})
    shortcut = pd.DataFrame({"a": [0.34] * 3, "b": [0.34] * 3})
    found = against_reference(accuracy, shortcut)
    assert found["a"].verdict is Verdict.HIGHER
    assert found["b"].verdict is Verdict.OPEN


def test_disagreement_counts_answers_that_only_one_side_has_right():
    index = pd.MultiIndex.from_tuples([(0, 7), (1, 7), (2, 7), (3, 7)])
    ours, theirs = pd.Series([True, True, True, False], index), pd.Series([True, False, False, True], index)
    counts = disagreement({0: ours, 1: ours, 5: ours}, {0: theirs, 1: theirs, 9: theirs})
    assert counts is not None
    assert (counts.examples, counts.only_variant, counts.only_baseline) == (8, 4, 2)


def test_disagreement_matches_only_examples_with_the_same_label():
    ours = pd.Series([True, True], pd.MultiIndex.from_tuples([(0, 7), (1, 7)]))
    theirs = pd.Series([False, False], pd.MultiIndex.from_tuples([(0, 7), (1, 3)]))
    counts = disagreement({0: ours}, {0: theirs})
    assert counts is not None
    assert counts.examples == 1
    assert disagreement({0: ours}, {1: theirs}) is None


def test_binomial_interval_of_the_listops_test_set():
    # 60.2 % on 2,000 examples: 2.1 points
    assert binomial_half_width(0.602, 2000) == pytest.approx(0.0215, abs=5e-5)
