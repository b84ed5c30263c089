"""Simple rules that read little: what a network must beat before it can be said to do more.

Each is fitted on the training split and answers the test split. A task's first rule is its shortcut: the strongest of
those tried, see docs/tasks.md.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.splits import SPECIAL, Integers, Split

GROUPS = 32
"""Number of quantile groups that a real number is cut into for a rule that knows nothing else."""

REGIONS_A_SIDE = 4
"""Rows, and columns, of regions that an image is cut into."""

FEATURES = 2**20
"""Numbers that words, and pairs of them, are hashed to, so that their counts fit into memory whatever the text."""

Answers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """A rule: its name, what it knows in one sentence, and its answers [n] to the test split.

    answer: from the training split, the test split and the facts of both.
    """

    name: str
    sentence: str
    answer: Callable[[Split, Split, Facts], Answers]


def commonest(labels: Integers) -> int:
    """The commonest of these labels."""
    return int(np.bincount(labels).argmax())


def majority_accuracy(train: Split, test: Split) -> float:
    """Accuracy, in [0, 1], of always answering the commonest training label."""
    return float(np.mean(test.labels == commonest(train.labels)))


def commonest_answers(labels: Integers, seen: Integers, asked: Integers) -> Answers:
    """The commonest training label for what is known of each example: an integer >= 0, `seen` where `labels` are known.

    Values that do not occur in training get the label commonest overall.
    """
    counts = np.zeros((int(max(seen.max(), asked.max())) + 1, int(labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (seen, labels), 1)
    guess = np.where(counts.any(axis=1), counts.argmax(axis=1), commonest(labels))
    return guess[asked]


def by_number(known: Callable[[Split, Facts], Floats]) -> Callable[[Split, Split, Facts], Answers]:
    """The commonest training label for a real number [n], cut into `GROUPS` quantile groups of the training split."""

    def answer(train: Split, test: Split, facts: Facts) -> Answers:
        seen, asked = known(train, facts), known(test, facts)
        edges = np.unique(np.quantile(seen, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        return commonest_answers(train.labels, np.searchsorted(edges, seen), np.searchsorted(edges, asked))

    return answer


def by_nearest_mean(view: Callable[[Integers], Floats]) -> Callable[[Split, Split, Facts], Answers]:
    """The class whose mean training image, as a `view` [numbers] shows it, is nearest."""

    def answer(train: Split, test: Split, facts: Facts) -> Answers:
        first = view(train.sequences[0][0])
        sums, counts = np.zeros((facts.classes, len(first))), np.zeros(facts.classes)
        for label, image in zip(train.labels.tolist(), train.sequences[0], strict=True):
            sums[label] += view(image)
            counts[label] += 1
        means = sums / np.maximum(counts, 1)[:, None]
        lengths = np.where(counts > 0, (means**2).sum(axis=1), np.inf)  # a class that training lacks is never nearest
        return np.array([int(np.argmin(lengths - 2 * means @ view(image))) for image in test.sequences[0]])

    return answer


def by_naive_bayes(features: Callable[[Split, Facts], Iterator[Integers]]) -> Callable[[Split, Split, Facts], Answers]:
    """Multinomial naive Bayes on bags of `features`, integers below `FEATURES`, with Laplace smoothing of one count.

    Those that do not occur in training do not count.
    """

    def answer(train: Split, test: Split, facts: Facts) -> Answers:
        counts = np.zeros((facts.classes, FEATURES))
        for label, bag in zip(train.labels.tolist(), features(train, facts), strict=True):
            np.add.at(counts[label], bag, 1)
        known = counts.any(axis=0)
        smoothed = (counts + 1) * known
        by_feature = np.log(np.where(known, smoothed / np.maximum(smoothed.sum(axis=1, keepdims=True), 1), 1))
        prior = np.log(np.bincount(train.labels, minlength=facts.classes) + 1)
        return np.array([int(np.argmax(prior + by_feature[:, bag].sum(axis=1))) for bag in features(test, facts)])

    return answer


# --- what is known of an image


def brightness(split: Split, facts: Facts) -> Floats:  # noqa: ARG001
    """Mean grey level of each image, [n]."""
    return np.array([image.mean() for image in split.sequences[0]])


def pixels(image: Integers) -> Floats:
    """Every pixel."""
    return image.astype(np.float64)


def regions(image: Integers) -> Floats:
    """Mean grey level of each of `REGIONS_A_SIDE` x `REGIONS_A_SIDE` regions of a square image."""
    side = round(len(image) ** 0.5)
    edges = np.linspace(0, side, REGIONS_A_SIDE + 1).astype(int)
    square = image.reshape(side, side).astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(square, edges[:-1], 0), edges[:-1], 1)
    sizes = np.diff(edges)
    means: Floats = sums / np.outer(sizes, sizes)
    return means.ravel()


# --- what is known of a text, or of two

WORD = re.compile(r"\w+")


def words_of(symbols: list[str]) -> Callable[[Integers], list[str]]:
    """A function that returns the words, in lower case, of a sequence of characters; special tokens part them."""
    characters = np.array([" "] * len(SPECIAL) + symbols[len(SPECIAL) :], dtype="<U1")
    return lambda sequence: WORD.findall(characters[sequence].tobytes().decode("utf-32-le").lower())


def _texts(split: Split, facts: Facts) -> Iterator[list[list[str]]]:
    """The words of each example's text, or of both of its texts."""
    assert facts.symbols is not None
    read = words_of(facts.symbols)
    for sequences in zip(*split.sequences, strict=True):
        yield [read(sequence) for sequence in sequences]


