"""Texts read character by character: Long Range Arena's Text, which is IMDb, and two stand-ins from BBC news.

Lengths, vocabulary and the two levels follow the reference codes: characters as in S4 (state-spaces/s4,
`src/dataloaders/lra.py`), bytes as in Long Range Arena (google-research/long-range-arena, Tay et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.random_splits import LARGEST_SEED, DividedSettings, draw_parts, permutation
from spike_ssm.harness.data.readers import imdb, originals, places
from spike_ssm.harness.data.rules import LENGTH, WORD_PAIRS, WORDS, Rule
from spike_ssm.harness.data.settings import LONGEST, PartSettings
from spike_ssm.harness.data.splits import Sequences
from spike_ssm.harness.data.task import CharacterTask
from spike_ssm.harness.data.tasks import bbc_corpus as bbc
from spike_ssm.harness.data.vocabulary import Example
from spike_ssm.results.errors import UserError

REVIEWS = 25_000
"""Number of reviews published for training, and as many for test."""


class TextTask(CharacterTask):
    """A task whose examples are single texts."""

    rules: ClassVar[Sequence[Rule]] = (WORDS, WORD_PAIRS, LENGTH)


@dataclass
class TextSettings(PartSettings):
    """IMDb by characters, as in S4, or by the bytes of UTF-8; the defaults are S4's but for the validation data.

    Texts are cut to max_length tokens with `<eos>`; what is seen fewer than min_freq times in training is unknown.
    validation_from: `held_out` takes validation_share of the training reviews, drawn by split_seed; `test` is the test
    split, as in both reference codes, which so select on it. train, validation, test: number of reviews used of
    each split, drawn at random; null: all. Raises `UserError`.
    """

    limits: ClassVar = {
        "max_length": (2, LONGEST),
        "min_freq": (1, LONGEST),
        "validation_share": (0.0001, 0.9),
        "split_seed": (0, LARGEST_SEED),
    }
    choices: ClassVar = {"level": ("characters", "bytes"), "validation_from": ("held_out", "test")}
    name: str = "text"
    level: str = "characters"
    max_length: int = 4096
    min_freq: int = 15
    validation_from: str = "held_out"
    validation_share: float = 0.1
    split_seed: int = 42

    def __post_init__(self) -> None:
        """Check every value."""
        super().__post_init__()
        if self.validation_from == "test" and self.validation != self.test:
            raise UserError(
                f"task.validation={self.validation} and task.test={self.test} must be equal where task.validation_from="
                "test takes one for the other."
            )


class Text(TextTask):
    """Whether a film review is favourable (1) or not (0)."""

    source: ClassVar[str] = "The Large Movie Review Dataset, IMDb (Maas et al. 2011), which asks to be cited."
    stand_in: ClassVar[str | None] = "task=bbc_order scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """IMDb's folders of reviews, or copies of the hub's files."""
        return originals.or_copies(
            lambda: [_folder(files) / split / name for split in ("train", "test") for name in imdb.LABELS],
            "imdb",
            files,
        )

    def examples(self, files: Path) -> tuple[Mapping[str, list[Example]], list[str]]:
        """IMDb from its folder, its archive, a copy of the hub's parquet files, or the hub."""
        settings, published = self.settings, read_imdb(files)
        sizes = len(published["train"]), len(published["test"])
        notes = []
        if sizes != (REVIEWS, REVIEWS):
            notes.append(f"This copy has {sizes[0]:,} training and {sizes[1]:,} test reviews, not {REVIEWS:,} of each.")
        parts, drawing = draw_parts(self._with_validation(published), settings, settings.split_seed)
        notes += drawing
        if settings.validation_from == "test":
            notes.append("Validation is the test split, as in the reference codes: the epoch is chosen on it.")
        if settings.level == "bytes":
            parts = {split: [((_bytes(text),), label) for (text,), label in part] for split, part in parts.items()}
        return parts, notes

    def encode(self, examples: Sequence[Any], facts: Facts) -> tuple[Sequences, ...]:
        """The sequences of texts, by characters or bytes as the settings say; arrays as in `Task`."""
        if self.settings.level == "bytes":
            examples = [_bytes(each) if isinstance(each, str) else each for each in examples]
        return super().encode(examples, facts)

    def _with_validation(self, published: Mapping[str, list[Example]]) -> dict[str, list[Example]]:
        """Three splits: validation is held out of the training reviews, or is the test reviews once more."""
        settings, train = self.settings, published["train"]
        if settings.validation_from == "test":
            return {"train": train, "validation": published["test"], "test": published["test"]}
        order = [train[number] for number in permutation(len(train), settings.split_seed)]
        held_out = round(len(train) * settings.validation_share)
        return {"train": order[held_out:], "validation": order[:held_out], "test": published["test"]}


def _bytes(text: str) -> str:
    """The bytes of UTF-8, each as the character of its number."""
    return text.encode("utf-8").decode("latin-1")


def _folder(files: Path) -> Path:
    candidates = places.inside(places.IMDB_FOLDERS, "train")
    return originals.find(files, candidates, "aclImdb_v1", "IMDb", places.IMDB_SOURCE).parent


def read_imdb(files: Path) -> dict[str, list[Example]]:
    """The published sets `train` and `test`. Raises `UserError`."""
    try:
        folder = _folder(files)
    except UserError as missing:
        rows = originals.from_hub("imdb", ("train", "test"), files, missing)
        return {
            split: [((text,), label) for text, label in zip(part.texts(), part.labels().tolist(), strict=True)]
            for split, part in rows.items()
        }
    return {
        split: [((review.text,), review.label) for review in imdb.read(folder, split)] for split in ("train", "test")
    }


@dataclass
class BbcArticlesSettings(DividedSettings):
    """BBC articles, cut to max_length characters with `<eos>`. Raises `UserError`."""

    limits: ClassVar = {"max_length": (2, LONGEST)}
    name: str = "bbc_articles"
    min_freq: int = 15
    max_length: int = 4096


class BbcArticles(bbc.FromArticles, TextTask):
    """Which of five topics a news article is on: a stand-in for Text whose words alone tell almost everything."""

    classes: ClassVar[int] = len(bbc.TOPICS)

    def examples(self, files: Path) -> tuple[Mapping[str, list[Example]], list[str]]:  # noqa: ARG002
        """One example per article. Raises `UserError`."""
        articles, note = bbc.divided_articles(self.settings)
        return {split: [((each.text,), each.topic) for each in part] for split, part in articles.items()}, [note]


@dataclass
class BbcOrderSettings(bbc.OrderSettings):
    """Passages of BBC articles. Raises `UserError`."""

    name: str = "bbc_order"


class BbcOrder(bbc.FromArticles, TextTask):
    """Whether the words of a passage are in the order they were written in (1) or shuffled (0).

    A stand-in for Text whose words alone tell nothing: a passage is shuffled by the toss of a coin.
    """

    rules: ClassVar[Sequence[Rule]] = (WORD_PAIRS, WORDS, LENGTH)

    def examples(self, files: Path) -> tuple[dict[str, list[Example]], list[str]]:  # noqa: ARG002
        """One example per passage, half of them, drawn at random, shuffled. Raises `UserError`."""
        return bbc.labelled_passages(self.settings, _as_written_or_shuffled)


def _as_written_or_shuffled(words: list[str], label: int, random: np.random.RandomState) -> tuple[str]:
    """A passage as written where the label is 1, else with its words in another order."""
    return (" ".join(words) if label else bbc.shuffled(words, random),)
