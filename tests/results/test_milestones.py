"""Where a run stands: what each standing means, how often it is wrong by chance, and when a run ends early by it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.results.milestones import DIVERGED_ERROR, Milestones, Stop, judged, standing

TEN = Milestones(0.1, 0.36, test_examples=2000, validation_examples=2000)
"""A task of ten classes."""


def epochs(*accuracies: float, loss: float = 1.0) -> list[dict[str, Any]]:
    return [{"epoch": n, "validation_accuracy": a, "validation_loss": loss} for n, a in enumerate(accuracies, 1)]


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ((0.10,), "still at chance"),
        ((0.05, 0.10), "still at chance"),  # below chance is no better
        ((0.10, 0.20), "below the shortcut"),
        ((0.10, 0.36), "takes off"),  # on neither side for certain
        ((0.10, 0.50), "above the shortcut"),
        ((0.50, 0.20), "above the shortcut"),  # its best weights are kept
        ((0.50, 0.10), "diverged"),
        ((0.121, 0.111), "below the shortcut"),  # a fall that may be chance
    ],
)
def test_a_standing_is_what_the_best_epoch_shows_unless_all_was_lost(
    accuracies: tuple[float, ...], expected: str
) -> None:
    assert standing(epochs(*accuracies), TEN) == expected


def test_without_a_shortcut_a_run_takes_off_and_without_a_rule_nothing_is_said() -> None:
    assert standing(epochs(0.9), Milestones(0.1, test_examples=100)) == "takes off"
    assert standing(epochs(0.9), Milestones()) is None
    assert standing([], TEN) is None


def test_few_examples_show_less() -> None:
    few = Milestones(0.1, 0.36, test_examples=2000, validation_examples=20)
    assert standing(epochs(0.2), TEN) == "below the shortcut"
    assert standing(epochs(0.2), few) == "still at chance"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_a_divergence(loss: float) -> None:
    assert standing(epochs(0.5, loss=loss), TEN) == "diverged"


@pytest.mark.parametrize(("perplexities", "expected"), [
    ((300.0, 210.0), "below the shortcut"),
    ((300.0, 190.0), "above the shortcut"),
    ((190.0, 900.0), "diverged"),
])  # fmt: skip
def test_of_words_perplexities_are_compared_as_they_are(perplexities: tuple[float, ...], expected: str) -> None:
    rows = [{"validation_accuracy": 0.1, "validation_loss": math.log(each)} for each in perplexities]
    assert standing(rows, Milestones(0.05, 0.1, shortcut_perplexity=200.0)) == expected


@pytest.mark.parametrize("count", [1, 10, 40])
def test_a_network_that_answers_by_chance_is_seldom_said_to_learn(count: int) -> None:
    """Of 2,000 trainings 5 % may be said to: 100, or 130 with chance. Half are of few examples."""
    rng = np.random.default_rng(count)
    wrong = 0
    for examples in (200, 2000):
        milestones = Milestones(0.1, 0.36, test_examples=examples, validation_examples=examples)
        accuracies = rng.binomial(examples, 0.1, (1000, count)) / examples
        measured = rng.binomial(examples, 0.1, 1000) / examples  # the rule's own accuracy is of a sample, too
        for each, chance in zip(accuracies, measured, strict=True):
            rule = Milestones(chance, 0.36, test_examples=examples, validation_examples=milestones.validation_examples)
            wrong += standing(epochs(*each), rule) != "still at chance"
    assert wrong <= 130


def test_a_network_a_little_above_chance_is_not_said_to_diverge() -> None:
    rng = np.random.default_rng(0)
    accuracies = rng.binomial(500, 0.15, (500, 20)) / 500
    milestones = Milestones(0.1, 0.36, test_examples=500, validation_examples=500)
    assert sum(standing(epochs(*each), milestones) == "diverged" for each in accuracies) <= 25


# --- ending early


@pytest.mark.parametrize(("text", "rule"), [
    ("at_chance@5", Stop("at_chance", 5)),
    ("below_shortcut@1", Stop("below_shortcut", 1)),
    ("diverged", Stop("diverged")),
])  # fmt: skip
def test_a_rule_is_a_standing_and_an_epoch(text: str, rule: Stop) -> None:
    assert Stop.parse(text) == rule


@pytest.mark.parametrize(("text", "fragment"), [
    ("asleep@5", "does not exist: give at_chance@EPOCH"),
    ("", "does not exist"),
    ("at_chance\n@5", "does not exist"),
    ("at_chance", "needs the epoch"),
    ("at_chance@0", "needs the epoch"),
    ("at_chance@2.5", "needs the epoch"),
    ("diverged@3", "give diverged alone"),
])  # fmt: skip
def test_another_text_is_a_sentence(text: str, fragment: str) -> None:
    with pytest.raises(ValueError, match=fragment):
        Stop.parse(text)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 12))
def test_a_run_ends_at_the_rules_epoch_by_where_it_stands_there_and_at_no_other(
    accuracies: list[float], epoch: int
) -> None:
    rows = epochs(*accuracies)
    applies = Stop("at_chance", epoch).applies(rows, TEN)
    assert applies == (len(rows) == epoch and standing(rows, TEN) == "still at chance")
    assert Stop("diverged").applies(rows, TEN) == (standing(rows, TEN) == "diverged")


def test_what_is_at_chance_is_not_above_the_shortcut_either() -> None:
    assert Stop("below_shortcut", 1).applies(epochs(0.1), TEN)
    assert Stop("below_shortcut", 1).applies(epochs(0.2), TEN)
    assert not Stop("below_shortcut", 1).applies(epochs(0.36), TEN)


# --- stored runs


def row(**changes: Any) -> dict[str, Any]:
    stored = {
        "id": "a", "status": "done", "error": None, "task": "listops", "scale": "laptop",
        "config": json.dumps({"optim": {"epochs": 4}}), "majority_accuracy": 0.1, "shortcut_accuracy": 0.36,
        "shortcut_perplexity": None, "validation_examples": 2000, "epochs": epochs(0.1, 0.1, 0.2, 0.2),
        "predictions": [None] * 2000,
    }  # fmt: skip
    return stored | changes


def test_a_stored_run_is_judged_by_its_epochs() -> None:
    assert judged(row()).words == "below the shortcut"
    assert judged(row(epochs=None)).words == ""


def test_results_from_before_the_number_of_validation_examples_was_stored_are_judged_by_that_of_the_test() -> None:
    assert judged(row(validation_examples=math.nan)) == judged(row())
    assert judged(row(validation_examples=None, predictions=None)).standing is None


def test_a_run_that_ended_early_says_when_and_why() -> None:
    stopped = row(config=json.dumps({"optim": {"epochs": 4}, "stop_if": "at_chance@2"}), epochs=epochs(0.1, 0.1))
    assert judged(stopped).words == "stopped at epoch 2: still at chance"
    assert judged(stopped | {"epochs": epochs(0.1, 0.2, 0.2, 0.2)}).stopped_at is None


def test_a_failed_run_diverged_where_its_error_says_so() -> None:
    failed = {"status": "failed", "epochs": None, "predictions": None}
    assert judged(row(**failed, error=f"{DIVERGED_ERROR} in epoch 1, step 3: The loss is nan.")).words == "diverged"
    assert judged(row(**failed, error="The disk is full.")).words == ""


def test_at_the_papers_scale_a_run_is_set_beside_s4_once_it_had_as_many_epochs() -> None:
    assert judged(row(scale="paper", epochs=epochs(*[0.2] * 9))).reached_s4 is None
    assert judged(row(scale="paper", epochs=epochs(*[0.2] * 9, 0.5))).reached_s4
    assert judged(row(scale="paper", epochs=epochs(*[0.2] * 10, 0.5))).reached_s4 is False
    assert judged(row(epochs=epochs(*[0.5] * 10))).reached_s4 is None, "another scale has other data"


@pytest.mark.parametrize("nonsense", [
    {"epochs": epochs(7.0)},
    {"epochs": [{"validation_loss": None, "validation_accuracy": None}]},
    {"config": "no JSON"},
    {"config": "[]"},
    {"shortcut_perplexity": -1.0},
    {"majority_accuracy": math.nan, "shortcut_accuracy": math.nan},
])  # fmt: skip
def test_a_file_of_somebody_else_raises_nothing(nonsense: dict[str, Any]) -> None:
    judged(row(**nonsense))
