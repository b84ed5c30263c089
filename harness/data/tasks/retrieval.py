"""Pairs of texts: Long Range Arena's Retrieval, which is AAN's papers, and two stand-ins.

Lengths and vocabulary follow the reference code of S4 (state-spaces/s4, `src/dataloaders/lra.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.random_splits import DividedSettings, drawn
from spike_ssm.harness.data.readers import originals, places
from spike_ssm.harness.data.readers.tsv import read_aan
from spike_ssm.harness.data.settings import LONGEST, Kind, PartSettings
from spike_ssm.harness.data.splits import SPLITS
from spike_ssm.harness.data.task import Facts, PairTask
from spike_ssm.harness.data.tasks import bbc_corpus as bbc
from spike_ssm.harness.data.tasks.bbc_corpus import TOPICS, Article
from spike_ssm.harness.data.vocabulary import Example, write_examples
from spike_ssm.results.errors import UserError

AAN_NAMES = {"train": "train", "validation": "eval", "test": "test"}
"""What the release calls each split."""

AAN_PAIRS = 147_086
"""Published for training."""


@dataclass
class RetrievalSettings(PartSettings):
    """AAN's papers, as in S4.

    Texts are cut to max_length tokens with `<eos>`; characters seen fewer than min_freq times in training are
    unknown. train, validation, test: read only so many pairs of each file, from its beginning; null: all. Raises
    `UserError`.
    """

    limits: ClassVar = {"max_length": (2, LONGEST), "min_freq": (1, LONGEST)}
    kind: ClassVar[Kind] = "pairs"
    name: str = "retrieval"
    max_length: int = 4000
    min_freq: int = 1


@dataclass(frozen=True)
class AanFile:
    """The first `wanted` pairs of a file, or all; it can be gone through any number of times, a line at a time."""

    path: Path
    wanted: int | None

    def __iter__(self) -> Iterator[Example]:
        for row in islice(read_aan(self.path), self.wanted):
            yield (row.text1, row.text2), row.label


class Retrieval(PairTask):
    """Whether one of two papers cites the other (1) or not (0)."""

    source: ClassVar[str] = "The ACL Anthology Network (Radev et al. 2013) in the Long Range Arena release."

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Read the release's three files. Raises `UserError`."""
        settings = self.settings
        pairs = {split: AanFile(_aan_path(files, name), getattr(settings, split)) for split, name in AAN_NAMES.items()}
        symbols = write_examples(preparation, pairs, settings.max_length, settings.min_freq)
        sizes = {split: len(labels) for split, labels in preparation.read()[1].items()}
        notes = [
            f"Only the first {size:,} {split} pairs are used."
            for split, size in sizes.items()
            if size == getattr(settings, split)
        ]
        if settings.train is None and sizes["train"] != AAN_PAIRS:
            notes.append(f"This copy has {sizes['train']:,} training pairs where the published one has {AAN_PAIRS:,}.")
        return Facts(2, symbols, tuple(notes))


def _aan_path(files: Path, name: str) -> Path:
    file = f"new_aan_pairs.{name}.tsv"
    candidates = places.inside(places.AAN_FOLDERS, file)
    return originals.find(files, candidates, "lra_release", f"Retrieval's {file}", places.LRA_SOURCE)


@dataclass
class BbcPairsSettings(DividedSettings):
    """Pairs of passages of up to `length` characters; train, validation, test: how many. Raises `UserError`."""

    limits: ClassVar = {"length": (32, LONGEST), **dict.fromkeys(SPLITS, (2, LONGEST))}
    kind: ClassVar[Kind] = "pairs"
    name: str = "bbc_pairs"
    min_freq: int = 15
    length: int = 1024
    train: int = 20_000
    validation: int = 2_000
    test: int = 2_000

    @property
    def max_length(self) -> int:
        """Tokens of the longest passage, with `<eos>`."""
        return self.length + 1


class BbcPairs(PairTask):
    """Whether two passages, of different articles, are on the same of five topics (1) or not (0)."""

    source: ClassVar[str] = bbc.SOURCE

    def build(self, preparation: Preparation, files: Path) -> Facts:  # noqa: ARG002
        """Draw each split's pairs from its articles. Raises `UserError`."""
        settings = self.settings
        articles, note = bbc.divided_articles(settings)
        pairs = {
            split: draw_pairs(part, settings.length, getattr(settings, split), settings.split_seed)
            for split, part in articles.items()
        }
        symbols = write_examples(preparation, pairs, settings.max_length, settings.min_freq)
        return Facts(2, symbols, (note, "An article may be in several pairs of its split."))


def draw_pairs(articles: Sequence[Article], length: int, count: int, seed: int) -> list[Example]:
    """Pairs of passages, one in two on the same topic (1).

    Either passage's topic is equally often each of the five, so that neither alone tells anything. Raises `UserError`.
    """
    by_topic: list[list[tuple[int, str]]] = [[] for _ in TOPICS]
    for number, article in enumerate(articles):
        by_topic[article.topic] += [(number, " ".join(words)) for words in bbc.passages(article.text, length)]
    if any(len({number for number, _ in group}) < 2 for group in by_topic):
        raise UserError(f"task.length={length} is not allowed: too few articles are so long; choose a smaller one.")
    random = np.random.RandomState(seed)
    pairs: list[Example] = []
    for label in (random.permutation(count) % 2).tolist():
        first = random.randint(len(TOPICS))
        second = first if label else (first + random.randint(1, len(TOPICS))) % len(TOPICS)
        pairs.append((_from_two_articles(by_topic[first], by_topic[second], random), label))
    return pairs


def _from_two_articles(
    firsts: Sequence[tuple[int, str]], seconds: Sequence[tuple[int, str]], random: np.random.RandomState
) -> tuple[str, str]:
    while True:
        (first, text), (second, other) = firsts[random.randint(len(firsts))], seconds[random.randint(len(seconds))]
        if first != second:
            return text, other


@dataclass
class BbcOrderPairsSettings(bbc.PassageSettings):
    """Pairs of the same passage of BBC articles. Raises `UserError`."""

    kind: ClassVar[Kind] = "pairs"
    name: str = "bbc_order_pairs"


class BbcOrderPairs(PairTask):
    """Which of two passages of the same words is in the order it was written in: the first (1) or the second (0).

    The other one is shuffled. A stand-in for Retrieval in which the words in common tell nothing.
    """

    source: ClassVar[str] = bbc.SOURCE

    def build(self, preparation: Preparation, files: Path) -> Facts:  # noqa: ARG002
        """Every passage makes a pair. Raises `UserError`."""
        settings = self.settings
        articles, note = bbc.divided_articles(settings)
        pairs, notes = {}, [note]
        for number, (split, part) in enumerate(articles.items()):
            passages = [passage for each in part for passage in bbc.passages(each.text, settings.length)]
            found = _with_a_shuffled_one(passages, np.random.RandomState([settings.split_seed, number]))
            pairs[split], drawing = drawn(found, getattr(settings, split), split, settings.split_seed)
            notes += drawing
        return Facts(2, write_examples(preparation, pairs, settings.max_length, settings.min_freq), tuple(notes))


def _with_a_shuffled_one(passages: list[list[str]], random: np.random.RandomState) -> list[Example]:
    """Every passage and the same words shuffled; of one pair in two the first is as written."""
    pairs: list[Example] = []
    for words, label in zip(passages, (random.permutation(len(passages)) % 2).tolist(), strict=True):
        written, other = " ".join(words), bbc.shuffled(words, random)
        pairs.append(((written, other) if label else (other, written), label))
    return pairs
