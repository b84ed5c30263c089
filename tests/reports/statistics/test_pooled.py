"""Comparisons with the shared spread: by hand, against the paired test, and how often they claim what is not there."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from spike_ssm.reports.statistics.pooled import _about_fit, _about_means, against_pooled, mean_spread, pooled, spread
from spike_ssm.reports.statistics.seeds import Verdict, against, by_seed, compare

tables = arrays(np.float64, st.tuples(st.integers(3, 6), st.integers(3, 6)), elements=st.floats(-1, 1, width=32))


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=list("abcdefghijkl")[: values.shape[1]])


def drawn(rng: np.random.Generator, seeds: int, spreads: list[float]) -> pd.DataFrame:
    """Variants that are equally good, each with its own spread, and seeds that move all of them."""
    return frame(rng.standard_normal((seeds, len(spreads))) * spreads + rng.standard_normal((seeds, 1)))


def test_the_spread_is_the_residual_of_the_two_way_table():
    values = frame(np.array([[1.0, 2.0, 6.0], [2.0, 2.0, 5.0], [3.0, 5.0, 7.0]]))
    # means of columns 2, 3, 6, of rows 3, 3, 5, of all 11/3; residuals in thirds: (-1, -1, 2), (2, -1, -1), (-1, 2, -1)
    found = spread(values)
    assert found is not None
    assert (found.sd, found.freedom) == (pytest.approx(math.sqrt(18 / 9 / 4)), 4)


@settings(deadline=None, max_examples=50)
@given(tables)
def test_it_is_that_of_the_formula_for_complete_tables_whatever_seeds_and_variants_add(values):
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    found = spread(frame(values + np.arange(values.shape[1]) - 3 * np.arange(len(values))[:, None]))
    assert found is not None
    assert found.freedom == (values.shape[0] - 1) * (values.shape[1] - 1)
    assert found.sd == pytest.approx(math.sqrt((rest**2).sum() / found.freedom), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(tables)
def test_the_mean_spread_is_as_large_and_known_no_better(values):
    found, mean = spread(frame(values)), mean_spread(frame(values))
    assert found is not None
    if found.sd > 1e-6:
        assert mean is not None
        assert mean.sd == pytest.approx(found.sd)
        assert 1 <= mean.freedom <= found.freedom


def test_of_means_over_variants_that_spread_unalike_it_errs_as_often_as_it_says():
    rng, spreads, claimed, tried = np.random.default_rng(3), [0.2, 1.0, 3.0], 0, 2000
    for _ in range(tried):
        values = drawn(rng, 4, spreads * 2)
        compared = mean_spread(values)
        assert compared is not None
        difference = (values[list("abc")].mean(axis="columns") - values[list("def")].mean(axis="columns")).mean()
        error = compared.sd * math.sqrt(2 / 3 / 4)
        claimed += 2 * stats.t.sf(abs(difference) / error, compared.freedom) < 0.05
    assert claimed / tried == pytest.approx(0.05, abs=0.02)


def test_runs_that_are_missing_cost_a_degree_of_freedom_each():
    values = drawn(np.random.default_rng(0), 5, [1.0] * 4)
    values.loc[0, "a"] = values.loc[3, "c"] = math.nan
    found = spread(values)
    assert found is not None
    assert found.freedom == 3 * 4 - 2


def test_of_two_variants_it_is_the_paired_t_test():
    values = drawn(np.random.default_rng(1), 5, [1.0, 2.0])
    shared, own = against_pooled(values, "a")["b"], against(values, "a")["b"]
    assert shared.p == pytest.approx(own.p)
    assert shared.difference.half == pytest.approx(own.difference.half)
    assert shared.freedom == own.freedom == 4


def test_a_difference_is_that_of_the_means_with_the_shared_standard_error():
    values = drawn(np.random.default_rng(2), 5, [1.0] * 4)
    found, shared = against_pooled(values, "a")["c"], spread(values)
    assert shared is not None
    assert shared.is_shared
    error = shared.sd * math.sqrt(2 / 5)
    mean = (values["c"] - values["a"]).mean()
    assert found.difference.mean == pytest.approx(mean)
    assert found.difference.half == pytest.approx(stats.t.ppf(0.975, 12) * error)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(mean) / error, 12))
    assert found.error == pytest.approx(error)


def test_a_pair_whose_seeds_agree_by_chance_is_no_longer_certain():
    values = drawn(np.random.default_rng(3), 5, [1.0] * 6)
    values["b"] = values["a"] + [0.50, 0.51, 0.49, 0.52, 0.48]
    assert against(values, "a")["b"].verdict is Verdict.HIGHER
    assert against_pooled(values, "a")["b"].verdict is Verdict.OPEN


def test_variants_that_spread_differently_keep_their_own():
    values = drawn(np.random.default_rng(4), 5, [1.0, 1.0, 1.0, 20.0])
    shared = spread(values)
    assert shared is not None
    assert not shared.is_shared
    assert against_pooled(values, "a") == against(values, "a")


def test_below_three_seeds_there_is_no_verdict_however_well_the_spread_is_known():
    values = drawn(np.random.default_rng(5), 5, [0.01] * 4)
    values["b"] += 1
    values.loc[2:, "b"] = math.nan
    assert against_pooled(values, "a")["b"].verdict is Verdict.TOO_FEW


def test_without_any_freedom_there_is_no_spread():
    runs = pd.DataFrame({"variant": ["a", "b"], "seed": [0, 0], "accuracy": [0.1, 0.2]})
    assert spread(by_seed(runs, "accuracy")) is None
    assert spread(pd.DataFrame({"a": [math.nan]})) is None
    differences = compare({"b": pd.Series([0.1, 0.2, 0.4])})
    assert pooled(differences, None) == differences


@pytest.mark.parametrize(("variants", "seeds"), [(4, 3), (8, 5)])
def test_equal_variants_are_rarely_told_apart(variants: int, seeds: int):
    """Of 200 studies 5 % may claim something: 10, or 18 with chance."""
    rng = np.random.default_rng([variants, seeds])
    studies = (against_pooled(drawn(rng, seeds, [1.0] * variants), "a") for _ in range(200))
    assert sum(any(each.verdict.decided for each in found.values()) for found in studies) <= 18


def test_it_shows_more_than_pairs_of_their_own_spread():
    rng = np.random.default_rng(6)
    shown = {against: 0, against_pooled: 0}
    for _ in range(100):
        values = drawn(rng, 5, [1.0] * 8)
        values["b"] += 2.5
        for test in shown:
            shown[test] += test(values, "a")["b"].verdict is Verdict.HIGHER
    assert shown[against_pooled] > shown[against] + 20


def test_the_spread_of_a_complete_table_is_that_of_the_fit_for_tables_with_gaps() -> None:
    values = pd.DataFrame(np.random.default_rng(3).normal(size=(4, 5)) + np.arange(5), columns=list("abcde"))
    fit, freedom = _about_fit(values)
    rest, same = _about_means(values)
    assert freedom == same == 12
    assert rest.to_numpy() == pytest.approx(fit.to_numpy())
    assert list(rest.index) == list(fit.index)
