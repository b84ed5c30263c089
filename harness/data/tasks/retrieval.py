"""Pairs of texts: Long Range Arena's Retrieval, which is AAN's papers, and two stand-ins.

Lengths and vocabulary follow the reference code of S4 (state-spaces/s4, `src/dataloaders/lra.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.readers import originals, places
from spike_ssm.harness.data.readers.common import Rereadable, copy_notes
from spike_ssm.harness.data.readers.tsv import read_aan
from spike_ssm.harness.data.rules import LENGTH, OVERLAP, WORD_PAIRS, Rule
from spike_ssm.harness.data.settings import LONGEST, Kind, PartSettings
from spike_ssm.harness.data.splits import SPLITS
from spike_ssm.harness.data.task import PairTask
from spike_ssm.harness.data.tasks import bbc_corpus as bbc
from spike_ssm.harness.data.vocabulary import Example
from spike_ssm.results.errors import UserError

AAN_FILES = {split: f"new_aan_pairs.{name}.tsv" for split, name in zip(SPLITS, ("train", "eval", "test"), strict=True)}

AAN_PAIRS = 147_086
"""Number of pairs published for training."""


@dataclass
class RetrievalSettings(PartSettings):
    """AAN's papers, as in S4.

    Texts are cut to max_length tokens with `<eos>`; characters seen fewer than min_freq times in training are
    unknown. train, validation, test: number of pairs read of each file, from its beginning; null: all. Raises
    `UserError`.
    """

    limits: ClassVar = {"max_length": (2, LONGEST), "min_freq": (1, LONGEST)}
    kind: ClassVar[Kind] = "pairs"
    name: str = "retrieval"
    max_length: int = 4000
    min_freq: int = 1


class Retrieval(PairTask):
    """Whether one of two papers cites the other (1) or not (0)."""

    source: ClassVar[str] = "The ACL Anthology Network (Radev et al. 2013) in the Long Range Arena release."
    stand_in: ClassVar[str | None] = "task=bbc_order_pairs scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """The release's three files."""
        return list(_released(files).values())

    def examples(self, files: Path) -> tuple[Mapping[str, Iterable[Example]], list[str]]:
        """The pairs of the release's three files. Raises `UserError`."""
        paths = _released(files)
        wanted = {split: getattr(self.settings, split) for split in paths}
        pairs = {split: Rereadable(partial(_first_pairs, path, wanted[split])) for split, path in paths.items()}
        return pairs, originals.choice_notes(files, places.AAN_FOLDERS)

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits, and note what of the published pairs they lack. Raises `UserError`."""
        facts, settings = super().build(preparation, files), self.settings
        sizes = {split: len(labels) for split, labels in preparation.read()[1].items()}
        notes = [
            f"Only the first {size:,} {split} pairs are used."
            for split, size in sizes.items()
            if size == getattr(settings, split)
        ]
        if settings.train is None:
            notes += copy_notes(sizes["train"], AAN_PAIRS, "training pairs")
        return replace(facts, notes=(*facts.notes, *notes))


def _released(files: Path) -> dict[str, Path]:
    return originals.find_lra(files, places.AAN_FOLDERS, AAN_FILES, "Retrieval's")


def _first_pairs(path: Path, wanted: int | None) -> Iterator[Example]:
    """The first `wanted` pairs of a file, or all, read one line at a time."""
    return (((row.text1, row.text2), row.label) for row in islice(read_aan(path), wanted))


@dataclass
class BbcPairsSettings(bbc.PassageSettings):
    """Pairs of passages; train, validation, test: number of pairs. Raises `UserError`."""

    limits: ClassVar = dict.fromkeys(SPLITS, (2, LONGEST))
    kind: ClassVar[Kind] = "pairs"
    name: str = "bbc_pairs"
    train: int = 20_000
    validation: int = 2_000
    test: int = 2_000


class BbcPairs(bbc.FromArticles, PairTask):
    """Whether two passages, of different articles, are on the same of five topics (1) or not (0)."""

    def examples(self, files: Path) -> tuple[dict[str, list[Example]], list[str]]:  # noqa: ARG002
        """Pairs drawn from each split's articles. Raises `UserError`."""
        settings = self.settings
        articles, note = bbc.divided_articles(settings)
        pairs = {
            split: draw_pairs(part, settings.length, getattr(settings, split), settings.split_seed)
            for split, part in articles.items()
        }
        return pairs, [note, "An article may be in several pairs of its split."]


def draw_pairs(articles: Sequence[bbc.Article], length: int, count: int, seed: int) -> list[Example]:
    """Pairs of passages, one in two on the same topic (1).

    Either passage's topic is equally often each of the five, so that neither alone tells anything. Raises `UserError`.
    """
    by_topic: list[list[tuple[int, str]]] = [[] for _ in bbc.TOPICS]
    for number, article in enumerate(articles):
        by_topic[article.topic] += [(number, " ".join(words)) for words in bbc.passages(article.text, length)]
    if any(len({number for number, _ in group}) < 2 for group in by_topic):
        raise UserError(f"task.length={length} is not allowed: too few articles are so long; choose a smaller one.")
    random = np.random.RandomState(seed)
    pairs: list[Example] = []
    for label in (random.permutation(count) % 2).tolist():
        first = random.randint(len(bbc.TOPICS))
        second = first if label else (first + random.randint(1, len(bbc.TOPICS))) % len(bbc.TOPICS)
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
class BbcOrderPairsSettings(bbc.OrderSettings):
    """Pairs of the same passage of BBC articles. Raises `UserError`."""

    kind: ClassVar[Kind] = "pairs"
    name: str = "bbc_order_pairs"


class BbcOrderPairs(bbc.FromArticles, PairTask):
    """Which of two passages of the same words is in the order it was written in: the first (1) or the second (0).

    The other one is shuffled. A stand-in for Retrieval in which the words in common tell nothing.
    """

    rules: ClassVar[Sequence[Rule]] = (WORD_PAIRS, OVERLAP, LENGTH)

    def examples(self, files: Path) -> tuple[dict[str, list[Example]], list[str]]:  # noqa: ARG002
        """A pair per passage. Raises `UserError`."""
        return bbc.labelled_passages(self.settings, _with_a_shuffled_one)


def _with_a_shuffled_one(words: list[str], label: int, random: np.random.RandomState) -> tuple[str, str]:
    """A passage and the same words shuffled; where the label is 1, the first is as written."""
    written, other = " ".join(words), bbc.shuffled(words, random)
    return (written, other) if label else (other, written)
