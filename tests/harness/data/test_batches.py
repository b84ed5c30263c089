"""Batches: every example once, padded on the right, and sorted into like lengths when asked to."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.data.splits import Batch, Flat, Scaling, Sequences, Split, batches, collate, in_document_order
from spike_ssm.models.network import IGNORED

sizes = {"count": st.integers(1, 60), "batch_size": st.integers(1, 12), "pool": st.integers(1, 5)}


def sequences(rows: list[list[int]]) -> Sequences:
    return Sequences(Flat(np.array([*chain(*rows)], np.uint16), np.cumsum([0, *map(len, rows)])))


def split_of(lengths: list[int]) -> Split:
    """Example i consists of `lengths[i]` tokens i + 1, and its label is 10 i."""
    rows = [[i + 1] * length for i, length in enumerate(lengths)]
    return Split((sequences(rows),), 10 * np.arange(len(lengths)))


def random_split(count: int) -> tuple[Split, npt.NDArray[np.int64]]:
    """Different lengths, and a random order to read them in."""
    rng = np.random.default_rng(count)
    return split_of(rng.integers(1, 50, count).tolist()), rng.permutation(count)


def examples(some: list[Batch]) -> list[int]:
    return torch.cat([batch.examples for batch in some]).tolist()


def padding(some: list[Batch]) -> int:
    return sum(batch.inputs.numel() - int(batch.lengths.sum()) for batch in some)


def test_a_batch_holds_the_tokens_padded_with_0_on_the_right() -> None:
    batch = collate(split_of([2, 3, 1]), np.array([2, 0]))
    assert batch.inputs.tolist() == [[3, 0], [1, 1]], "no wider than its own longest example"
    assert batch.lengths.tolist() == [1, 2]
    assert batch.labels.tolist() == [20, 0]
    assert batch.examples.tolist() == [2, 0]
    assert {t.dtype for t in (batch.inputs, batch.lengths, batch.labels, batch.examples)} == {torch.int64}


def test_inputs_and_labels_move_to_a_device_and_lengths_stay_where_asking_them_stops_nothing() -> None:
    batch = collate(split_of([2, 3]), np.array([0, 1])).to(torch.device("meta"))
    assert {t.device.type for t in (batch.inputs, batch.labels)} == {"meta"}
    assert batch.lengths.tolist() == [2, 3]


@pytest.mark.parametrize("kind", ["classification", "pairs"])
def test_the_parts_of_a_batch_hold_each_example_once(kind: str) -> None:
    split = split_of([2, 3, 4, 5, 6])
    whole = collate(split if kind == "classification" else replace(split, sequences=split.sequences * 2), np.arange(5))
    parts = [whole.part(number, 2) for number in range(2)]
    assert [part.examples.tolist() for part in parts] == [[0, 2, 4], [1, 3]]
    assert sum(part.targets for part in parts) == whole.targets == 5
    for part in parts:
        for sequence, example in zip(part.inputs.split(len(part.examples)), [part.examples] * 2, strict=False):
            assert torch.equal(sequence, whole.inputs[example])
        assert torch.equal(part.lengths[: len(part.examples)], part.examples + 2)


@given(**sizes)
def test_every_example_comes_exactly_once_and_unchanged(count: int, batch_size: int, pool: int) -> None:
    split, order = random_split(count)
    some = list(batches(split, batch_size, order, pool))
    assert sorted(examples(some)) == list(range(count))
    for batch in some:
        for tokens, length, label, i in zip(batch.inputs, batch.lengths, batch.labels, batch.examples, strict=True):
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


@given(**sizes, start=st.integers(0, 70))
def test_batches_may_start_later_and_are_the_same_from_there_on(
    count: int, batch_size: int, pool: int, start: int
) -> None:
    split, order = random_split(count)
    late = list(batches(split, batch_size, order, pool, start=start))
    expected = list(batches(split, batch_size, order, pool))[start:]
    assert [batch.examples.tolist() for batch in late] == [batch.examples.tolist() for batch in expected]


@pytest.mark.parametrize("pool", [1, 3])
def test_the_sequences_of_batches_left_out_are_not_read(pool: int) -> None:
    class Noting(Sequences):
        def __getitem__(self, index: int) -> npt.NDArray[np.integer]:
            read.append(index)
            return super().__getitem__(index)

    read: list[int] = []
    split = Split((Noting(*sequences([[1] * (1 + i % 5) for i in range(20)]).parts),), np.zeros(20, int))
    (last,) = batches(split, 4, pool=pool, start=4)
    assert read == last.examples.tolist()


# --- pools of like lengths


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


# --- pairs


PAIRS = Split((sequences([[1], [2, 2], [3]]), sequences([[4, 4, 4], [5], [6]])), np.array([0, 1, 1]))


def test_a_batch_of_pairs_has_the_first_of_each_then_the_second_of_each() -> None:
    batch = collate(PAIRS, np.array([2, 0]))
    assert batch.inputs.tolist() == [[3, 0, 0], [1, 0, 0], [6, 0, 0], [4, 4, 4]], "all padded to one length"
    assert batch.lengths.tolist() == [1, 1, 1, 3]
    assert batch.labels.tolist() == [1, 0], "one for a pair"
    assert batch.examples.tolist() == [2, 0]


def test_the_length_of_a_pair_is_that_of_its_longer_sequence() -> None:
    assert PAIRS.lengths.tolist() == [3, 2, 1]
    (batch,) = batches(PAIRS, 3, pool=2)
    assert batch.examples.tolist() == [2, 1, 0], "sorted by it"


@given(count=st.integers(1, 30), batch_size=st.integers(1, 8), pool=st.integers(1, 4))
def test_the_two_sequences_of_a_pair_stay_together(count: int, batch_size: int, pool: int) -> None:
    rng = np.random.default_rng(count)
    first, second = ([[i + 1] * int(rng.integers(1, 9)) for i in range(count)] for _ in range(2))
    split = Split((sequences(first), sequences(second)), np.arange(count))
    for batch in batches(split, batch_size, rng.permutation(count), pool):
        numbers = (batch.examples + 1).tolist()
        assert batch.inputs[:, 0].tolist() == numbers * 2
        assert batch.lengths.tolist() == [len(side[n - 1]) for side in (first, second) for n in numbers]


# --- grey levels


def test_grey_levels_become_numbers_of_mean_and_deviation_asked_for_and_padding_stays_0() -> None:
    split = Split((sequences([[0, 51, 255], [102]]),), np.array([0, 1]), scaling=Scaling(0.2, 0.5))
    batch = collate(split, np.array([0, 1]))
    assert batch.inputs.dtype == torch.float32
    torch.testing.assert_close(batch.inputs, torch.tensor([[-0.4, 0.0, 1.6], [0.4, 0.0, 0.0]]))
    assert batch.inputs[1, 1:].tolist() == [0, 0], "although a black pixel is -0.4"


@given(
    rows=st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=9), min_size=1, max_size=6),
    mean=st.floats(0, 1),
    deviation=st.floats(0.05, 2),
)
def test_scaling_can_be_undone(rows: list[list[int]], mean: float, deviation: float) -> None:
    split = Split((sequences(rows),), np.zeros(len(rows), int), scaling=Scaling(mean, deviation))
    batch = collate(split, np.arange(len(rows)))
    levels = (batch.inputs * deviation + mean) * 255
    for row, got in zip(rows, levels, strict=True):
        assert got[: len(row)].round().tolist() == row


# --- windows of text, the next token of which is to be predicted


def windows(rows: list[list[int]], context_only: list[int]) -> Split:
    return Split((sequences(rows),), np.array(context_only), predicts_next=True)


def test_each_token_of_a_window_is_the_target_of_the_one_before_it() -> None:
    batch = collate(windows([[5, 6, 7, 8]], [0]), np.array([0]))
    assert batch.inputs.tolist() == [[5, 6, 7]], "what follows the last token is not known"
    assert batch.labels.tolist() == [[6, 7, 8]]
    assert batch.lengths.tolist() == [3]


def test_padding_and_tokens_that_are_context_only_are_no_targets() -> None:
    batch = collate(windows([[5, 6, 7, 8, 9], [1, 2, 3]], [2, 0]), np.array([0, 1]))
    assert batch.inputs.tolist() == [[5, 6, 7, 8], [1, 2, 0, 0]]
    assert batch.labels.tolist() == [[IGNORED, IGNORED, 8, 9], [2, 3, IGNORED, IGNORED]]
    assert batch.lengths.tolist() == [4, 2]


@given(data=st.data())
def test_every_target_follows_its_input_in_the_text(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(st.integers(0, 255), min_size=2, max_size=9), min_size=1, max_size=5))
    context_only = [data.draw(st.integers(0, len(row) - 1)) for row in rows]
    batch = collate(windows(rows, context_only), np.arange(len(rows)))
    for row, skipped, inputs, labels in zip(rows, context_only, batch.inputs, batch.labels, strict=True):
        assert inputs[: len(row) - 1].tolist() == row[:-1]
        expected = [IGNORED] * skipped + row[1 + skipped :]
        assert labels.tolist() == expected + [IGNORED] * (len(labels) - len(expected))


@given(count=st.integers(1, 40), batch_size=st.integers(1, 9))
def test_in_document_order_each_row_is_followed_by_the_next_window(count: int, batch_size: int) -> None:
    split = windows([[1, 2]] * count, [0] * count)
    order = in_document_order(split, batch_size)
    assert sorted(order.tolist()) == list(range(count))
    some = [batch.examples.tolist() for batch in batches(split, batch_size, order)]
    full = [numbers for numbers in some if len(numbers) == batch_size]
    for before, after in pairwise(full):
        assert after == [number + 1 for number in before]


def test_what_does_not_fill_a_batch_comes_last_in_document_order() -> None:
    assert in_document_order(windows([[1, 2]] * 8, [0] * 8), 3).tolist() == [0, 2, 4, 1, 3, 5, 6, 7]
