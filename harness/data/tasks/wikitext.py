"""Texts whose next word is to be predicted: WikiText-103 and two stand-ins, BBC news and the Brown corpus.

Words, the end token of every line and the windows follow the reference code of S4 (state-spaces/s4,
`src/dataloaders/lm.py`); unlike there, each word is a target exactly once, the first and the last included.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data import ngrams
from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.random_splits import DividedSettings, divide
from spike_ssm.harness.data.readers import hub, originals, places, wikitext
from spike_ssm.harness.data.readers.common import Rereadable, copy_notes
from spike_ssm.harness.data.settings import LONGEST, Kind, PartSettings, check_limits
from spike_ssm.harness.data.splits import SPLITS, Flat, Integers, Shard, Split
from spike_ssm.harness.data.task import Task
from spike_ssm.harness.data.tasks import bbc_corpus as bbc
from spike_ssm.harness.data.tasks.brown_corpus import FILES, find_brown, read_brown
from spike_ssm.harness.data.vocabulary import EOS, UNKNOWN, token_type, vocabulary
from spike_ssm.results.errors import UserError

SHARD = 2**24
"""Words per file, about."""

ORDERS = {"trigram": 3, "bigram": 2, "unigram": 1}
"""Rules for the next word, the shortcut first -> words that they look at, the next one included."""

WORDS = {"train": 103_227_021, "validation": 217_646, "test": 245_569}
"""Number of words of each split of WikiText-103, with an `<eos>` a line."""

NEWS_WORD = re.compile(r"\w+(?:['.-]\w+)*|\S")
"""A word of BBC news: letters and digits, joined by apostrophes, points and hyphens, or a single other sign."""

Lines = Iterable[list[str]]
"""The words of each line, `<eos>` last; can be iterated over any number of times."""


@dataclass
class WindowSettings(PartSettings):
    """Texts cut into windows.

    A window has `context` targets, each predicted from the words of the window before it. Training windows follow one
    another; those of validation and test start `stride` words apart (null: context), so that all targets but the very
    first have at least context - stride words before them. train, validation, test: number of words used of each
    split, from its beginning; null: all. Raises `UserError`.
    """

    limits: ClassVar = {"context": (1, LONGEST)}
    kind: ClassVar[Kind] = "language"
    context: int = 512
    stride: int | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        super().__post_init__()
        check_limits(self, {"stride": (1, self.context)}, "task.")


class Windows(NamedTuple):
    """n windows: window i is words `starts[i]` to `ends[i]`, both included, of which the first is no target.

    context_only [n]: number of further words at its beginning that are none either.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    context_only: npt.NDArray[np.int64]


