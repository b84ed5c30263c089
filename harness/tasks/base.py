"""The interface every benchmark task has: settings in, a dataset of three splits and its baselines out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch


@dataclass
class TaskSettings:
    """What every task's settings have. Each task adds its own fields in a subclass."""

    name: str = "???"


@dataclass(frozen=True)
class Split:
    """Labelled sequences of different lengths, stored end to end.

    tokens [total] integer, offsets [n + 1] int64 (sequence i is `tokens[offsets[i]:offsets[i + 1]]`), labels [n].
    """

    tokens: npt.NDArray[np.integer]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each sequence, [n]."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Batch:
    """tokens [B, L] int64, padded with 0 on the right; lengths [B] int64; labels [B] int64; examples [B] int64."""

    tokens: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor
    examples: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Dataset:
    """Three splits, the sizes a network needs, and what can be had without reading the sequence.

    shortcut_accuracy and majority_accuracy are test accuracies, in [0, 1], of rules fitted on the training split.
    """

    train: Split
    validation: Split
    test: Split
    vocabulary: int
    classes: int
    shortcut_accuracy: float
    majority_accuracy: float


class Task(ABC):
    """A benchmark task. `shortcut` says in one sentence what its shortcut baseline is."""

    shortcut: ClassVar[str]

    @abstractmethod
    def prepare(self, cache: Path) -> Dataset:
        """The dataset, from `cache` when it has been prepared there before.

        Raises `UserError` when a file is missing or damaged.
        """


def collate(split: Split, examples: npt.NDArray[np.int64]) -> Batch:
    """The batch of these `examples`, padded to the longest of them."""
    lengths = split.lengths[examples]
    tokens = np.zeros((len(examples), int(lengths.max(initial=1))), dtype=np.int64)
    for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
        start = split.offsets[example]
        tokens[row, :length] = split.tokens[start : start + length]
    return Batch(
        torch.from_numpy(tokens),
        torch.from_numpy(lengths.astype(np.int64)),
        torch.from_numpy(split.labels[examples].astype(np.int64)),
        torch.from_numpy(examples.astype(np.int64)),
    )


def batches(
    split: Split, batch_size: int, order: npt.NDArray[np.int64] | None = None, pool: int = 1
) -> Iterator[Batch]:
    """Every example once (the last batch may be smaller), in `order` or as stored.

    With `pool > 1` each stretch of `pool` batches is sorted by length before it is cut, so that a batch needs little
    padding; which examples a stretch holds still follows from `order` alone, and the batches of a stretch are taken
    in an order drawn from it.
    """
    order = np.arange(len(split)) if order is None else order
    for start in range(0, len(order), batch_size * pool):
        stretch = order[start : start + batch_size * pool]
        if pool == 1:
            yield collate(split, stretch)
            continue
        by_length = np.argsort(split.lengths[stretch], kind="stable")
        places = np.split(by_length, range(batch_size, len(stretch), batch_size))
        for batch in sorted(places, key=lambda places: int(places[0])):
            yield collate(split, stretch[batch])
