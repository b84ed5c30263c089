"""Batches: every example once, padded on the right, and sorted into like lengths when asked to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.tasks.base import Batch, Split, batches, collate

sizes = {"count": st.integers(1, 60), "batch_size": st.integers(1, 12), "pool": st.integers(1, 5)}


def split_of(lengths: list[int]) -> Split:
    """Example i consists of `lengths[i]` tokens i + 1, and its label is 10 i."""
    return Split(
        np.repeat(np.arange(1, len(lengths) + 1), lengths).astype(np.uint8),
        np.cumsum([0, *lengths], dtype=np.int64),
        10 * np.arange(len(lengths)),
    )


def random_split(count: int) -> tuple[Split, np.ndarray]:
    """Different lengths, and a random order to read them in."""
    rng = np.random.default_rng(count)
    return split_of(rng.integers(1, 50, count).tolist()), rng.permutation(count)


def examples(some: list[Batch]) -> list[int]:
    return torch.cat([batch.examples for batch in some]).tolist()


def padding(some: list[Batch]) -> int:
    return sum(batch.tokens.numel() - int(batch.lengths.sum()) for batch in some)


def test_a_batch_holds_the_tokens_padded_with_0_on_the_right() -> None:
    batch = collate(split_of([2, 3, 1]), np.array([2, 0]))
    assert batch.tokens.tolist() == [[3, 0], [1, 1]], "no wider than its own longest example"
    assert batch.lengths.tolist() == [1, 2]
    assert batch.labels.tolist() == [20, 0]
    assert batch.examples.tolist() == [2, 0]
    assert {t.dtype for t in (batch.tokens, batch.lengths, batch.labels, batch.examples)} == {torch.int64}


def test_a_batch_moves_to_a_device_as_a_whole() -> None:
    batch = collate(split_of([2, 3]), np.array([0, 1])).to(torch.device("meta"))
    assert {t.device.type for t in (batch.tokens, batch.lengths, batch.labels, batch.examples)} == {"meta"}


@given(**sizes)
def test_every_example_comes_exactly_once_and_unchanged(count: int, batch_size: int, pool: int) -> None:
    split, order = random_split(count)
    some = list(batches(split, batch_size, order, pool))
    assert sorted(examples(some)) == list(range(count))
    for batch in some:
        for tokens, length, label, i in zip(batch.tokens, batch.lengths, batch.labels, batch.examples, strict=True):
            assert tokens[:length].tolist() == [i + 1] * int(split.lengths[i])
            assert not tokens[length:].any()
            assert label == 10 * i


@given(**sizes)
def test_all_batches_are_full_but_one(count: int, batch_size: int, pool: int) -> None:
    split, order = random_split(count)
    some = [len(batch.labels) for batch in batches(split, batch_size, order, pool)]
    full, rest = divmod(count, batch_size)
    assert sorted(some) == sorted([batch_size] * full + [rest] * (rest > 0))


def test_without_a_pool_examples_come_in_the_order_given_and_the_last_batch_is_smaller() -> None:
    split, order = random_split(10)
    some = list(batches(split, 4, order))
    assert examples(some) == order.tolist()
    assert [len(batch.labels) for batch in some] == [4, 4, 2]


def test_without_an_order_examples_come_as_stored() -> None:
    split, _ = random_split(10)
    assert examples(list(batches(split, 4))) == list(range(10))


def test_only_the_examples_of_the_order_come() -> None:
    split, _ = random_split(10)
    assert examples(list(batches(split, 2, np.array([7, 1, 4])))) == [7, 1, 4]


def test_nothing_comes_of_an_empty_order() -> None:
    split, _ = random_split(10)
    assert not list(batches(split, 4, np.array([], dtype=np.int64), pool=3))


@given(**sizes)
def test_a_pool_keeps_each_stretch_of_the_order_together(count: int, batch_size: int, pool: int) -> None:
    split, order = random_split(count)
    got = examples(list(batches(split, batch_size, order, pool)))
    stretch = batch_size * pool
    for start in range(0, count, stretch):
        assert sorted(got[start : start + stretch]) == sorted(order[start : start + stretch])


@given(full=st.integers(1, 10), batch_size=st.integers(1, 12), pool=st.integers(2, 5))
def test_a_pool_never_adds_padding_to_full_batches(full: int, batch_size: int, pool: int) -> None:
    """A smaller last batch gets the longest examples, so with one there may be more."""
    split, order = random_split(full * batch_size)
    pooled = list(batches(split, batch_size, order, pool))
    assert padding(pooled) <= padding(list(batches(split, batch_size, order)))


def test_a_pool_saves_most_of_the_padding() -> None:
    split, order = random_split(1_000)
    pooled = list(batches(split, 10, order, pool=20))
    assert padding(pooled) < 0.2 * padding(list(batches(split, 10, order)))


def test_the_same_order_gives_the_same_batches() -> None:
    split, order = random_split(100)
    once, again = (examples(list(batches(split, 8, order, pool=4))) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("seed", range(3))
def test_batches_of_a_pool_come_in_an_order_that_the_shuffle_decides(seed: int) -> None:
    """Neither short ones first nor examples of low number first, epoch after epoch."""
    split = split_of(list(range(1, 101)))  # all different, so that all orders make the same batches
    firsts = [
        [int(batch.examples.min()) for batch in batches(split, 10, np.random.default_rng(s).permutation(100), 10)]
        for s in (seed, seed + 10)
    ]
    assert sorted(firsts[0]) == sorted(firsts[1]) == list(range(0, 100, 10))
    assert firsts[0] != firsts[1]
    assert firsts[0] != sorted(firsts[0])
