"""Accuracy by groups of test examples, from a network's answers and the shortcut's."""

from __future__ import annotations

import torch

from spike_ssm.harness.data.facts import Baselines
from spike_ssm.harness.training.evaluation import Evaluation
from spike_ssm.harness.training.testing import by_group

LABELS = torch.tensor([1, 2, 3, 4, 5, 6])
ANSWERS = torch.tensor([1, 2, 3, 4, 0, 0])  # four right
SHORTCUT = [1, 2, 0, 0, 0, 6]  # three right


def evaluation(answers: torch.Tensor) -> Evaluation:
    return Evaluation(0.0, float((answers == LABELS).double().mean()), LABELS, answers, torch.ones(len(LABELS)))


def test_accuracy_is_parted_by_whether_the_shortcut_is_right_and_by_the_tasks_own_questions() -> None:
    baselines = Baselines(
        0.1, {"rule": 0.5}, shortcut_answers=SHORTCUT, groups={"size": ["s", "s", "s", "l", "l", "l"]}
    )
    found = by_group(evaluation(ANSWERS), baselines)
    rows = {
        (row["grouping"], row["group"]): (row["examples"], row["accuracy"], row["shortcut_accuracy"]) for row in found
    }
    assert rows == {
        ("shortcut", "right"): (3, 2 / 3, 1.0),
        ("shortcut", "wrong"): (3, 2 / 3, 0.0),
        ("size", "s"): (3, 1.0, 2 / 3),
        ("size", "l"): (3, 1 / 3, 1 / 3),
    }


def test_a_shortcut_that_is_always_right_leaves_no_group_of_wrong_ones() -> None:
    baselines = Baselines(0.1, {"rule": 1.0}, shortcut_answers=LABELS.tolist())
    assert [row["group"] for row in by_group(evaluation(ANSWERS), baselines)] == ["right"]


def test_without_answers_to_examples_there_are_no_groups() -> None:
    assert by_group(evaluation(ANSWERS), Baselines(0.1, {"unigram": 0.5}, 7.0)) == []
