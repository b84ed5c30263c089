"""Labelled sequences and the batches cut from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch  # imported where tensors are made: seconds, which who only lists tasks does without

Integers = npt.NDArray[np.integer]


class Flat(NamedTuple):
    """Sequences end to end: sequence i is `values[offsets[i]:offsets[i + 1]]`; values [total], offsets [n + 1]."""

    values: Integers
    offsets: Integers


class Sequences:
    """n integer sequences of different lengths, stored end to end in one or more parts, which may be memory maps."""

    def __init__(self, *parts: Flat) -> None:
        self.parts = parts
        self._first = np.cumsum([0, *(len(part.offsets) - 1 for part in parts)])

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index: int) -> Integers:
        """Sequence `index`, a view [length]."""
        part = int(np.searchsorted(self._first, index, side="right")) - 1
        values, offsets = self.parts[part]
        place = index - int(self._first[part])
        return values[offsets[place] : offsets[place + 1]]

    def __iter__(self) -> Iterator[Integers]:
        for values, offsets in self.parts:
            for start, end in pairwise(offsets.tolist()):
                yield values[start:end]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Length of each sequence, [n]."""
        return np.concatenate([np.zeros(0, np.int64), *(np.diff(part.offsets).astype(np.int64) for part in self.parts)])


@dataclass(frozen=True)
class Shard:
    """A part of a split, as it is stored: its examples' sequences (two of a pair) and labels [n]."""

    sequences: tuple[Flat, ...]
    labels: Integers


class Scaling(NamedTuple):
    """The map from integers to real numbers: (value / 255 - mean) / deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Split:
    """n examples: one sequence each (two per pair) and labels [n].

    Without `scaling` the sequences are tokens, with it grey levels from 0 to 255. Where `predicts_next` is set, an
    example is a window of text: each token is to be predicted from those before it, but for the first, and but for
    as many further ones as its label says, which are context only.
    """

    sequences: tuple[Sequences, ...]
    labels: Integers
    scaling: Scaling | None = field(default=None, kw_only=True)
    predicts_next: bool = field(default=False, kw_only=True)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each example, of the longer sequence of a pair, [n]."""
        return np.max([sequences.lengths for sequences in self.sequences], axis=0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Batch:
    """Sequences padded with 0 on the right, and the answers asked for.

    inputs [S, L] int64 tokens or float32 values, lengths [S] int64, labels [B] int64 and examples [B] int64. S = B, but
    for pairs S = 2B: the first of each pair, then the second of each. Where the next token is to be predicted, labels
    are [B, L], `IGNORED` where nothing is.
    """

    inputs: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor
    examples: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch with inputs and labels on `device`; lengths and the examples' numbers stay on the CPU."""
        return replace(self, inputs=self.inputs.to(device), labels=self.labels.to(device))

    @property
    def targets(self) -> int:
        """Number of answers asked for."""
        from spike_ssm.models.network import IGNORED

        return int((self.labels != IGNORED).sum())

    def part(self, number: int, parts: int) -> Batch:
        """Every `parts`-th example from `number` on, padded as before."""
        sequences = len(self.inputs) // max(len(self.examples), 1)  # 2 for pairs

        def taken(rows: torch.Tensor) -> torch.Tensor:
            grouped: torch.Tensor = rows.unflatten(0, (sequences, -1))
            return grouped[:, number::parts].flatten(0, 1)

        chosen = slice(number, None, parts)
        return Batch(taken(self.inputs), taken(self.lengths), self.labels[chosen], self.examples[chosen])


def collate(split: Split, examples: npt.NDArray[np.int64]) -> Batch:
    """The batch of these `examples`, padded to the longest of them."""
    import torch

    from spike_ssm.models.network import IGNORED

    rows = [sequences[example] for sequences in split.sequences for example in examples.tolist()]
    labels = torch.from_numpy(split.labels[examples].astype(np.int64))
    if split.predicts_next:
        targets = _padded([row[1:] for row in rows], IGNORED)
        steps = torch.arange(targets.shape[1])
        labels = targets.masked_fill(steps < labels[:, None], IGNORED)
        rows = [row[:-1] for row in rows]
    inputs = _padded(rows, 0)
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    if split.scaling is not None:
        real = torch.arange(inputs.shape[1]) < lengths[:, None]
        inputs = ((inputs / 255 - split.scaling.mean) / split.scaling.deviation) * real
    return Batch(inputs, lengths, labels, torch.from_numpy(examples.astype(np.int64)))


def _padded(rows: list[Integers], padding: int) -> torch.Tensor:
    """[len(rows), longest] int64."""
    import torch

    padded = np.full((len(rows), max(map(len, rows), default=0)), padding, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return torch.from_numpy(padded)


def batches(
    split: Split,
    batch_size: int,
    order: npt.NDArray[np.int64] | None = None,
    pool: int = 1,
    *,
    start: int = 0,
    every: int = 1,
) -> Iterator[Batch]:
    """Every example once (the last batch may be smaller), in `order` or as stored; of the batches, those from
    number `start` on, or every `every`-th of them.

    With `pool > 1` each stretch of `pool` batches is sorted by length before it is cut, so that a batch needs little
    padding; which examples a stretch holds still follows from `order` alone, and the batches of a stretch are taken
    in an order drawn from it.
    """
    order = np.arange(len(split)) if order is None else order
    for examples in islice(_cut(split, batch_size, order, pool), start, None, every):
        yield collate(split, examples)


def _cut(split: Split, batch_size: int, order: npt.NDArray[np.int64], pool: int) -> Iterator[npt.NDArray[np.int64]]:
    """The examples of each batch."""
    for start in range(0, len(order), batch_size * pool):
        stretch = order[start : start + batch_size * pool]
        if pool == 1:
            yield stretch
            continue
        by_length = np.argsort(split.lengths[stretch], kind="stable")
        places = np.split(by_length, range(batch_size, len(stretch), batch_size))
        for batch in sorted(places, key=lambda places: int(places[0])):
            yield stretch[batch]


def in_document_order(split: Split, batch_size: int) -> npt.NDArray[np.int64]:
    """All examples such that each row of a batch is followed, in the next batch, by what follows it in the text.

    What does not fill a batch, less than one batch's worth at the end of the text, comes last.
    """
    rows = len(split) // batch_size
    whole = np.arange(rows * batch_size).reshape(batch_size, rows).T.ravel()
    return np.concatenate([whole, np.arange(len(whole), len(split))])


SPLITS = ("train", "validation", "test")


SPECIAL = ("<pad>", "<unk>", "<eos>")
