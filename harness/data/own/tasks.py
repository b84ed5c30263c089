"""Data of a user's own: texts or series of numbers from a CSV file, texts or images from a folder.

A run is known by the content of the data, whatever the file is called and wherever it lies: where the content changes,
it is another run, and what was prepared from the earlier content is left alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.own import reader
from spike_ssm.harness.data.own.reader import Labelled
from spike_ssm.harness.data.pictures import Pictures
from spike_ssm.harness.data.random_splits import DividedSettings, divide, permutation
from spike_ssm.harness.data.readers.common import damaged, decode, read_bytes
from spike_ssm.harness.data.readers.images import decode_grey
from spike_ssm.harness.data.rules import BRIGHTNESS, LENGTH, NEAREST_MEAN, REGIONS, WORD_PAIRS, WORDS, Rule
from spike_ssm.harness.data.settings import LONGEST
from spike_ssm.harness.data.splits import SPLITS, Flat, Scaling, Sequences, Shard
from spike_ssm.harness.data.task import CharacterTask, Dataset, PictureTask, Task
from spike_ssm.harness.data.vocabulary import Example
from spike_ssm.models.identity import SAME_NUMBERS
from spike_ssm.results.errors import UserError

MOST_CLASSES = 256

STEP = 1000
"""Parts of a standard deviation that the numbers of a series are stored in."""

T = TypeVar("T")


@dataclass
class OwnSettings(DividedSettings):
    """Data at `path`, of which validation_share and test_share, in every class alike, are drawn by split_seed.

    Where the data say themselves which split an example is in, nothing is drawn. Raises `UserError`.
    """

    path: str | None = field(default=None, metadata=SAME_NUMBERS)  # the content counts, not the place

    def __post_init__(self) -> None:
        """Check every value; the path is made absolute, because workers start elsewhere."""
        super().__post_init__()
        self.path = self.path and str(Path(self.path).expanduser().absolute())

    @cached_property
    def source(self) -> str:
        """A fingerprint of the data's content. Raises `UserError`."""
        return reader.content_digest(self.place())

    def place(self) -> Path:
        """The file or folder. Raises `UserError` where none is named."""
        if self.path is None:
            raise UserError(f"task={self.name} reads data of yours: name the file or folder with task.path=PATH.")
        return Path(self.path)


class OwnTask(Task):
    """A task on data of a user's own."""

    source: ClassVar[str] = "Data of your own."

    def sources(self, files: Path) -> Sequence[Path]:  # noqa: ARG002
        """The file or folder."""
        return (self.settings.place(),)

    def prepare(self, cache: Path, files: Path) -> Dataset:
        """The dataset. Raises `UserError` as `Task`, and where the data have changed since the run was planned."""
        if replace(self.settings).source != self.settings.source:
            raise UserError(f"{self.settings.path} was changed since the run was planned: start the sweep again.")
        return super().prepare(cache, files)


@dataclass(frozen=True)
class Divided(Generic[T]):
    """The names of the classes, the contents and classes of each split in an order drawn at random, and notes."""

    names: list[str]
    parts: dict[str, list[tuple[T, int]]]
    notes: list[str]

    def contents(self, split: str) -> list[T]:
        """The contents of a split's examples."""
        return [content for content, _ in self.parts[split]]

    def labels(self, split: str) -> npt.NDArray[np.uint8]:
        """The classes [n] of a split's examples."""
        return np.array([label for _, label in self.parts[split]], np.uint8)


def divided(found: Labelled[T], settings: OwnSettings) -> Divided[T]:
    """The examples in their splits. Raises `UserError` where these cannot be trained and tested on."""
    names = sorted(set(found.labels))
    if len(names) < 2:
        only = f"one label, {names[0]!r}" if names else "no example"
        raise UserError(f"{found.path} has {only}: a task needs examples of at least two classes.")
    if len(names) > MOST_CLASSES:
        raise UserError(f"{found.path} has {len(names):,} different labels, where at most {MOST_CLASSES} are allowed.")
    labels = [names.index(label) for label in found.labels]
    if found.splits is None:
        numbers = divide(labels, settings)
        notes = [f"The {len(labels):,} examples are divided at random, every class alike."]
    else:
        order = permutation(len(labels), settings.split_seed).tolist()
        numbers = {split: [each for each in order if found.splits[each] == split] for split in SPLITS}
        notes = []
    for split, members in numbers.items():
        if not members:
            raise UserError(
                f"{found.path} has too few examples, {len(labels)}: the {split} split would have none. Add some, or "
                "raise task.validation_share or task.test_share."
            )
    if missing := set(range(len(names))) - {labels[each] for each in numbers["train"]}:
        raise UserError(f"{found.path} has no training example of the class {names[min(missing)]!r}: add some.")
    parts = {split: [(found.contents[each], labels[each]) for each in members] for split, members in numbers.items()}
    return Divided(names, parts, notes)


