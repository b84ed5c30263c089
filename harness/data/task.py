"""The interface every benchmark task has: settings in, a dataset of three splits and its baselines out."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from spike_ssm.harness.data.baselines import brightness, majority_accuracy, number_accuracy, word_overlap, words_of
from spike_ssm.harness.data.cache import Preparation, Prepared, prepared
from spike_ssm.harness.data.settings import Kind
from spike_ssm.harness.data.splits import Scaling, Split
from spike_ssm.harness.data.vocabulary import Example, write_examples


@dataclass(frozen=True)
class Facts:
    """Facts of a prepared data set that a network and a reader need.

    symbols: the text of each token; None for grey levels. notes: sentences on what this copy lacks or where it
    differs from the published data, shown in the report.
    """

    classes: int
    symbols: list[str] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Baselines:
    """Scores on the test split of rules that do not read the sequence, fitted on the training split.

    Accuracies in [0, 1]; the perplexity, where the next word is to be predicted, is the shortcut's.
    """

    shortcut_accuracy: float
    majority_accuracy: float
    shortcut_perplexity: float | None = None


@dataclass(frozen=True)
class Dataset:
    """Three splits, the facts of them, and their baselines."""

    train: Split
    validation: Split
    test: Split
    kind: Kind
    facts: Facts
    baselines: Baselines

    @property
    def vocabulary(self) -> int | None:
        """Number of different tokens; None where the sequences are grey levels."""
        return None if self.facts.symbols is None else len(self.facts.symbols)


class Task(ABC):
    """A benchmark task, made from its settings and, where it needs them, the original files under a folder.

    Raises `UserError` from `prepare` when a file is missing or damaged, or the cache cannot be written.
    """

    scaling: ClassVar[Scaling | None] = None  # of grey levels; None for tokens
    picture: ClassVar[bool] = False  # a sequence is an image's pixels, row by row
    separator: ClassVar[str] = " "  # between decoded tokens
    shortcut: ClassVar[str]  # one sentence: what the shortcut baseline knows
    source: ClassVar[str]  # one sentence: where the data come from, and their licence
    version: ClassVar[int] = 1  # count it up whenever the same settings would give other bytes

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the shards of all splits; `files` is the folder of original files."""

    @abstractmethod
    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """The shortcut and the majority class, fitted on `train` and scored on `test`."""

    def folder(self, cache: Path) -> Path:
        """The folder of the prepared data, named by a hash of the settings and the version."""
        text = json.dumps(asdict(self.settings), sort_keys=True)
        name: str = self.settings.name
        return cache / name / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-v{self.version}"

    def prepare(self, cache: Path, files: Path) -> Dataset:
        """The dataset, from `cache` when it has been prepared there before, else from `files`."""
        found = prepared(self.folder(cache), lambda preparation: self._build(preparation, files))
        facts = Facts(**found.facts["facts"])
        train, validation, test = self._splits(found).values()
        return Dataset(train, validation, test, self.settings.kind, facts, Baselines(**found.facts["baselines"]))

    def _build(self, preparation: Preparation, files: Path) -> dict[str, Any]:
        facts = self.build(preparation, files)
        splits = self._splits(Prepared(*preparation.read(), facts={}))
        baselines = self.baselines(splits["train"], splits["test"], facts)
        return {"facts": asdict(facts), "baselines": asdict(baselines)}

    def _splits(self, found: Prepared) -> dict[str, Split]:
        predicts_next = self.settings.kind == "language"
        return {
            name: Split(sequences, found.labels[name], scaling=self.scaling, predicts_next=predicts_next)
            for name, sequences in found.sequences.items()
        }


class CharacterTask(Task):
    """A task whose examples are texts, or pairs of texts, of one character per token, each with `<eos>` at its end."""

    separator: ClassVar[str] = ""
    classes: ClassVar[int] = 2

    @abstractmethod
    def examples(self, files: Path) -> tuple[Mapping[str, Iterable[Example]], Sequence[str]]:
        """The texts and labels of each split, and notes on them. Raises `UserError`."""

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits. Raises `UserError`."""
        examples, notes = self.examples(files)
        symbols = write_examples(preparation.write, examples, self.settings.max_length, self.settings.min_freq)
        return Facts(self.classes, symbols, tuple(notes))


class PairTask(CharacterTask):
    """A task whose examples are two texts."""

    shortcut: ClassVar[str] = (
        "The commonest training answer among the pairs that share about as many of their words (32 groups)."
    )

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """Scores of the share of common words, and of the commonest answer."""
        assert facts.symbols is not None
        words = words_of(facts.symbols)
        known = {id(split): word_overlap(split, words) for split in (train, test)}  # it takes minutes on AAN
        shortcut = number_accuracy(train, test, facts.classes, lambda split: known[id(split)])
        return Baselines(shortcut, majority_accuracy(train, test))


class PictureTask(Task):
    """A task whose sequences are images. The shortcut is the image's brightness."""

    picture: ClassVar[bool] = True
    shortcut: ClassVar[str] = (
        "The commonest training answer among the images about as bright (of 32 groups by mean grey level)."
    )

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """Scores of an image's mean grey level, and of the commonest answer."""
        shortcut = number_accuracy(train, test, facts.classes, brightness)
        return Baselines(shortcut, majority_accuracy(train, test))
