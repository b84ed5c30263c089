"""Texts as tokens: vocabularies made from the training split, and labelled texts encoded with them.

Token 0 is padding, 1 whatever the vocabulary lacks, 2 the end of a sequence, as in the reference code of S4
(state-spaces/s4, `src/dataloaders/lra.py`), which also cuts texts before it counts their characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice

import numpy as np

from spike_ssm.harness.data.splits import SPECIAL, SPLITS, Flat, Shard
from spike_ssm.results.errors import UserError

UNKNOWN, EOS = map(SPECIAL.index, ("<unk>", "<eos>"))

LISTOPS = (*SPECIAL, *"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]")
"""Symbol of each token of ListOps: LRA's 15 symbols without its parentheses, after padding, unknown and end."""

SHARD = 4096
"""Examples per file."""

CODE_POINTS = 0x110000
"""Number of code points that Unicode has."""


Example = tuple[tuple[str, ...], int]
"""A text, or the two of a pair, and its label."""


def vocabulary(counts: Mapping[str, int], min_freq: int) -> list[str]:
    """The symbol of each token: `SPECIAL`, then all that were seen at least `min_freq` times.

    The commonest comes first, and of equally common ones the first by code point.
    """
    kept = [symbol for symbol, count in counts.items() if count >= min_freq and symbol not in SPECIAL]
    return [*SPECIAL, *sorted(kept, key=lambda symbol: (-counts[symbol], symbol))]


def token_type(symbols: list[str]) -> np.dtype[np.integer]:
    """The smallest of uint8, uint16 and int32 that holds every token."""
    fitting = np.min_scalar_type(len(symbols) - 1)
    return fitting if fitting.itemsize <= 2 else np.dtype(np.int32)


def encode_characters(texts: Iterable[str], symbols: list[str], max_length: int) -> Flat:
    """Each text's first `max_length - 1` characters as tokens, then `<eos>`."""
    tokens = np.full(CODE_POINTS, UNKNOWN, token_type(symbols))
    for token, character in enumerate(symbols[len(SPECIAL) :], len(SPECIAL)):
        tokens[ord(character)] = token
    end = np.array([EOS], tokens.dtype)
    parts, offsets = [np.zeros(0, tokens.dtype)], [0]
    for text in texts:
        codes = np.frombuffer(text[: max_length - 1].encode("utf-32-le"), np.uint32)
        parts += [tokens[codes], end]
        offsets.append(offsets[-1] + len(codes) + 1)
    return Flat(np.concatenate(parts), np.array(offsets, np.int64))


def write_examples(
    write: Callable[[str, int, Callable[[], Shard]], None],
    examples: Mapping[str, Iterable[Example]],
    max_length: int,
    min_freq: int,
) -> list[str]:
    """Write every split's examples, character by character, and return the symbol of each token.

    write: `Preparation.write`, which takes a split, the number of a shard and what makes it.

    The examples are gone through twice. Raises `UserError` when a split has none.
    """
    counts = _count_characters(examples, max_length)
    symbols = vocabulary(counts, min_freq)
    for split in SPLITS:
        for number, part in enumerate(_parts(examples[split])):
            write(split, number, partial(_encode, part, symbols, max_length))
    return symbols


def _count_characters(examples: Mapping[str, Iterable[Example]], max_length: int) -> Counter[str]:
    """Counts of the training split's symbols. All splits are read: a fault is found before anything is written."""
    counts: Counter[str] = Counter()
    for split in SPLITS:
        empty = True
        for texts, _ in examples[split]:
            empty = False
            if split == "train":
                for text in texts:
                    counts.update(text[: max_length - 1])
        if empty:
            raise UserError(f"The {split} split would have no example: the data, or the task's settings, give it none.")
    return counts


def _parts(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """The examples in lists of `SHARD`, the last of which may be shorter."""
    left = iter(examples)
    while part := list(islice(left, SHARD)):
        yield part


def _encode(examples: list[Example], symbols: list[str], max_length: int) -> Shard:
    texts, labels = zip(*examples, strict=True)
    sequences = tuple(encode_characters(column, symbols, max_length) for column in zip(*texts, strict=True))
    return Shard(sequences, np.array(labels, np.uint8))