class OwnTexts(OwnTask, CharacterTask):
    """Texts of a user's own, character by character."""

    rules: ClassVar[Sequence[Rule]] = (WORDS, WORD_PAIRS, LENGTH)

    @abstractmethod
    def read(self) -> Labelled[str]:
        """The texts and their labels. Raises `UserError`."""

    @cached_property
    def _divided(self) -> Divided[str]:
        return divided(self.read(), self.settings)

    def examples(self, files: Path) -> tuple[Mapping[str, list[Example]], list[str]]:  # noqa: ARG002
        """The texts of each split. Raises `UserError`."""
        found = self._divided
        return {split: [((text,), label) for text, label in part] for split, part in found.parts.items()}, found.notes

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits. Raises `UserError`."""
        names = self._divided.names
        return replace(super().build(preparation, files), classes=len(names), labels=names)


@dataclass
class CsvSettings(OwnSettings):
    """A CSV file whose first line names its columns: of labels and, if any, of splits (train, validation, test)."""

    limits: ClassVar = {"max_length": (2, LONGEST)}
    choices: ClassVar = {"delimiter": tuple(reader.DELIMITERS)}
    label: str = "label"
    split: str | None = None
    delimiter: str = "comma"
    max_length: int = 1024

    def rows(self) -> tuple[list[reader.Row], list[str], list[str] | None]:
        """The rows, their labels and splits. Raises `UserError`."""
        return reader.read_csv(self.place(), self.delimiter, self.label, self.split)


@dataclass
class CsvTextsSettings(CsvSettings):
    """The texts in the column `text`, cut to max_length characters with `<eos>`. Raises `UserError`."""

    name: str = "csv_texts"
    text: str = "text"


class CsvTexts(OwnTexts):
    """Which label a text of yours has: a CSV file with a column of texts and one of labels."""

    def read(self) -> Labelled[str]:
        """The texts of one column."""
        path, (rows, labels, splits) = self.settings.place(), self.settings.rows()
        if rows:
            reader.require_column(path, list(rows[0].fields), self.settings.text, "text")
        for row in rows:
            if not row.fields[self.settings.text].strip():
                raise UserError(f"{path}, line {row.line}: the text is empty: fill it in, or remove the row.")
        return Labelled(path, [row.fields[self.settings.text] for row in rows], labels, splits)


@dataclass
class FolderTextsSettings(OwnSettings):
    """Text files, UTF-8, cut to max_length characters with `<eos>`. Raises `UserError`."""

    limits: ClassVar = {"max_length": (2, LONGEST)}
    name: str = "folder_texts"
    max_length: int = 1024


class FolderTexts(OwnTexts):
    """Which folder a text of yours is from: a folder with a subfolder of .txt files for each class."""

    def read(self) -> Labelled[str]:
        """The texts of all files."""
        found = reader.files_by_class(self.settings.place(), (".txt",))
        texts = [decode(read_bytes(path), str(path)) for path in found.contents]
        for path, text in zip(found.contents, texts, strict=True):
            if not text.strip():
                raise UserError(f"{path} is empty: write its text, or remove it.")
        return Labelled(found.path, texts, found.labels, found.splits)


@dataclass
class CsvSeriesSettings(CsvSettings):
    """A series of numbers in each row, in the columns `columns` in this order, or in all but label and split.

    Cut to the first max_length numbers. Raises `UserError`.
    """

    name: str = "csv_series"
    columns: list[str] | None = None


class CsvSeries(OwnTask):
    """Which label a series of numbers of yours has: a CSV file with a number a column and a column of labels."""

    scaling: ClassVar[Scaling] = Scaling(0.0, STEP / 255)
    rules: ClassVar[Sequence[Rule]] = (
        replace(NEAREST_MEAN, sentence="The class whose mean training series is nearest."),
        replace(
            BRIGHTNESS,
            name="mean",
            sentence="The commonest training answer among series of like mean, of 32 groups.",
        ),
    )

    def build(self, preparation: Preparation, files: Path) -> Facts:  # noqa: ARG002
        """Write the three splits, in units of the training split's deviation. Raises `UserError`."""
        settings, path = self.settings, self.settings.place()
        rows, labels, splits = settings.rows()
        there = list(rows[0].fields) if rows else []
        for name in settings.columns or ():
            reader.require_column(path, there, name, "columns")
        columns = settings.columns or [name for name in there if name not in (settings.label, settings.split)]
        columns = columns[: settings.max_length]
        if rows and len(columns) < 2:
            raise UserError(f"{path} has {len(columns)} columns of numbers: a series needs at least two.")
        series = [[reader.number(path, row.line, name, row.fields[name]) for name in columns] for row in rows]
        found = divided(Labelled(path, series, labels, splits), settings)
        training = np.array(found.contents("train"))
        mean, deviation = float(training.mean()), float(training.std())
        if deviation == 0:
            raise UserError(f"{path}: all numbers of the training examples are {mean}: there is nothing to learn from.")
        for split in SPLITS:
            stored = _stored(np.array(found.contents(split)), mean, deviation)
            offsets = np.arange(len(stored) + 1, dtype=np.int64) * len(columns)
            preparation.write(split, 0, partial(Shard, (Flat(stored.ravel(), offsets),), found.labels(split)))
        return Facts(len(found.names), None, tuple(found.notes), found.names, (mean, deviation))

    def encode(self, examples: Sequence[Any], facts: Facts) -> tuple[Sequences, ...]:
        """The sequences of series of numbers, as they are in the file. Raises `UserError` for anything else."""
        assert facts.numbers is not None
        try:
            series = [_stored(np.asarray(each, np.float64).ravel(), *facts.numbers) for each in examples]
        except (TypeError, ValueError) as error:
            raise UserError(f"An example must be a series of numbers ({error}).") from error
        if any(not len(each) for each in series):
            raise UserError("An example must be a series of numbers, and here is an empty one.")
        return (Sequences(Flat(np.concatenate(series), np.cumsum([0, *map(len, series)]))),)


