"""Rules for the next word: what followed the last words in training, and how often."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.splits import Integers, Split

WEIGHT = 200.0
"""Count of the shorter context's prediction beside what was counted after the longer one (Dirichlet smoothing)."""

Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class NGrams:
    """The words that followed each context of up to `order` - 1 words in training, and how often."""

    def __init__(self, train: Split, vocabulary: int, order: int) -> None:
        self._vocabulary = vocabulary
        windows = list(train.sequences[0])
        self._unigrams = np.ones(vocabulary)  # smoothed by one count a word
        for window in windows:
            np.add.at(self._unigrams, window[1:], 1)
        keys = [np.concatenate([self._keys(window, n) for window in windows]) for n in range(2, order + 1)]
        self._longer = [_Table(each, vocabulary) for each in keys if len(each)]

    def _keys(self, window: Integers, n: int) -> Longs:
        """Each `n` words that follow one another, as one number; the last of them is its lowest digit."""
        words = window.astype(np.int64)
        return self._joined([words[place : max(len(words) - n + 1, 0) + place] for place in range(n)])

    def _joined(self, words: list[Longs]) -> Longs:
        joined = np.zeros_like(words[0])
        for column in words:
            joined = joined * self._vocabulary + column
        return joined

    def probabilities(self, context: list[Longs], words: Longs) -> Floats:
        """Probability of each of `words` [n] after its context: the words before it, the farthest first, [n] each."""
        found: Floats = self._unigrams[words] / self._unigrams.sum()
        for n, table in enumerate(self._longer, 2):
            near = context[len(context) - n + 1 :]
            joint = table.counts_of(self._joined([*near, words]))
            before = table.counts_of_contexts(self._joined(near))
            found = (joint + WEIGHT * found) / (before + WEIGHT)
        return found

    def answers(self, context: list[Longs], length: int) -> Longs:
        """The word that most often followed the longest context known from training, [length]."""
        found = np.full(length, int(self._unigrams.argmax()), np.int64)
        for n, table in enumerate(self._longer, 2):
            known, words = table.commonest_after(self._joined(context[len(context) - n + 1 :]))
            found[known] = words
        return found


class _Table:
    """How often each word followed each context; both together are one number, the word its lowest digit."""

    def __init__(self, keys: Longs, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._keys, self._counts = np.unique(keys, return_counts=True)
        self._running = np.concatenate([[0], np.cumsum(self._counts)])
        order = np.lexsort((-self._counts, self._keys // vocabulary))  # by context, the commonest word first
        self._contexts, first = np.unique(self._keys[order] // vocabulary, return_index=True)
        self._commonest = self._keys[order][first] % vocabulary

    def counts_of(self, keys: Longs) -> Longs:
        """How often each word followed its context."""
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._counts[places], 0)

    def counts_of_contexts(self, contexts: Longs) -> Longs:
        """How often each context occurred, whatever followed it."""
        first, last = (np.searchsorted(self._keys, (contexts + end) * self._vocabulary) for end in (0, 1))
        counts: Longs = self._running[last] - self._running[first]
        return counts

    def commonest_after(self, contexts: Longs) -> tuple[npt.NDArray[np.bool_], Longs]:
        """Which contexts are known, and the commonest word after each of these."""
        places = np.minimum(np.searchsorted(self._contexts, contexts), len(self._contexts) - 1)
        known = self._contexts[places] == contexts
        return known, self._commonest[places[known]]


def scores(train: Split, test: Split, vocabulary: int, order: int) -> tuple[float, float]:
    """Accuracy, in [0, 1], and perplexity on the test split's targets of words after the `order` - 1 before them."""
    grams = NGrams(train, vocabulary, order)
    right, logarithms, targets = 0, 0.0, 0
    for context, words in _targets(test, order):
        right += int((grams.answers(context, len(words)) == words).sum())
        logarithms += float(np.log(grams.probabilities(context, words)).sum())
        targets += len(words)
    return right / targets, float(np.exp(-logarithms / targets))


def _targets(test: Split, order: int) -> Iterator[tuple[list[Longs], Longs]]:
    """The words before each word that a window asks for, by distance, and these words; `<pad>` before the first."""
    for window, context_only in zip(test.sequences[0], test.labels.tolist(), strict=True):
        words = np.concatenate([np.zeros(order, np.int64), window.astype(np.int64)])
        first = order + 1 + context_only
        yield [words[first - back : len(words) - back] for back in range(order - 1, 0, -1)], words[first:]
