"""ListOps' examples: generated, which takes seconds, or as Long Range Arena (LRA) released them, each one evaluated.

Random numbers and search are ours: a data set is the same bytes on every machine, Python version and number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Protocol

import numba
import numpy as np

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.readers import places
from spike_ssm.harness.data.readers.common import copy_notes, wrong_line
from spike_ssm.harness.data.readers.tsv import ListOpsRow, read_listops
from spike_ssm.harness.data.splits import Flat, Integers, Shard
from spike_ssm.harness.data.threads import share_threads_with_numba
from spike_ssm.harness.data.vocabulary import LISTOPS as SYMBOLS
from spike_ssm.results.errors import UserError

EOS, DIGIT, MIN, MAX, SM, CLOSE = map(SYMBOLS.index, ("<eos>", "0", "[MIN", "[MAX", "[SM", "]"))

WAVE = 2**17
"""Candidates per wave of the search. The data set does not depend on it."""

PATIENCE = 4_000
"""Largest number of further waves, at the rate of the last one, before the search gives up."""

SIZES = {"train": 96_000, "validation": 2_000, "test": 2_000}

TOKEN_OF = {symbol: token for token, symbol in enumerate(SYMBOLS) if not symbol.startswith("<")}

NO_EXPRESSION = "the expression is empty, or its brackets or parentheses do not match"

PARENTHESES = str.maketrans("", "", "()")
"""Translation that deletes the parentheses round every application, as LRA's and S4's readers do."""


class Wish(Protocol):
    """What is generated, see `listops.ListOpsSettings`."""

    min_length: int
    max_length: int
    max_depth: int
    max_arguments: int
    train: int
    validation: int
    test: int
    data_seed: int


# --- as released


def write_released(preparation: Preparation, paths: Mapping[str, Path]) -> tuple[str, ...]:
    """Write the three splits, each sequence ending with `<eos>`, and return notes on this copy.

    paths: by split, the files of `listops.FILES`. Raises `UserError`: a file is damaged, holds another symbol, what is
    no expression, or a label that is not its value.
    """
    share_threads_with_numba()
    shards = {split: _read(path) for split, path in paths.items()}
    for split, path in paths.items():
        _check(path, shards[split])
    notes = []
    for split, shard in shards.items():
        preparation.write(split, 0, lambda shard=shard: shard)  # type: ignore[misc]
        notes += copy_notes(len(shard.labels), SIZES[split], f"{split} examples")
    return tuple(notes)


def _check(path: Path, shard: Shard) -> None:
    """Raise `UserError` for the first row whose label is not what its expression stands for."""
    (sequences,) = shard.sequences
    values = _evaluate_all(*sequences)
    for row in np.flatnonzero(values != shard.labels)[:1].tolist():
        value, label = int(values[row]), int(shard.labels[row])
        problem = f"the label is {label}, but the value of the expression is {value}"
        raise _wrong(path, row + 2, NO_EXPRESSION if value < 0 else problem)  # the header is line 1


def _read(path: Path) -> Shard:
    tokens, offsets, labels = bytearray(), [0], bytearray()
    for row in read_listops(path):
        tokens += bytes(_tokens(path, row))
        tokens.append(EOS)
        offsets.append(len(tokens))
        labels.append(row.target)
    return Shard((Flat(np.frombuffer(tokens, np.uint8), np.array(offsets, np.int64)),), np.frombuffer(labels, np.uint8))


def _tokens(path: Path, row: ListOpsRow) -> list[int]:
    if row.source.count("(") != row.source.count(")"):
        raise _wrong(path, row.line, NO_EXPRESSION)
    symbols = row.source.translate(PARENTHESES).split()
    try:
        return [TOKEN_OF[symbol] for symbol in symbols]
    except KeyError as error:
        problem = f"the symbol {error.args[0][:40]!r} is none of ListOps', which are {' '.join(TOKEN_OF)}"
        raise _wrong(path, row.line, problem) from error


def _wrong(path: Path, line: int, problem: str) -> UserError:
    return wrong_line(f"{path}, line {line}", problem, places.LRA_SOURCE)


# --- generated


def generate(settings: Wish) -> Shard:
    """Train, validation and test end to end: tokens and labels uint8, each sequence ending with `<eos>`.

    Candidates are numbered from 0, each drawn from `data_seed` and its number alone. Those of a length asked
    for are taken in order, without repeats. Raises `UserError` when such lengths are too rare.
    """
    share_threads_with_numba()
    wanted = settings.train + settings.validation + settings.test
    tree = (np.uint64(settings.data_seed), settings.max_depth, settings.max_arguments)
    found: dict[bytes, int] = {}
    for wave in count():
        before = len(found)
        lengths = _measure(tree, wave * WAVE, settings.max_length - 1)
        kept = np.flatnonzero(lengths > settings.min_length)
        offsets = np.concatenate([[0], np.cumsum(lengths[kept] + 1)])
        tokens, labels = _write(tree, wave * WAVE + kept, offsets)
        for start, end, label in zip(offsets[:-1], offsets[1:], labels, strict=True):
            found.setdefault(tokens[start:end].tobytes(), label)
        if len(found) >= wanted:
            break
        if wanted - len(found) > PATIENCE * (len(found) - before):
            raise UserError(
                f"Only {len(found)} of {wanted} different ListOps examples longer than task.min_length="
                f"{settings.min_length} and shorter than task.max_length={settings.max_length} were found in "
                f"{(wave + 1) * WAVE} trees: widen the range, or lower task.train, validation and test."
            )
    sequences, answers = list(found)[:wanted], list(found.values())[:wanted]
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    return Shard((Flat(np.frombuffer(b"".join(sequences), np.uint8), offsets),), np.array(answers, np.uint8))


# The kernels are all in this file, because numba's cache does not notice a change in another one

GAMMA = np.uint64(0x9E3779B97F4A7C15)
Tree = tuple[np.uint64, int, int]  # seed, max_depth, max_arguments


@numba.njit(cache=True)
def _mix(z: np.uint64) -> np.uint64:
    """SplitMix64's scrambling (Steele et al. 2014): z = s + k * GAMMA gives the k-th word of stream s."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def _grow(tree: Tree, candidate: int, tokens: Integers) -> int:
    """Write a candidate's tree to `tokens` and return its length, or 0 as soon as it is sure not to fit.

    One word decides a node: the top two bits if it is an operator (1 in 4), the next two which, the low half
    the digit or the number of arguments (as a fraction of 2^32: chances differ by at most 1 in 2^32).
    """
    seed, max_depth, max_arguments = tree
    stream = _mix(_mix(seed) + np.uint64(candidate) * GAMMA)
    missing = np.empty(max_depth, np.int64)  # arguments yet to come of each open operator
    length, depth, least = 0, 0, 1  # least: the length when all nodes to come are digits
    while length < least:
        stream += GAMMA
        word = _mix(stream)
        low = word & np.uint64(0xFFFFFFFF)
        if depth < max_depth - 1 and word >> np.uint64(62) == 0:
            missing[depth] = 2 + np.int64(low * np.uint64(max_arguments - 1) >> np.uint64(32))
            least += missing[depth] + 1
            if least > len(tokens):
                return 0
            tokens[length] = MIN + np.int64(word >> np.uint64(60))
            depth, length = depth + 1, length + 1
            continue
        tokens[length] = DIGIT + np.int64(low * np.uint64(10) >> np.uint64(32))
        length += 1
        while depth > 0:
            missing[depth - 1] -= 1
            if missing[depth - 1] > 0:
                break
            tokens[length] = CLOSE
            depth, length = depth - 1, length + 1
    return length