def _stored(numbers: npt.NDArray[np.float64], mean: float, deviation: float) -> npt.NDArray[np.int16]:
    most = np.iinfo(np.int16).max
    return np.clip(np.rint(STEP * (numbers - mean) / deviation), -most, most).astype(np.int16)


@dataclass
class FolderImagesSettings(OwnSettings):
    """Image files, in grey and resized to `side` x `side` pixels. Raises `UserError`."""

    limits: ClassVar = {"side": (4, 1000)}
    name: str = "folder_images"
    side: int = 28


class FolderImages(OwnTask, PictureTask):
    """Which folder an image of yours is from: a folder with a subfolder of .png and .jpg files for each class."""

    scaling: ClassVar[Scaling] = Scaling(0.5, 0.25)
    rules: ClassVar[Sequence[Rule]] = (NEAREST_MEAN, REGIONS, BRIGHTNESS)

    def build(self, preparation: Preparation, files: Path) -> Facts:  # noqa: ARG002
        """Write the three splits. Raises `UserError`."""
        settings = self.settings
        found = divided(reader.files_by_class(settings.place(), (".png", ".jpg", ".jpeg")), settings)
        for split in SPLITS:
            images = np.stack([_pixels(path, settings.side) for path in found.contents(split)])
            preparation.write(split, 0, Pictures(images, found.labels(split)).shard)
        note = f"Images are in grey, resized to {settings.side} x {settings.side} pixels."
        return Facts(len(found.names), None, (*found.notes, note), found.names)


def _pixels(path: Path, side: int) -> npt.NDArray[np.uint8]:
    try:
        return decode_grey(read_bytes(path), side)
    except ValueError as error:
        raise damaged(path, error, "where you have it from") from error
