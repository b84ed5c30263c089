"""Delayed recall: what is shown is asked for at the end, and nothing near the end tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.delayed_recall import (
    NOISE,
    QUESTION,
    SEEN,
    DelayedRecall,
    DelayedRecallSettings,
    _shard,
)
from spike_ssm.results.errors import UserError


def prepared(folder: Path, **values: Any) -> Dataset:
    sizes = {"train": 400, "validation": 20, "test": 200}
    return DelayedRecall(DelayedRecallSettings(**sizes | values)).prepare(folder, folder)


@settings(max_examples=30)
@given(st.integers(2, 26), st.integers(1, 5), st.integers(0, 60), st.integers(0, 20), st.integers(0, 2**32))
def test_a_sequence_is_noise_the_class_the_delay_and_the_question(
    classes: int, shown: int, delay: int, before: int, seed: int
) -> None:
    length = before + shown + delay + 1
    chosen = DelayedRecallSettings(classes=classes, length=length, shown=shown, delay=delay, test=5, data_seed=seed)
    shard = _shard(chosen, 2)
    rows = shard.sequences[0].values.reshape(5, length)
    assert (rows[:, -1] == classes + len(NOISE)).all()
    assert (rows[:, before : before + shown] == shard.labels[:, None]).all()
    noise = np.delete(rows, [*range(before, before + shown), length - 1], axis=1)
    assert ((noise >= classes) & (noise < classes + len(NOISE))).all()


def test_who_remembers_answers_everything_and_the_last_tokens_tell_nothing(tmp_path: Path) -> None:
    data = prepared(tmp_path, length=80, delay=SEEN, classes=4)
    shown = np.array([row[-SEEN - 2] for row in data.test.sequences[0]])
    assert (shown == data.test.labels).all(), "the optimum"
    assert abs(data.baselines.shortcut_accuracy - 1 / 4) < 0.1, "chance"
    assert data.facts.symbols == [*"ABCD", *NOISE, QUESTION]


def test_within_what_the_shortcut_sees_it_knows_the_answer(tmp_path: Path) -> None:
    assert prepared(tmp_path, length=80, delay=SEEN - 5, classes=4).baselines.shortcut_accuracy == 1


def test_a_splits_examples_do_not_depend_on_the_sizes_of_others(tmp_path: Path) -> None:
    one, other = prepared(tmp_path / "a", length=20, delay=5), prepared(tmp_path / "b", length=20, delay=5, train=7)
    assert (one.test.labels == other.test.labels).all()
    assert [row.tolist() for row in one.test.sequences[0]] == [row.tolist() for row in other.test.sequences[0]]
    assert (prepared(tmp_path / "c", length=20, delay=5, data_seed=1).test.labels != one.test.labels).any()


def test_a_delay_longer_than_the_sequence_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"task\.delay=100 is longer than the sequence: .* a delay of at most 95\.$"):
        DelayedRecallSettings(length=100, shown=4, delay=100)