@numba.njit(cache=True)
def _apply(operator: int, arguments: Integers) -> int:
    """The digit an operator's token gives for its `arguments` [2 or more]."""
    if operator == MIN:
        return int(arguments.min())
    if operator == MAX:
        return int(arguments.max())
    if operator == SM:
        return int(arguments.sum() % 10)
    ordered = np.sort(arguments)  # MED of an even number: the mean of the middle two, rounded down
    return int((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2)


@numba.njit(cache=True)
def _evaluate(tokens: Integers) -> int:
    """The digit a sequence [length], without its end token, stands for; -1 where it is no expression."""
    stack = np.empty(len(tokens), np.int64)  # each open operator's token, followed by its values so far
    opened = np.empty(len(tokens), np.int64)  # where in the stack the open operators are
    top, depth = 0, 0
    for token in tokens:
        if token == CLOSE:
            if depth == 0 or opened[depth - 1] == top - 1:  # nothing to close, or nothing in it
                return -1
            depth -= 1
            operator = opened[depth]
            stack[operator] = _apply(stack[operator], stack[operator + 1 : top])
            top = operator + 1
        else:
            if token >= MIN:
                opened[depth] = top
                depth += 1
            stack[top] = token if token >= MIN else token - DIGIT
            top += 1
    return int(stack[0]) if top == 1 and depth == 0 else -1


@numba.njit(parallel=True, cache=True)
def _evaluate_all(tokens: Integers, offsets: Integers) -> Integers:
    """What each sequence stands for, as in `_evaluate`, [n]; each ends with its end token."""
    values = np.empty(len(offsets) - 1, np.int64)
    for i in numba.prange(len(values)):
        values[i] = _evaluate(tokens[offsets[i] : offsets[i + 1] - 1])
    return values


@numba.njit(parallel=True, cache=True)
def _measure(tree: Tree, first: int, longest: int) -> Integers:
    """Lengths [WAVE] of the candidates from `first` on, 0 for those over `longest`."""
    lengths = np.empty(WAVE, np.int64)
    for i in numba.prange(WAVE):
        lengths[i] = _grow(tree, first + i, np.empty(longest, np.uint8))
    return lengths


@numba.njit(parallel=True, cache=True)
def _write(tree: Tree, candidates: Integers, offsets: Integers) -> tuple[Integers, Integers]:
    """Tokens [offsets[-1]], each sequence with its end token, and labels [n] of `candidates` [n]."""
    tokens, labels = np.empty(offsets[-1], np.uint8), np.empty(len(candidates), np.uint8)
    for i in numba.prange(len(candidates)):
        sequence = tokens[offsets[i] : offsets[i + 1] - 1]
        _grow(tree, candidates[i], sequence)
        labels[i] = _evaluate(sequence)
        tokens[offsets[i + 1] - 1] = EOS
    return tokens, labels
