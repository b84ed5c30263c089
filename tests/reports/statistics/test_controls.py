"""Controls: an effect is named what it is, a plainer cause is recognised, and noise is given no name at all."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.findings.controls import control_findings
from spike_ssm.reports.statistics.controls import (
    EXPLAINED,
    FEWER,
    MARGIN,
    MORE,
    NONE,
    UNDECIDED,
    WORSE,
    Judged,
    equivalence,
    judge,
)
from spike_ssm.reports.tables.controls import control_table
from spike_ssm.results.schema import Controls, Effect

RATES = {
    "none": 0.20,
    "raised_1.5": 0.16,
    "raised_2": 0.12,
    "raised_2.5": 0.09,
    "raised_3": 0.06,
    "fixed": 0.14,
    "enlarged": 0.13,
}
"""Variant -> firing rate: a curve without the effect, the variant said to have it, and a control."""

EFFECT = Effect("fixed", "none", ["enlarged"], [], ["none", "raised_1.5", "raised_2", "raised_2.5", "raised_3"])
ITSELF = "refractoriness itself"


def line(rate: float) -> float:
    """Accuracy without the effect: fewer spikes cost accuracy, and nothing else does."""
    return 0.55 + 0.085 * math.log(rate)


def study(
    gains: dict[str, float], *, seeds: int = 5, noise: float = 0.002, draw: int = 0, rates: dict[str, float] = RATES
) -> pd.DataFrame:
    """A synthetic study with a known answer: all lie on one line of accuracy against rate, but for their `gains`."""
    rng = np.random.default_rng(draw)
    found = []
    for seed in range(seeds):
        common = 0.01 * rng.standard_normal()  # what a seed does to every variant
        for variant, rate in rates.items():
            own = rate + 0.001 * rng.standard_normal()
            accuracy = line(own) + common + gains.get(variant, 0.0) + noise * rng.standard_normal()
            found.append({"variant": variant, "seed": seed, "firing_rate": own, "test_accuracy": accuracy})
    return pd.DataFrame(found)


def judged(runs: pd.DataFrame, effect: Effect = EFFECT) -> Judged:
    (found,) = judge(runs, Controls("refractoriness", [effect]))
    return found


# --- known answers


def test_a_planted_effect_is_named_itself():
    assert judged(study({"fixed": 0.04})).verdict == ITSELF


def test_an_effect_that_the_control_has_too_is_explained_by_the_control():
    assert judged(study({"fixed": 0.04, "enlarged": 0.04})).verdict == EXPLAINED.format("enlarged")


def test_where_only_the_rate_differs_it_is_only_fewer_spikes():
    """The artefact: less accurate than the reference, by what its fewer spikes cost and by nothing else."""
    runs = study({})
    means = runs.groupby("variant")["test_accuracy"].mean()
    assert means["fixed"] < means["none"] - 0.02
    assert judged(runs).verdict == FEWER


def test_where_only_more_spikes_raise_accuracy_it_is_only_more_spikes():
    rates = RATES | {"none": 0.12, "raised_2": 0.20, "fixed": 0.17}  # the curve reaches above the reference too
    runs = study({}, rates=rates)
    assert runs.groupby("variant")["test_accuracy"].mean()["fixed"] > line(0.12) + 0.01
    assert judged(runs).verdict == MORE


def test_what_changes_nothing_is_no_effect():
    runs = study({}, rates=RATES | {"none": 0.1401, "raised_2": 0.2})
    assert judged(runs).verdict == NONE


def test_a_loss_beyond_that_of_its_spikes_is_said():
    assert judged(study({"fixed": -0.04})).verdict == WORSE


def test_an_effect_larger_than_the_controls_is_itself_although_the_control_has_some_of_it():
    assert judged(study({"fixed": 0.08, "enlarged": 0.03})).verdict == ITSELF


def test_an_advantage_that_is_shown_but_within_the_margin_is_no_effect_for_people():
    found = judged(study({"fixed": 0.004}, noise=0.0004))
    assert found.advantage.is_shown
    assert found.advantage.is_within_margin
    assert found.verdict == FEWER


# --- what is not known is not said


def test_noise_hides_an_effect_and_the_verdict_says_so():
    found = judged(study({"fixed": 0.02}, noise=0.05))
    assert found.verdict == UNDECIDED
    assert found.reason == "at its rate, neither a difference nor equality within the margin is shown"


def test_two_seeds_allow_no_verdict():
    found = judged(study({"fixed": 0.04}, seeds=2))
    assert (found.verdict, found.reason) == (UNDECIDED, "fewer than 3 seeds")


def test_a_rate_outside_the_curve_allows_no_verdict():
    found = judged(study({"fixed": 0.04}, rates=RATES | {"fixed": 0.03}))
    assert (found.verdict, found.reason) == (UNDECIDED, "no common rate in 5 of 5 seeds")


def test_a_control_that_was_not_run_leaves_an_advantage_unexplained():
    missing = Effect("fixed", "none", [], ["enlarged"], EFFECT.rates)
    found = judged(study({"fixed": 0.04}), missing)
    assert (found.verdict, found.reason) == (UNDECIDED, "an advantage is shown, but enlarged was not run")


def test_a_control_without_a_finished_run_may_explain_it():
    runs = study({"fixed": 0.04})
    found = judged(runs[runs["variant"] != "enlarged"])
    assert found.verdict == UNDECIDED
    assert "these may explain it: enlarged (enlarged: a variant has no finished run)" in found.reason


@pytest.mark.parametrize(
    "effect", [Effect("fixed", None, ["enlarged"], [], []), Effect("fixed", "none", ["enlarged"], [], ["none"])]
)
def test_without_a_curve_there_is_no_verdict(effect: Effect):
    found = judged(study({"fixed": 0.04}), effect)
    assert (found.verdict, found.reason) == (UNDECIDED, "no curve of accuracy against firing rate was run here")


def test_a_task_without_the_curve_has_no_verdict_and_one_with_most_of_it_has():
    runs = study({"fixed": 0.04})
    without = judged(runs[~runs["variant"].str.startswith("raised")])
    assert (without.verdict, without.reason) == (UNDECIDED, "no curve of accuracy against firing rate was run here")
    assert judged(runs[runs["variant"] != "raised_3"]).verdict == ITSELF


def test_an_effect_without_a_finished_run_is_not_judged():
    runs = study({})
    assert judge(runs[runs["variant"] != "fixed"], Controls("refractoriness", [EFFECT])) == []


# --- how often it is wrong


def test_where_nothing_but_the_rate_differs_the_effect_is_hardly_ever_named_itself():
    """At most a twentieth of the studies claims what is not there."""
    studies = [judged(study({}, noise=0.01, draw=draw)).verdict for draw in range(100)]
    assert studies.count(ITSELF) <= 5
    assert studies.count(WORSE) <= 5


def test_where_the_control_explains_all_the_effect_is_hardly_ever_named_itself():
    gains = {"fixed": 0.03, "enlarged": 0.03}
    studies = [judged(study(gains, noise=0.006, draw=draw)).verdict for draw in range(100)]
    assert studies.count(ITSELF) <= 5


def test_an_effect_of_the_margin_is_hardly_ever_called_only_fewer_spikes():
    studies = [judged(study({"fixed": MARGIN}, noise=0.004, draw=draw)).verdict for draw in range(100)]
    assert studies.count(FEWER) <= 11


def test_a_clear_effect_is_found_in_most_studies():
    studies = [judged(study({"fixed": 0.05}, noise=0.006, draw=draw)).verdict for draw in range(50)]
    assert studies.count(ITSELF) >= 40


# --- equality


def test_equality_is_shown_by_a_small_spread_around_zero_and_by_nothing_else():
    assert equivalence([0.001, -0.001, 0.0005, -0.0004], MARGIN) < 0.001
    assert equivalence([0.001, -0.001, 0.03, -0.03], MARGIN) > 0.2
    assert equivalence([0.021, 0.019, 0.0205, 0.0196], MARGIN) > 0.99
    assert np.isnan(equivalence([0.001, -0.001], MARGIN))
    assert np.isnan(equivalence([0.001, 0.001, 0.001], MARGIN))


# --- in words


@pytest.mark.parametrize(
    ("gains", "tag", "part"),
    [
        ({"fixed": 0.04}, ITSELF, "and more than each control (enlarged)."),
        ({"fixed": 0.04, "enlarged": 0.04}, "explained by enlarged", "and so has the control, within ± 1 point."),
        ({}, FEWER, "and its accuracy is within ± 1 point of what the neuron without the effect reaches"),
        ({"fixed": -0.04}, WORSE, "is less accurate than what the neuron without the effect reaches"),
    ],
)
def test_the_words_follow_from_the_verdict(gains: dict[str, float], tag: str, part: str):
    findings = control_findings([judged(study(gains))], "refractoriness")
    assert findings is not None
    assert findings.title == "Refractoriness itself, or something plainer?"
    (statement,) = findings.statements
    assert (statement.tag, statement.variants) == (tag, ("fixed",))
    assert part in statement.text
    assert statement.text.endswith(".")


def test_the_table_has_a_row_for_every_test():
    table = control_table([judged(study({"fixed": 0.04}))], {})
    assert table is not None
    assert [(row.head, row.cells[0]) for row in table.rows] == [
        ("fixed", "without the effect"),
        ("fixed", "the same of enlarged"),
    ]
    assert table.rows[0].cells[2].startswith(("+3.", "+4."))
    assert control_table([], {}) is None
    assert control_findings([], "refractoriness") is None
