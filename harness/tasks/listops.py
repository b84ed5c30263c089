"""ListOps: nested lists of MIN, MAX, MED and SM over digits; the answer is one digit.

The task is from Nangia & Bowman 2018, its long version from Tay et al. 2021 (Long Range Arena, LRA), whose
generator the trees follow. Random numbers, search and cache are ours: a data set is the same bytes on every
machine, Python version and number of threads, and takes seconds to make.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import ClassVar

import numba
import numpy as np
import numpy.typing as npt
from filelock import FileLock
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from harness.errors import UserError
from harness.tasks.base import Dataset, Split, Task, TaskSettings
from models.ops.threads import share_threads_with_numba

SYMBOLS = ("<pad>", "<unk>", "<eos>", *"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]")
"""What each token id stands for: LRA's 15 symbols without its parentheses, after padding, unknown and end."""

EOS, DIGIT, MIN, MAX, SM, CLOSE = map(SYMBOLS.index, ("<eos>", "0", "[MIN", "[MAX", "[SM", "]"))

GENERATOR_VERSION = 1
"""Part of the cache file's name. Count it up whenever the same settings would give other bytes."""

WAVE = 2**17
"""Candidates looked at together. The data set does not depend on it."""

PATIENCE = 4_000
"""The search gives up when, at the rate of the last wave, it would need more than this many further waves."""

LIMITS = {
    **dict.fromkeys(("min_length", "max_length"), (0, 100_000)),
    **dict.fromkeys(("max_depth", "max_arguments"), (2, 100)),
    **dict.fromkeys(("train", "validation", "test"), (1, 10_000_000)),
    "data_seed": (0, 2**63 - 1),
}
"""Lowest and highest value allowed of each setting."""

Integers = npt.NDArray[np.integer]


@dataclass
class ListOpsSettings(TaskSettings):
    """What to generate; the defaults are LRA's.

    Lengths count tokens without the end token; both bounds are exclusive: LRA's 501 to 1,999 tokens and an
    end token fit the usual 2,048 positions. At depth `max_depth` are only digits: operators nest at most
    `max_depth - 1` deep. Each has 2 to `max_arguments` arguments. Sizes count examples. Raises `UserError`.
    """

    name: str = "listops"
    min_length: int = 500
    max_length: int = 2000
    max_depth: int = 10
    max_arguments: int = 10
    train: int = 96_000
    validation: int = 2_000
    test: int = 2_000
    data_seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        for field, (low, high) in LIMITS.items():
            value = getattr(self, field)
            if not low <= value <= high:
                raise UserError(f"task.{field}={value} is not allowed: it must be from {low} to {high}.")
        if self.max_length - self.min_length < 2:
            raise UserError(
                f"task.max_length={self.max_length} is not allowed: both bounds are exclusive, so it must be "
                f"at least {self.min_length + 2} for task.min_length={self.min_length}."
            )


class ListOps(Task):
    """ListOps, generated once and then read from the cache. Tokens (see `SYMBOLS`) and labels are uint8."""

    shortcut: ClassVar[str] = "The commonest training answer of the outermost operator, the rest unread."

    def __init__(self, settings: ListOpsSettings) -> None:
        self.settings = settings

    def prepare(self, cache: Path) -> Dataset:
        """The data set. Raises `UserError`: `cache` not writable, its file damaged, or lengths too rare."""
        values = map(str, asdict(self.settings).values())
        path = cache / f"{'-'.join(values)}-v{GENERATOR_VERSION}.safetensors"
        if not path.exists():
            _save_once(path, self.settings)
        whole, sizes = _load(path), self.settings
        train = _cut(whole, 0, sizes.train)
        validation = _cut(whole, sizes.train, sizes.validation)
        test = _cut(whole, sizes.train + sizes.validation, sizes.test)
        shortcut = _accuracy(train, test, lambda split: split.tokens[split.offsets[:-1]])
        majority = _accuracy(train, test, lambda split: np.zeros(len(split), dtype=np.int64))
        return Dataset(train, validation, test, len(SYMBOLS), 10, shortcut, majority)


def _cut(whole: Split, start: int, size: int) -> Split:
    """The `size` examples from `start` on."""
    offsets = whole.offsets[start : start + size + 1]
    tokens = whole.tokens[offsets[0] : offsets[-1]]
    return Split(tokens, offsets - offsets[0], whole.labels[start : start + size])


def _accuracy(train: Split, test: Split, known: Callable[[Split], Integers]) -> float:
    """Test accuracy, in [0, 1], of the commonest training label for what is `known`: one token id each."""
    counts = np.zeros((len(SYMBOLS), 10), dtype=np.int64)
    np.add.at(counts, (known(train), train.labels), 1)
    # what training never showed gets the label commonest overall
    guess = np.where(counts.any(axis=1), counts.argmax(axis=1), counts.sum(axis=0).argmax())
    return float(np.mean(guess[known(test)] == test.labels))


def _save_once(path: Path, settings: ListOpsSettings) -> None:
    """Generate and publish `path`, unless another process does so first."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.exists():
                return
            arrays = vars(generate(settings))
            try:
                temporary.write_bytes(safetensors.save({**arrays, "sha256": _checksum(arrays)}))
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"The ListOps data cannot be written to {path.parent} ({error.strerror or error}): "
            "name a folder that can be written to with paths.cache=FOLDER."
        ) from error


def _load(path: Path) -> Split:
    """What `generate` returned. Raises `UserError` when it is damaged."""
    try:
        arrays = safetensors.load(path.read_bytes())
    except (OSError, SafetensorError):
        arrays = {}
    if not np.array_equal(arrays.pop("sha256", np.empty(0)), _checksum(arrays)):
        raise UserError(f"{path} is damaged or cannot be read: delete it and run again to make it anew.")
    return Split(**arrays)


def _checksum(arrays: dict[str, Integers]) -> Integers:
    """SHA-256 of names, types and contents, [32]."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def generate(settings: ListOpsSettings) -> Split:
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
    return Split(np.frombuffer(b"".join(sequences), np.uint8), offsets, np.array(answers, np.uint8))


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
    """The digit a sequence [length], without its end token, stands for."""
    stack = np.empty(len(tokens), np.int64)  # each open operator's token, followed by its values so far
    opened = np.empty(len(tokens), np.int64)  # where in the stack the open operators are
    top, depth = 0, 0
    for token in tokens:
        if token == CLOSE:
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
    return int(stack[0])


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
