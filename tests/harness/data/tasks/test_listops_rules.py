"""ListOps' simple rules, and how deep what decides an answer lies."""

from __future__ import annotations

import numpy as np
import pytest

from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.splits import Flat, Sequences, Split
from spike_ssm.harness.data.tasks.listops_rules import RULES, SYMBOLS, deciding_depth, groups

FACTS = Facts(10, list(SYMBOLS))


def split_of(texts: list[str], labels: list[int]) -> Split:
    rows = [[SYMBOLS.index(symbol) for symbol in [*text.split(), "<eos>"]] for text in texts]
    return Split(
        (Sequences(Flat(np.concatenate(rows).astype(np.uint8), np.cumsum([0, *map(len, rows)]))),), np.array(labels)
    )


TRAIN = split_of(["[MIN 1 2 ]", "[MIN [MAX 3 4 ] [MAX 5 6 ] ]", "[SM 1 1 ]"], [1, 4, 2])


@pytest.mark.parametrize(
    ("text", "one_level", "outermost", "all_digits"),
    [
        ("[MAX 3 [MIN 9 8 ] 5 ]", 5, 1, 9),
        ("[SM 7 [MAX 1 9 ] 8 ]", 5, 2, 5),
        ("[MED 1 [MIN 9 9 ] 4 ]", 2, 1, 6),
        ("[MIN [MAX 3 4 ] [MAX 5 6 ] ]", 4, 1, 3),  # no digit of its own: what such a MIN gave in training
    ],
)
def test_the_rules_answer_as_they_say(text: str, one_level: int, outermost: int, all_digits: int) -> None:
    answers = [int(rule.answer(TRAIN, split_of([text], [0]), FACTS)[0]) for rule in RULES]
    assert answers == [one_level, outermost, all_digits]


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("5", 0),
        ("[MAX 3 [MIN 9 8 ] 5 ]", 2),  # the 8 of the nested list
        ("[MAX 9 [MIN 9 8 ] 5 ]", 1),
        ("[MAX 8 [MIN 9 8 ] 5 ]", 1),  # both give 8: the shallower decides
        ("[SM 1 [MIN 9 [MAX 0 0 ] ] 5 ]", 3),  # a sum needs all
        ("[MED 1 [MIN 2 3 ] 9 ]", 2),
        ("[MED 1 [MIN 9 9 ] 4 ]", 1),
        ("[MED 1 [MIN 3 3 ] 4 9 ]", 2),  # of the two in the middle, the deeper
    ],
)
def test_how_deep_the_digits_lie_that_decide_the_answer(text: str, depth: int) -> None:
    (sequence,) = split_of([text], [0]).sequences[0]
    assert deciding_depth(sequence) == depth


def test_examples_are_grouped_by_operator_and_depth() -> None:
    deep = "[MIN 9 [MIN 9 [MIN 9 [MIN 9 [MIN 1 2 ] ] ] ] ]"
    assert groups(split_of(["[SM 1 1 ]", deep, "5"], [2, 1, 5])) == {
        "outermost operator": ["SM", "MIN", "5"],
        "depth of what decides": ["1", "4 or more", "0"],
    }
