"""Baselines that do not read the sequence: rules fitted on the training split and scored on the test split."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.splits import SPECIAL, Integers, Split

GROUPS = 32
"""Number of quantile groups that a real number is cut into for a rule that knows nothing else."""


def majority_accuracy(train: Split, test: Split) -> float:
    """Accuracy, in [0, 1], of always answering the commonest training label."""
    return float(np.mean(test.labels == np.bincount(train.labels).argmax()))


def commonest_answer_accuracy(train: Split, test: Split, classes: int, known: Callable[[Split], Integers]) -> float:
    """Accuracy, in [0, 1], of the commonest training label for what is `known`: an integer >= 0 per example.

    Values that do not occur in training get the label commonest overall.
    """
    seen, asked = known(train), known(test)
    counts = np.zeros((int(max(seen.max(), asked.max())) + 1, classes), dtype=np.int64)
    np.add.at(counts, (seen, train.labels), 1)
    guess = np.where(counts.any(axis=1), counts.argmax(axis=1), counts.sum(axis=0).argmax())
    return float(np.mean(guess[asked] == test.labels))


def number_accuracy(
    train: Split, test: Split, classes: int, known: Callable[[Split], npt.NDArray[np.floating]]
) -> float:
    """Accuracy, in [0, 1], of that rule for a real number, cut into `GROUPS` quantile groups of the training split."""
    edges = np.unique(np.quantile(known(train), np.linspace(0, 1, GROUPS + 1)[1:-1]))
    return commonest_answer_accuracy(train, test, classes, lambda split: np.searchsorted(edges, known(split)))


def brightness(split: Split) -> npt.NDArray[np.float64]:
    """Mean grey level of each image, [n]."""
    return np.array([image.mean() for image in split.sequences[0]])


def naive_bayes_accuracy(train: Split, test: Split, classes: int, words: Callable[[Integers], Sequence[str]]) -> float:
    """Accuracy, in [0, 1], of multinomial naive Bayes on bags of words (Laplace smoothing of one count).

    words: the words of a sequence; those that do not occur in training do not count.
    """
    index: dict[str, int] = {}
    bags = [[index.setdefault(word, len(index)) for word in words(sequence)] for sequence in train.sequences[0]]
    counts = np.ones((classes, len(index)))
    for label, bag in zip(train.labels.tolist(), bags, strict=True):
        np.add.at(counts[label], bag, 1)
    by_word = np.log(counts / counts.sum(axis=1, keepdims=True))
    prior = np.log(np.bincount(train.labels, minlength=classes) + 1)
    right = 0
    for label, sequence in zip(test.labels.tolist(), test.sequences[0], strict=True):
        bag = [index[word] for word in words(sequence) if word in index]
        right += int(np.argmax(prior + by_word[:, bag].sum(axis=1)) == label)
    return right / len(test)


def word_overlap(split: Split, words: Callable[[Integers], Sequence[str]]) -> npt.NDArray[np.float64]:
    """Shared words over all words of the two texts of each pair (Jaccard), in [0, 1], [n]."""
    pairs = ((set(words(one)), set(words(other))) for one, other in zip(*split.sequences, strict=True))
    return np.array([len(one & other) / max(len(one | other), 1) for one, other in pairs])


def unigram(train: Split, test: Split, vocabulary: int) -> tuple[float, float]:
    """Accuracy, in [0, 1], and perplexity of the training split's word frequencies on the test split's targets.

    Frequencies are smoothed by one count per word.
    """
    counts = np.ones(vocabulary)
    for window in train.sequences[0]:
        np.add.at(counts, window[1:], 1)
    log_frequency = np.log(counts / counts.sum())
    targets = np.concatenate(
        [window[1 + label :] for window, label in zip(test.sequences[0], test.labels.tolist(), strict=True)]
    )
    return float(np.mean(targets == counts.argmax())), float(np.exp(-log_frequency[targets].mean()))


WORD = re.compile(r"\w+")


def words_of(symbols: list[str]) -> Callable[[Integers], list[str]]:
    """A function that returns the words, in lower case, of a sequence of characters; special tokens part them."""
    characters = np.array([" "] * len(SPECIAL) + symbols[len(SPECIAL) :], dtype="<U1")
    return lambda sequence: WORD.findall(characters[sequence].tobytes().decode("utf-32-le").lower())
