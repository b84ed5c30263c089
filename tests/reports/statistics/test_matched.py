"""Accuracy at matched firing rate: finds what is there, is not fooled by the rate, never leaves what was measured."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spike_ssm.reports.statistics.matched import (
    AtRate,
    Curve,
    Measured,
    Placebo,
    at_matched_rate,
    compare_matched,
    curves,
)
from spike_ssm.reports.statistics.seeds import Interval, Verdict
from spike_ssm.reports.tables.matched import matched_table
from spike_ssm.results.schema import PlannedRun

PLAIN, REFRACTORY = (Curve(name, tuple(f"{name} / {threshold}" for threshold in (0.5, 1, 1.5, 2))) for name in "pr")
RATES = {"p": (0.30, 0.20, 0.15, 0.10), "r": (0.24, 0.15, 0.08, 0.05)}
seeds_noise = st.lists(st.floats(-0.01, 0.01), min_size=3, max_size=6)


def line(rate: float) -> float:
    """Accuracy that depends on the rate alone."""
    return 0.6 + 0.1 * math.log(rate)


def measured(noise: list[float], effect: float = 0.0, rates: dict[str, tuple[float, ...]] = RATES) -> pd.DataFrame:
    """Runs on one line of accuracy against rate, `r` above it by `effect`; a seed moves its rates and its line."""
    jitter = np.random.default_rng(len(noise))
    found = []
    for seed, moved in enumerate(noise):
        for curve in (PLAIN, REFRACTORY):
            for variant, rate in zip(curve.variants, rates[curve.name], strict=True):
                own = rate + 0.01 * jitter.random()
                accuracy = line(own) + moved + (effect * (1 + moved) if curve is REFRACTORY else 0.0)
                row = {"variant": variant, "seed": seed, "firing_rate": own, "test_accuracy": accuracy}
                found.append(row | {"id": f"{variant} {seed}"})
    return pd.DataFrame(found)


def wide(noise: list[float], effect: float = 0.0) -> Measured:
    return Measured.of(measured(noise, effect))


def planned(runs: pd.DataFrame) -> list[PlannedRun]:
    """The runs as a sweep over neuron and threshold planned them."""
    points = [(run, *run["variant"].split(" / ")) for run in runs.to_dict("records")]
    return [
        PlannedRun(
            run["id"], {"task": "listops", "neuron": neuron, "threshold": threshold}, run["variant"], run["seed"]
        )
        for run, neuron, threshold in points
    ]


@settings(deadline=None, max_examples=25)
@given(seeds_noise, st.floats(-0.2, 0.2))
def test_a_planted_effect_is_recovered_at_matched_rate(noise, effect):
    found = at_matched_rate(wide(noise, effect), REFRACTORY, PLAIN)
    assert found.problem == ""
    assert found.difference.to_numpy() == pytest.approx([effect * (1 + moved) for moved in noise], abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(seeds_noise)
def test_an_effect_that_is_only_one_of_the_rate_vanishes(noise):
    """The artefact: `r` is sparser at every threshold and loses accuracy with the spikes, on one common line."""
    runs = measured(noise)
    at_threshold = runs.groupby("variant")["test_accuracy"].mean()
    assert (at_threshold[list(REFRACTORY.variants)].to_numpy() < at_threshold[list(PLAIN.variants)].to_numpy()).all()
    assert at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN).difference.abs().max() < 1e-9


def test_with_noise_the_effect_is_claimed_and_the_artefact_is_not():
    rng = np.random.default_rng(0)
    for effect, allowed in ((0.05, {Verdict.HIGHER}), (0.0, {Verdict.OPEN})):
        runs = measured([0.0] * 5, effect)
        runs["test_accuracy"] += 0.004 * rng.standard_normal(len(runs))
        (found,) = compare_matched(runs, planned(runs), PLAIN.variants[1])
        assert (found.at.curve, found.at.reference) == ("r / 0.5 to r / 2", "p / 0.5 to p / 2")
        assert found.comparison.verdict in allowed


@settings(deadline=None, max_examples=25)
@given(seeds_noise, st.randoms(use_true_random=False))
def test_order_of_runs_and_variants_does_not_matter(noise, random):
    runs = measured(noise, 0.1)
    first = at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN)
    shuffled = [Curve(curve.name, tuple(random.sample(curve.variants, 4))) for curve in (REFRACTORY, PLAIN)]
    second = at_matched_rate(Measured.of(runs.sample(frac=1, random_state=random.randrange(99))), *shuffled)
    pd.testing.assert_series_equal(first.difference.sort_index(), second.difference.sort_index())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0.01, 0.4), min_size=8, max_size=8, unique=True))
def test_nothing_is_extrapolated(rates):
    """Compared, both sides lie between their neighbours; where the ranges do not meet, nothing is compared."""
    runs = measured([0.0, 0.0, 0.0], 0.0, {"p": tuple(rates[:4]), "r": tuple(rates[4:])})
    found = at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN)
    pivoted = runs.pivot(index="seed", columns="variant", values="firing_rate")
    ours, theirs = pivoted[list(REFRACTORY.variants)], pivoted[list(PLAIN.variants)]
    meet = (ours.min(axis=1) <= theirs.max(axis=1)) & (theirs.min(axis=1) <= ours.max(axis=1))
    assert (found.problem == "") == meet.all()
    if meet.all():
        assert max(ours.min(axis=1).mean(), theirs.min(axis=1).mean()) <= found.rate.mean + 1e-12
        assert found.rate.mean <= min(ours.max(axis=1).mean(), theirs.max(axis=1).mean()) + 1e-12
    else:
        assert found.problem.startswith("no common rate in ")
        assert found.difference.empty


def test_one_seed_without_a_common_rate_leaves_no_comparison():
    runs = measured([0.0] * 3, 0.1)
    runs.loc[(runs["seed"] == 1) & runs["variant"].isin(REFRACTORY.variants), "firing_rate"] += 0.5
    assert at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN).problem == "no common rate in 1 of 3 seeds"


def test_the_rate_is_the_baselines_where_both_reach_it_and_else_the_middle():
    runs = measured([0.0] * 3)
    own = runs[runs["variant"] == "p / 1"].set_index("seed")["firing_rate"]
    assert at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN, "p / 1").rate.mean == pytest.approx(own.mean())
    pivoted = runs.pivot(index="seed", columns="variant", values="firing_rate")
    middle = np.sqrt(pivoted["p / 2"] * pivoted["r / 0.5"])
    for beyond in ("p / 0.5", None):
        assert at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN, beyond).rate.mean == pytest.approx(middle.mean())


def test_seeds_without_every_variant_of_both_are_left_out():
    runs = measured([0.0] * 4, 0.1)
    runs = runs[(runs["variant"] != "r / 1") | (runs["seed"] != 2)]
    assert list(at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN).difference.index) == [0, 1, 3]


def test_a_variant_alone_is_compared_with_a_curve_at_its_own_rate():
    runs = measured([0.0] * 3, 0.1)
    found = at_matched_rate(Measured.of(runs), Curve("alone", ("r / 1",)), PLAIN)
    assert found.difference.to_numpy() == pytest.approx([0.1] * 3)


# --- placebos


def test_the_placebo_is_the_nearest_variant_between_a_curves_ends_against_the_others():
    found = at_matched_rate(wide([0.01, -0.01, 0.0]), Curve("alone", ("r / 1",)), PLAIN)  # at 0.15
    (placebo,) = found.placebos
    assert placebo.variant == "p / 1.5"
    assert placebo.difference.mean == pytest.approx(0, abs=1e-9)
    near_the_end = at_matched_rate(wide([0.0] * 3), Curve("alone", ("r / 0.5",)), PLAIN)  # at 0.24
    assert [each.variant for each in near_the_end.placebos] == ["p / 1"]


def test_two_curves_have_a_placebo_each():
    found = at_matched_rate(wide([0.0] * 3), REFRACTORY, PLAIN, "p / 1.5")
    assert [each.variant for each in found.placebos] == ["r / 1", "p / 1.5"]


def test_a_point_below_its_own_curve_is_found_and_no_verdict_is_given_beside_it():
    """What a penalty that ruins training does: nothing is wrong with `r / 1`, and it lies beyond the curve."""
    runs = measured([0.004, -0.006, 0.001, 0.003, -0.002])
    runs.loc[runs["variant"] == "p / 1.5", "test_accuracy"] -= 0.05
    matched = [each for each in compare_matched(runs, planned(runs), "p / 1") if each.at.curve.startswith("r")]
    (found,) = matched
    at = at_matched_rate(Measured.of(runs), Curve("alone", ("r / 1",)), PLAIN)
    assert at.difference.mean() > 0.03
    assert at.doubt(at.difference.mean()) == "p / 1.5, left out, lies beside its own curve"
    assert not found.comparison.verdict.decided or found.doubt


def at_rate(*placebos: tuple[float, float], untested: str = "") -> AtRate:
    """A comparison with placebos of these means and half widths."""
    found = tuple(Placebo(f"v{place}", Interval(*each, 5)) for place, each in enumerate(placebos))
    return AtRate("curve", "reference", Interval(0.1, 0.01, 5), pd.Series([0.02] * 5), "", found, untested)


@pytest.mark.parametrize(
    ("at", "claim", "doubt"),
    [
        (at_rate((0.001, 0.004)), 0.01, ""),
        (at_rate((0.001, 0.004)), -0.01, ""),
        (at_rate((0.001, 0.006)), 0.01, "the placebo of v0 is less certain than the difference is large"),
        (at_rate((0.001, 0.004), (0.002, 0.001)), 0.01, "v1, left out, lies beside its own curve"),
        (at_rate(untested="c has fewer than 4 rates"), 0.5, "c has fewer than 4 rates"),
        (at_rate(), 0.01, ""),  # two variants alone
    ],
)
def test_a_verdict_is_withheld_where_the_placebo_is_not_0_or_wider_than_the_claim(at: AtRate, claim: float, doubt: str):
    assert at.doubt(claim) == doubt


def test_a_curve_of_three_rates_allows_no_verdict():
    runs = measured([0.0, 0.001, -0.001], 0.1)
    three = Curve("three", PLAIN.variants[:3])
    found = at_matched_rate(Measured.of(runs), Curve("alone", ("r / 0.5",)), three)
    assert found.doubt(0.1) == "three has fewer than 4 rates"


def test_a_network_that_does_not_fire_at_all_has_no_rate_to_match():
    runs = measured([0.0] * 3)
    runs.loc[(runs["variant"] == "p / 2") & (runs["seed"] == 1), "firing_rate"] = 0.0
    found = at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN)
    assert found.problem == "p / 2 does not fire at all in a seed"


def threshold_plan(labels: list[str]) -> list[PlannedRun]:
    return [PlannedRun(label, {"task": "listops", "threshold": label}, label, 0) for label in labels]


def test_labels_with_one_word_and_different_numbers_are_a_curve_and_the_rest_are_points():
    """The labels of `ablation_threshold`, and one that only ends in a number."""
    found = curves(threshold_plan(["per_channel", "fixed_0.5", "fixed_1", "fixed_2", "control_decay0"]))
    assert [curve.variants for curve in found] == [
        ("fixed_0.5", "fixed_1", "fixed_2"),
        ("per_channel",),
        ("control_decay0",),
    ]


def test_curves_hold_everything_but_one_axis_fixed():
    found = curves(planned(measured([0.0])))
    assert [curve.variants for curve in found] == [PLAIN.variants, REFRACTORY.variants]


def test_a_sweep_without_numbers_has_no_comparison_and_no_table():
    runs = pd.DataFrame(
        [
            {"id": name, "variant": name, "seed": 0, "firing_rate": 0.1, "test_accuracy": 0.5}
            for name in ("binary", "lif_soft")
        ]
    )
    assert compare_matched(runs, threshold_plan(["binary", "lif_soft"]), "binary") == []
    assert matched_table([]) is None


def test_neurons_that_do_not_spike_have_no_common_rate():
    runs = measured([0.0] * 3)
    runs.loc[runs["variant"].isin(REFRACTORY.variants), "firing_rate"] = math.nan
    assert at_matched_rate(Measured.of(runs), REFRACTORY, PLAIN).problem == "no seed has a rate for every variant"


def test_the_table_says_why_there_is_no_comparison():
    runs = measured([0.0] * 3, 0.1, {"p": (0.9, 0.8, 0.75, 0.7), "r": RATES["r"]})
    table = matched_table(compare_matched(runs, planned(runs), "p / 1"))
    assert table is not None
    assert table.rows[0].cells[:3] == ("p / 0.5 to p / 2", "no common rate in 3 of 3 seeds", "–")  # noqa: RUF001
