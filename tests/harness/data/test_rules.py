"""Simple rules: each is fitted on training and answers the test split as its sentence says."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data import rules
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.ngrams import WEIGHT, scores
from spike_ssm.harness.data.splits import Flat, Sequences, Split

LETTERS = ["<pad>", "<unk>", "<eos>", *"abc "]
TWO_CLASSES = Facts(2, LETTERS)


def split_of(columns: list[list[list[int]]], labels: list[int], **options: bool) -> Split:
    flat = [
        Flat(np.concatenate([*map(np.array, rows)]).astype(np.int64), np.cumsum([0, *map(len, rows)]))
        for rows in columns
    ]
    return Split(tuple(map(Sequences, flat)), np.array(labels), **options)


def text_split(texts: list[tuple[str, ...]], labels: list[int]) -> Split:
    columns = [[[LETTERS.index(letter) for letter in text] for text in column] for column in zip(*texts, strict=True)]
    return split_of(columns, labels)


def answers(rule: rules.Rule, train: Split, test: Split, facts: Facts = TWO_CLASSES) -> list[int]:
    return rule.answer(train, test, facts).tolist()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=30),
    st.lists(st.integers(0, 6), min_size=1),
)
def test_what_is_known_gets_its_commonest_label_and_what_is_new_the_commonest_of_all(
    known: list[tuple[int, int]], asked: list[int]
) -> None:
    seen, labels = (np.array(column) for column in zip(*known, strict=True))
    found = rules.commonest_answers(labels, seen, np.array(asked))
    for value, answer in zip(asked, found.tolist(), strict=True):
        votes = Counter(label for each, label in known if each == value) or Counter(labels.tolist())
        assert votes[answer] == max(votes.values())


def test_word_pairs_tell_an_order_that_words_do_not() -> None:
    train = text_split([("a b c",), ("c b a",)] * 5, [1, 0] * 5)
    test = text_split([("a b",), ("b a",), ("b c",)], [1, 0, 1])
    assert answers(rules.WORD_PAIRS, train, test) == [1, 0, 1]
    assert len({*answers(rules.WORDS, train, test)}) == 1


def test_word_pairs_of_the_first_text_are_told_from_those_of_the_second() -> None:
    train = text_split([("a b", "b a"), ("b a", "a b")] * 5, [1, 0] * 5)
    assert answers(rules.WORD_PAIRS, train, train) == [1, 0] * 5


def test_naive_bayes_is_the_formula_with_one_count_added() -> None:
    train = text_split([("a a b",), ("b c",), ("c",)], [0, 1, 1])
    test = text_split([("a",), ("b",), ("c",), ("bb",)], [0, 0, 1, 1])  # bb: never seen, the commonest class
    words, prior = {0: Counter("aab"), 1: Counter("bcc")}, {0: 2, 1: 3}
    for word, answer in zip("abc", answers(rules.WORDS, train, test), strict=False):
        score = {k: math.log(prior[k]) + math.log((words[k][word] + 1) / (words[k].total() + 3)) for k in (0, 1)}
        assert answer == max(score, key=score.__getitem__)
    assert answers(rules.WORDS, train, test)[-1] == 1


def test_regions_are_means_over_parts_of_the_image() -> None:
    image = np.arange(36.0)
    square = image.reshape(6, 6)
    found = rules.regions(image).reshape(4, 4)  # 6 rows in 4 parts: 1, 2, 1 and 2
    assert found[0, 0] == square[0, 0]
    assert found[1, 3] == square[1:3, 4:].mean()


def test_the_nearest_mean_is_the_class_whose_images_are_alike() -> None:
    train = split_of([[[0, 0, 9, 9], [0, 1, 9, 9], [9, 9, 0, 0]]], [0, 0, 2])
    test = split_of([[[1, 1, 8, 8], [8, 8, 1, 1]]], [0, 2])
    assert answers(rules.NEAREST_MEAN, train, test, Facts(3)) == [0, 2]  # class 1 has no image, and is no answer


words = st.lists(st.integers(3, 6), min_size=2, max_size=12)


@given(st.lists(words, min_size=1, max_size=4), words)
def test_bigrams_are_what_followed_the_last_word_smoothed_by_how_often_each_word_occurs(
    train: list[list[int]], test: list[int]
) -> None:
    accuracy, perplexity = scores(*(split_of([rows], [0] * len(rows)) for rows in (train, [test])), 7, 2)
    single = Counter(word for row in train for word in row[1:])
    pairs, total = Counter(pair for row in train for pair in pairwise(row)), sum(single.values()) + 7
    logs, right = 0.0, []
    for one, other in pairwise(test):
        after = {word: count for (first, word), count in pairs.items() if first == one}
        share = (after.get(other, 0) + WEIGHT * (single[other] + 1) / total) / (sum(after.values()) + WEIGHT)
        logs += math.log(share)
        best = max((after or single).values(), default=0)
        right.append((after or single).get(other, 0) == best)
    assert perplexity == pytest.approx(math.exp(-logs / (len(test) - 1)))
    assert accuracy <= np.mean(right) + 1e-9  # of equally common words one is answered


def test_trigrams_look_back_two_words_and_fall_back_to_one() -> None:
    train = split_of([[[3, 4, 5, 3, 4, 5, 6, 4, 6]]], [0])
    test = split_of([[[3, 4, 5], [6, 4, 6], [5, 4, 5]]], [0, 0, 0])
    found = {order: scores(train, test, 7, order)[0] for order in (1, 2, 3)}
    assert found == {1: pytest.approx(0), 2: pytest.approx(3 / 6), 3: pytest.approx(4 / 6)} or found[3] > found[2]


def test_targets_that_are_context_only_are_not_scored() -> None:
    train = split_of([[[3, 4, 3, 4]]], [0])
    assert scores(train, split_of([[[3, 4, 5]]], [0]), 7, 2)[0] == 0.5
    assert scores(train, split_of([[[3, 4, 5]]], [1]), 7, 2)[0] == 0.0
