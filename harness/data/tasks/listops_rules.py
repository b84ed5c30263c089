"""Simple rules for ListOps, and questions by which its examples are grouped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.rules import Answers, Rule, commonest, commonest_answers
from spike_ssm.harness.data.splits import Integers, Split
from spike_ssm.harness.data.vocabulary import LISTOPS as SYMBOLS

EOS, DIGIT, MIN, MAX, MED, SM, CLOSE = map(SYMBOLS.index, ("<eos>", "0", "[MIN", "[MAX", "[MED", "[SM", "]"))

DEEPEST = 4
"""Depth from which on examples are one group."""


def applied(operator: int, arguments: Integers) -> int:
    """The digit that an operator's token gives for its `arguments` [1 or more], by numpy."""
    if operator == MIN:
        return int(arguments.min())
    if operator == MAX:
        return int(arguments.max())
    return int(arguments.sum() % 10) if operator == SM else int(np.median(arguments))


def _outermost(split: Split) -> Integers:
    """The first token of each sequence: an operator, or the digit that is all there is."""
    return np.array([sequence[0] for sequence in split.sequences[0]])


def outermost_answers(train: Split, test: Split, facts: Facts) -> Answers:  # noqa: ARG001
    """The commonest training answer of the outermost operator."""
    return commonest_answers(train.labels, _outermost(train), _outermost(test))


def _direct_digits(sequence: Integers) -> Integers:
    """The digits that are arguments of the outermost operator itself."""
    opened = np.cumsum((sequence >= MIN) & (sequence < CLOSE)) - np.cumsum(sequence == CLOSE)
    digits: Integers = sequence[(opened == 1) & (sequence >= DIGIT) & (sequence < MIN)].astype(np.int64)
    return digits - DIGIT


def one_level_answers(train: Split, test: Split, facts: Facts) -> Answers:  # noqa: ARG001
    """The outermost operator of its direct digits; without any, its commonest training answer where it had none."""
    without = np.array([len(_direct_digits(sequence)) == 0 for sequence in train.sequences[0]])
    known = without if without.any() else np.ones_like(without)
    answers = commonest_answers(train.labels[known], _outermost(train)[known], _outermost(test))
    for place, sequence in enumerate(test.sequences[0]):
        if len(digits := _direct_digits(sequence)):
            answers[place] = applied(int(sequence[0]), digits)
    return answers


def all_digits_answers(train: Split, test: Split, facts: Facts) -> Answers:  # noqa: ARG001
    """The outermost operator of all digits, whatever list they stand in."""
    return np.array([_of_all_digits(sequence, commonest(train.labels)) for sequence in test.sequences[0]])


def _of_all_digits(sequence: Integers, otherwise: int) -> int:
    digits = sequence[(sequence >= DIGIT) & (sequence < MIN)].astype(np.int64) - DIGIT
    return applied(int(sequence[0]), digits) if len(digits) else otherwise


RULES = (
    Rule("one level", "The outermost operator of its own digits, every nested list unread.", one_level_answers),
    Rule(
        "outermost operator", "The commonest training answer of the outermost operator, the rest unread.",
        outermost_answers,
    ),
    Rule("all digits", "The outermost operator of all digits, whatever list they stand in.", all_digits_answers),
)  # fmt: skip


class _Value(NamedTuple):
    """The digit that a part stands for, and the depth of what decides it."""

    digit: int
    depth: int


def deciding_depth(sequence: Integers) -> int:
    """Depth of the digits that decide the answer: 1 where all are direct arguments of the outermost operator.

    MIN, MAX and MED are decided by the argument that they give, the shallowest of equals (of two middle ones by the
    deeper); SM by all of its arguments. A digit alone has depth 0.
    """
    stack: list[tuple[int, list[_Value]]] = [(0, [])]
    for token in sequence.tolist():
        if token == EOS:
            break
        if token == CLOSE:
            operator, arguments = stack.pop()
            stack[-1][1].append(_decided(operator, arguments))
        elif token >= MIN:
            stack.append((token, []))
        else:
            stack[-1][1].append(_Value(token - DIGIT, 0))
    return stack[0][1][0].depth


def _decided(operator: int, arguments: list[_Value]) -> _Value:
    digits = np.array([argument.digit for argument in arguments])
    if operator == SM:
        return _Value(applied(SM, digits), 1 + max(argument.depth for argument in arguments))
    ordered = sorted(digits.tolist())
    middle = {ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]}
    result = applied(operator, digits)
    needed = middle if operator == MED else {result}
    shallowest = (min(each.depth for each in arguments if each.digit == digit) for digit in needed)
    return _Value(result, 1 + max(shallowest))


def groups(test: Split) -> dict[str, list[str]]:
    """Grouping -> the group of each example: its outermost operator, and the depth of what decides its answer."""
    return {
        "outermost operator": [SYMBOLS[token].strip("[") for token in _outermost(test)],
        "depth of what decides": list(_depths(test)),
    }


def _depths(test: Split) -> Iterator[str]:
    for sequence in test.sequences[0]:
        depth = deciding_depth(sequence)
        yield f"{DEEPEST} or more" if depth >= DEEPEST else str(depth)
