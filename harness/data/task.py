"""The interface every benchmark task has: settings in, a dataset of three splits and its baselines out."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spike_ssm.harness.data.cache import Preparation, Prepared, prepared
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.readers.common import MissingError
from spike_ssm.harness.data.rules import (
    BRIGHTNESS,
    LENGTH,
    NEAREST_MEAN,
    OVERLAP,
    REGIONS,
    WORD_PAIRS,
    Rule,
    majority_accuracy,
)
from spike_ssm.harness.data.settings import Kind, TaskSettings
from spike_ssm.harness.data.sources import GONE, HUB, Place, place_of
from spike_ssm.harness.data.splits import Flat, Integers, Scaling, Sequences, Split
from spike_ssm.harness.data.vocabulary import EOS, UNKNOWN, Example, encode_characters, write_examples
from spike_ssm.models.named import fingerprint
from spike_ssm.results.errors import UserError

FORM = 3
"""Count of the forms in which prepared data have been stored."""


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
    rules: ClassVar[Sequence[Rule]]  # of those tried, the strongest first: the shortcut
    source: ClassVar[str]  # one sentence: where the data come from, and their licence
    stand_in: ClassVar[str | None] = None  # the words with which nothing has to be downloaded

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the shards of all splits; `files` is the folder of original files."""

    def sources(self, files: Path) -> Sequence[Path]:  # noqa: ARG002
        """The original files, and folders of them, that `build` reads; none where the data are generated.

        Raises `UserError` where they are not there.
        """
        return ()

    @classmethod
    def shortcut(cls) -> str:
        """What the shortcut knows, in one sentence."""
        return cls.rules[0].sentence

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """The rules and the majority class, fitted on `train` and scored on `test`."""
        answers = [rule.answer(train, test, facts) for rule in self.rules]
        right = [float(np.mean(answer == test.labels)) for answer in answers]
        return Baselines(
            majority_accuracy(train, test),
            dict(zip((rule.name for rule in self.rules), right, strict=True)),
            shortcut_answers=answers[0].tolist(),
            groups=self.groups(test),
        )

    def groups(self, test: Split) -> dict[str, list[str]]:  # noqa: ARG002
        """Grouping -> the group of each test example, by questions of the task's own."""
        return {}

    def encode(self, examples: Sequence[Any], facts: Facts) -> tuple[Sequences, ...]:
        """The sequences of examples as a person has them, as `build` stores them: one each, or two of a pair.

        A text is symbols with blanks between them, and gets its `<eos>`; an array of whole numbers, of any shape, is
        tokens or grey levels as they are. Raises `UserError` for anything else.
        """
        index = {symbol: token for token, symbol in enumerate(facts.symbols or ())}

        def sequence(example: Any) -> Integers:
            if isinstance(example, str) and index:
                return np.array([*(index.get(symbol, UNKNOWN) for symbol in example.split()), EOS])
            return stored_numbers(example, len(index) or 256)

        return (_end_to_end(map(sequence, examples)),)

    def folder(self, cache: Path) -> Path:
        """The folder of data prepared at these settings, named by a hash of them, their revision and the `FORM`.

        What was prepared from original files is beside it, see `place`.
        """
        settings: TaskSettings = self.settings
        text = json.dumps(asdict(settings), sort_keys=True) + fingerprint(settings.name)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return cache / settings.name / f"{digest}-{FORM}.{settings.revision}"

    def place(self, cache: Path, files: Path) -> Place:
        """The place in `cache` of what is, or is to be, prepared from the original `files`. Raises `UserError`."""
        try:
            paths = self.sources(files)
        except UserError:  # which `build` raises too, unless the data were prepared before or come from the hub
            return place_of(self.folder(cache), None)
        return place_of(self.folder(cache), paths)

    def prepare(self, cache: Path, files: Path) -> Dataset:
        """The dataset, from `cache` when these very `files` have been prepared there before, else from them.

        Where the files are gone, what was prepared from them is used, and a note says so.
        """
        folder, source = self.place(cache, files)
        found = prepared(folder, lambda preparation: {**self._build(preparation, files), "source": source})
        facts = Facts(**found.facts["facts"])
        if source == HUB != found.facts.get("source"):
            facts = replace(facts, notes=(*facts.notes, GONE))
        train, validation, test = self._splits(found).values()
        return Dataset(train, validation, test, self.settings.kind, facts, Baselines(**found.facts["baselines"]))

    def _build(self, preparation: Preparation, files: Path) -> dict[str, Any]:
        try:
            facts = self.build(preparation, files)
        except MissingError as error:
            without = [f"With {self.stand_in} nothing has to be downloaded."] if self.stand_in else []
            raise MissingError(error.what, *error.ways, *without) from error
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

    def encode(self, examples: Sequence[Any], facts: Facts) -> tuple[Sequences, ...]:
        """The sequences of texts, or of pairs of texts, character by character; arrays as in `Task`."""
        assert facts.symbols is not None
        columns = list(zip(*examples, strict=True)) if self.settings.kind == "pairs" else [examples]
        if self.settings.kind == "pairs" and len(columns) != 2:
            raise UserError(f"An example of {self.settings.name} is two texts, but here are {len(columns)}.")
        return tuple(self._encoded(column, facts) for column in columns)

    def _encoded(self, texts: Sequence[Any], facts: Facts) -> Sequences:
        if not all(isinstance(text, str) for text in texts):
            return super().encode(texts, facts)[0]
        return Sequences(encode_characters(texts, facts.symbols or [], self.settings.max_length))

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits. Raises `UserError`."""
        examples, notes = self.examples(files)
        symbols = write_examples(preparation.write, examples, self.settings.max_length, self.settings.min_freq)
        return Facts(self.classes, symbols, tuple(notes))


class PairTask(CharacterTask):
    """A task whose examples are two texts."""

    rules: ClassVar[Sequence[Rule]] = (OVERLAP, WORD_PAIRS, LENGTH)


class PictureTask(Task):
    """A task whose sequences are images."""

    picture: ClassVar[bool] = True
    rules: ClassVar[Sequence[Rule]] = (NEAREST_MEAN, REGIONS, BRIGHTNESS)


def stored_numbers(example: Any, most: int) -> Integers:
    """The numbers of an array, flattened. Raises `UserError` unless they are whole, from 0 on and below `most`."""
    numbers = np.asarray(example).ravel()
    if not np.issubdtype(numbers.dtype, np.integer) or not len(numbers):
        raise UserError(
            f"An example must be an array of whole numbers, or a text where the task has texts: {example!r:.60}."
        )
    if numbers.min() < 0 or numbers.max() >= most:
        raise UserError(
            f"An example's numbers must be from 0 to {most - 1}, but they reach {numbers.min()} to {numbers.max()}."
        )
    return numbers


def _end_to_end(sequences: Iterable[Integers]) -> Sequences:
    parts = list(sequences)
    return Sequences(Flat(np.concatenate(parts), np.cumsum([0, *map(len, parts)])))