def windows(targets: int, context: int, stride: int) -> Windows:
    """Windows over word 0, which is no target, and the `targets` that follow it: each is a target exactly once.

    Every window but the last, which may be shorter, has `context` words after its first one.
    """
    count = 1 + max(-(-(targets - context) // stride), 0)
    starts = np.arange(count, dtype=np.int64) * stride
    context_only = np.full(count, context - stride, np.int64)
    context_only[0] = 0
    return Windows(starts, np.minimum(starts + context, targets), context_only)


class LanguageTask(Task):
    """A task whose sequences are windows of words, the next of which is to be predicted."""

    published: ClassVar[Mapping[str, int]] = {}  # number of words of each split, where all copies are to have them

    @classmethod
    def shortcut(cls) -> str:
        """What the strongest rule knows."""
        return "What followed the last two words in training, and how often (trigram)."

    @abstractmethod
    def lines(self, files: Path) -> tuple[Mapping[str, Lines], list[str]]:
        """The text of each split, and notes on it. Raises `UserError`."""

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the windows of the three splits. Raises `UserError`."""
        settings = self.settings
        texts, notes = self.lines(files)
        words = {
            split: Rereadable(partial(_first_words, text, getattr(settings, split))) for split, text in texts.items()
        }
        counts = Counter(words["train"])
        symbols = vocabulary(counts, settings.min_freq)
        index = {word: token for token, word in enumerate(symbols)}
        streams = {split: _encode(words[split], index, token_type(symbols)) for split in SPLITS}
        sizes = {split: len(stream) - 1 for split, stream in streams.items()}
        for split, size in sizes.items():
            if size == 0:
                raise UserError(f"The {split} split has no word: the data, or the task's settings, give it none.")
        for split, stream in streams.items():
            stride = settings.context if split == "train" else settings.stride or settings.context
            _write(preparation, split, stream, windows(sizes[split], settings.context, stride))
        return Facts(len(symbols), symbols, (*notes, *self._notes(sizes, counts, symbols)))

    def _notes(self, sizes: Mapping[str, int], counts: Counter[str], symbols: list[str]) -> Iterator[str]:
        """Notes on what this copy lacks and on what the settings leave out."""
        settings = self.settings
        for split, size in sizes.items():
            if size == getattr(settings, split):
                yield f"Only the first {size:,} words of the {split} split are used."
            elif split in self.published:
                yield from copy_notes(size, self.published[split], f"{split} words")
        rare = len(counts.keys() - set(symbols))
        if rare:
            yield (
                f"The {rare:,} of {len(counts):,} words seen fewer than {settings.min_freq} times in training are "
                "<unk>: a perplexity cannot be compared with one on all words."
            )

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """Scores of the words that follow none, one and two words, of which the first is the commonest word's."""
        found = {name: ngrams.scores(train, test, facts.classes, order) for name, order in ORDERS.items()}
        accuracy = {name: right for name, (right, _) in found.items()}
        return Baselines(accuracy["unigram"], accuracy, shortcut_perplexity=next(iter(found.values()))[1])


def _first_words(lines: Lines, wanted: int | None) -> Iterator[str]:
    """The first `wanted` words of a text, or all."""
    return islice(chain.from_iterable(lines), wanted)


def _encode(words: Iterable[str], index: Mapping[str, int], dtype: np.dtype[np.integer]) -> Integers:
    """`<eos>`, which stands for the line before the first, and the words."""
    return np.fromiter(chain([EOS], (index.get(word, UNKNOWN) for word in words)), dtype)


def _write(preparation: Preparation, split: str, stream: Integers, cut: Windows) -> None:
    size = max(SHARD // int(cut.ends[0] - cut.starts[0] + 1), 1)
    for number, first in enumerate(range(0, len(cut.starts), size)):
        part = Windows(*(column[first : first + size] for column in cut))
        preparation.write(split, number, partial(_shard, stream, part))


def _shard(stream: Integers, cut: Windows) -> Shard:
    pieces = [stream[start : end + 1] for start, end in zip(cut.starts.tolist(), cut.ends.tolist(), strict=True)]
    offsets = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    return Shard((Flat(np.concatenate(pieces), offsets),), cut.context_only.astype(np.int32))


@dataclass
class Wikitext103Settings(WindowSettings):
    """WikiText-103; words seen fewer than min_freq times in training are unknown. Raises `UserError`."""

    limits: ClassVar = {"min_freq": (1, LONGEST)}
    name: str = "wikitext103"
    min_freq: int = 1


class Wikitext103(LanguageTask):
    """The next word of Wikipedia's articles. Of its 267,735 words, `<unk>` and `<eos>` are two; `<pad>` is ours."""

    published: ClassVar[Mapping[str, int]] = WORDS
    source: ClassVar[str] = "WikiText-103 (Merity et al. 2017, CC BY-SA)."
    stand_in: ClassVar[str | None] = "task=bbc_words scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """Its three files, or copies of the hub's files."""
        return originals.or_copies(lambda: _paths(files).values(), "wikitext-103", files)

    def lines(self, files: Path) -> tuple[Mapping[str, Lines], list[str]]:
        """WikiText-103 from its files, its archive, a copy of the hub's parquet files, or the hub."""
        try:
            paths = _paths(files)
        except UserError as missing:
            rows = originals.from_hub("wikitext-103", SPLITS, files, missing)
            return {split: Rereadable(partial(_lines_of, part)) for split, part in rows.items()}, []
        return {split: Rereadable(partial(wikitext.read, path)) for split, path in paths.items()}, []


WIKITEXT_NAMES: dict[str, wikitext.Split] = {"train": "train", "validation": "valid", "test": "test"}
"""Split -> its name in the release."""


def _paths(files: Path) -> dict[str, Path]:
    return {split: _path(files, name) for split, name in WIKITEXT_NAMES.items()}


def _path(files: Path, name: wikitext.Split) -> Path:
    candidates = places.inside(places.WIKITEXT_FOLDERS, *wikitext.names(name))
    return originals.find(files, candidates, "wikitext-103-v1", f"WikiText-103's {name}", places.WIKITEXT_SOURCE)


def _lines_of(rows: hub.HubSplit) -> Iterator[list[str]]:
    return map(wikitext.tokens, rows.texts())


@dataclass
class BbcWordsSettings(WindowSettings, DividedSettings):
    """Words of BBC articles. Raises `UserError`."""

    name: str = "bbc_words"
    min_freq: int = 5


class BbcWords(bbc.FromArticles, LanguageTask):
    """The next word of news articles: a stand-in for WikiText-103."""

    def lines(self, files: Path) -> tuple[Mapping[str, Lines], list[str]]:  # noqa: ARG002
        """The articles of each split: headlines and paragraphs are lines, punctuation marks are words."""
        articles, note = bbc.divided_articles(self.settings)
        lines = {split: [line for each in part for line in each.text.splitlines()] for split, part in articles.items()}
        return {
            split: [[*NEWS_WORD.findall(line), wikitext.EOS] for line in part if line.strip()]
            for split, part in lines.items()
        }, [note]


@dataclass
class BrownSettings(WindowSettings, DividedSettings):
    """Words of the Brown corpus. Raises `UserError`."""

    name: str = "brown"
    min_freq: int = 5


class Brown(LanguageTask):
    """The next word of American prose of 1961: a stand-in for WikiText-103."""

    source: ClassVar[str] = "The Brown corpus (Francis & Kučera 1964), redistribution permitted, of NLTK or npm."
    stand_in: ClassVar[str | None] = "task=bbc_words scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """Its files."""
        return find_brown(files)

    def lines(self, files: Path) -> tuple[Mapping[str, Lines], list[str]]:
        """The texts of each split: sentences are lines; every kind has the same share of its files in each split."""
        texts = read_brown(files)
        parts = divide([text.kind for text in texts], self.settings)
        train, validation, test = map(len, parts.values())
        notes = [
            "The corpus is divided at random by file, every kind of text alike: "
            f"{train} training, {validation} validation, {test} test files."
        ]
        if len(texts) != FILES:
            notes.append(f"This copy has {len(texts)} of the corpus's {FILES} files.")
        return {
            split: [line for number in part for line in texts[number].lines] for split, part in parts.items()
        }, notes
