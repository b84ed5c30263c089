"""Every kind of task is trained and tested: grey levels, pairs of texts, and the next word."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.settings import Kind
from spike_ssm.harness.data.splits import Flat, Scaling, Sequences, Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.training.fit import run_training
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.results.reading import read_run
from spike_ssm.results.store import write_run

SettingsOf = Callable[..., Settings]
Integers = npt.NDArray[np.integer]
WORDS = ("optim.epochs=4", "optim.lr=0.02", "optim.batch_size=16", "optim.warmup_epochs=0.5")


def sequences(rows: Integers) -> Sequences:
    return Sequences(Flat(rows.ravel(), np.arange(len(rows) + 1) * rows.shape[1]))


def dataset(kind: Kind, facts: Facts, split: Callable[[np.random.Generator, int], Split]) -> Dataset:
    generator = np.random.default_rng(0)
    train, validation, test = (split(generator, size) for size in (256, 64, 64))
    return Dataset(train, validation, test, kind, facts, Baselines(0.5, {"rule": 0.5}))


def train(settings: Settings, data: Dataset) -> dict[str, Any]:
    return run_training(settings, data)


def test_images_are_learned_from_their_grey_levels(tiny: SettingsOf) -> None:
    def images(generator: np.random.Generator, size: int) -> Split:
        labels = generator.integers(0, 2, size)
        pixels = generator.integers(0, 100, (size, 20)) + 120 * labels[:, None]
        return Split((sequences(pixels.astype(np.uint8)),), labels, scaling=Scaling(0.5, 0.25))

    row = train(tiny(*WORDS), dataset("classification", Facts(2), images))
    assert row["test_accuracy"] > 0.9
    assert len(row["predictions"]) == 64


def test_pairs_are_learned_by_comparing_them(tiny: SettingsOf) -> None:
    def pairs(generator: np.random.Generator, size: int) -> Split:
        labels = generator.integers(0, 2, size)
        first = generator.integers(1, 3, size)
        second = np.where(labels == 1, first, 3 - first)
        return Split(tuple(sequences(np.repeat(side[:, None], 8, 1)) for side in (first, second)), labels)

    row = train(tiny(*WORDS, "optim.epochs=12"), dataset("pairs", Facts(2, ["<pad>", "a", "b"]), pairs))
    assert row["test_accuracy"] > 0.9


@pytest.fixture
def counting() -> Dataset:
    """Texts in which each word is followed by the next of five; the first two of a window are context only."""

    def texts(generator: np.random.Generator, size: int) -> Split:
        start = generator.integers(0, 5, (size, 1))
        windows = 1 + (start + np.arange(12)) % 5
        return Split((sequences(windows),), np.full(size, 2), predicts_next=True)

    return dataset("language", Facts(6, ["<pad>", *"abcde"]), texts)


def test_the_next_word_is_learned_and_measured_by_perplexity(
    tiny: SettingsOf, counting: Dataset, tmp_path: Path
) -> None:
    row = train(tiny(*WORDS, "model.bidirectional=false"), counting)
    assert 1 <= row["test_perplexity"] < 2 < 5, "five equally likely words have 5"
    assert row["test_accuracy"] > 0.8
    assert row["validation_perplexity"] == math.exp(min(epoch["validation_loss"] for epoch in row["epochs"]))
    assert row["predictions"] == []
    assert all(epoch["train_accuracy"] is None for epoch in row["epochs"])
    stored = read_run(write_run(tmp_path, {"id": "language", **row}))
    assert stored["test_perplexity"] == row["test_perplexity"]


def test_a_network_that_would_see_the_words_it_predicts_is_refused(tiny: SettingsOf, counting: Dataset) -> None:
    with pytest.raises(ValueError, match=r"set model\.bidirectional=false"):
        train(tiny(*WORDS), counting)


def test_a_text_is_read_in_its_order(tiny: SettingsOf, counting: Dataset) -> None:
    trainer = Trainer(tiny(*WORDS, "model.bidirectional=false"), counting, lambda _: None)
    rows = [batch.examples.tolist() for batch in trainer.batches(1)]
    for before, after in pairwise(rows):
        assert after == [example + 1 for example in before]