def words(split: Split, facts: Facts) -> Iterator[Integers]:
    """A feature for each word of each example."""
    for texts in _texts(split, facts):
        yield _hashed(word for text in texts for word in text)


def word_pairs(split: Split, facts: Facts) -> Iterator[Integers]:
    """A feature for each two words that follow one another, of the first text and of the second apart."""
    for texts in _texts(split, facts):
        yield _hashed(f"{place} {one} {other}" for place, text in enumerate(texts) for one, other in pairwise(text))


def _hashed(names: Iterable[str]) -> Integers:
    """A number below `FEATURES` for each name, the same in every process."""
    return np.array([zlib.crc32(name.encode()) % FEATURES for name in names], np.int64)


def word_overlap(split: Split, facts: Facts) -> Floats:
    """Shared words over all words of the two texts of each pair (Jaccard), in [0, 1], [n]."""
    pairs = ((set(one), set(other)) for one, other in _texts(split, facts))
    return np.array([len(one & other) / max(len(one | other), 1) for one, other in pairs])


def text_length(split: Split, facts: Facts) -> Floats:  # noqa: ARG001
    """Length of each text, or of the longer of two, in tokens, [n]."""
    return split.lengths.astype(np.float64)


BRIGHTNESS = Rule(
    "brightness", "The commonest training answer among images about as bright, of 32 groups.", by_number(brightness)
)
REGIONS = Rule("regions", "The class whose mean image is nearest, all seen in 4 x 4 regions.", by_nearest_mean(regions))
NEAREST_MEAN = Rule("nearest mean", "The class whose mean training image is nearest.", by_nearest_mean(pixels))
WORDS = Rule("words", "Naive Bayes on the words of the text, whatever their order.", by_naive_bayes(words))
WORD_PAIRS = Rule("word pairs", "Naive Bayes on which word follows which.", by_naive_bayes(word_pairs))
LENGTH = Rule(
    "length", "The commonest training answer among texts about as long, of 32 groups.", by_number(text_length)
)
OVERLAP = Rule(
    "words in common",
    "The commonest training answer among pairs that share about as many of their words, of 32 groups.",
    by_number(word_overlap),
)
