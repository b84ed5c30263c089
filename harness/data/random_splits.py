"""Examples and documents drawn and divided at random, alike on every machine and with every version of NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.settings import LONGEST, PartSettings, TaskSettings
from spike_ssm.harness.data.splits import SPLITS
from spike_ssm.results.errors import UserError

LARGEST_SEED = 2**32 - 1
"""The largest seed of NumPy's legacy generator, from which everything here is drawn: its numbers never change."""

T = TypeVar("T")


def permutation(count: int, seed: int) -> npt.NDArray[np.int64]:
    """The numbers below `count`, in an order drawn from `seed`."""
    return np.random.RandomState(seed).permutation(count)


def draw_parts(
    parts: Mapping[str, Sequence[T]], settings: PartSettings, seed: int
) -> tuple[dict[str, list[T]], list[str]]:
    """The examples that `settings` ask for of each split, drawn at random, or all, and notes. Raises `UserError`."""
    chosen, notes = {}, []
    for split, examples in parts.items():
        count, wanted = len(examples), getattr(settings, split)
        if wanted is not None and wanted > count:
            raise UserError(f"task.{split}={wanted} is not allowed: there are {count} such examples; null is all.")
        if wanted is None or wanted == count:
            chosen[split] = list(examples)
        else:
            notes.append(f"Of the {count:,} {split} examples, {wanted:,} drawn at random are used.")
            chosen[split] = [examples[number] for number in permutation(count, seed)[:wanted]]
    return chosen, notes


@dataclass
class DividedSettings(TaskSettings):
    """Settings of data that are published undivided.

    The shares of the documents that become validation and test data are drawn by split_seed. Characters or words
    seen fewer than min_freq times in training are unknown. Raises `UserError`.
    """

    limits: ClassVar = {
        "min_freq": (1, LONGEST),
        "validation_share": (0.01, 0.49),
        "test_share": (0.01, 0.49),
        "split_seed": (0, LARGEST_SEED),
    }
    min_freq: int = 1
    validation_share: float = 0.1
    test_share: float = 0.1
    split_seed: int = 0


def divide(groups: Sequence[int], settings: DividedSettings) -> dict[str, list[int]]:
    """The numbers of each split's documents, in an order drawn at random.

    groups: the group of each document; the shares for validation and test, rounded, are taken of every group.
    """
    order = permutation(len(groups), settings.split_seed).tolist()
    split_of: dict[int, str] = {}
    for group in set(groups):
        members = [number for number in order if groups[number] == group]
        first = round(len(members) * settings.validation_share)
        second = first + round(len(members) * settings.test_share)
        split_of |= dict.fromkeys(members[:first], "validation") | dict.fromkeys(members[first:second], "test")
    return {split: [number for number in order if split_of.get(number, "train") == split] for split in SPLITS}
