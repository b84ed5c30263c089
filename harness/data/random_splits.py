"""How examples and documents are drawn and divided at random: the same on every machine and with every NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.settings import LONGEST, TaskSettings
from spike_ssm.harness.data.splits import SPLITS
from spike_ssm.results.errors import UserError

LARGEST_SEED = 2**32 - 1
"""The largest seed of NumPy's legacy generator, from which everything here is drawn: its numbers never change."""

T = TypeVar("T")


def permutation(count: int, seed: int) -> npt.NDArray[np.int64]:
    """The numbers below `count`, in an order drawn from `seed`."""
    return np.random.RandomState(seed).permutation(count)


def drawn(examples: Sequence[T], wanted: int | None, split: str, seed: int) -> tuple[list[T], list[str]]:
    """`wanted` of a split's examples, drawn at random, and a note on it; all of them if None. Raises `UserError`."""
    if wanted is None or wanted == len(examples):
        return list(examples), []
    if wanted > len(examples):
        raise UserError(f"task.{split}={wanted} is not allowed: there are {len(examples)} such examples; null is all.")
    note = f"Of the {len(examples):,} {split} examples, {wanted:,} drawn at random are used."
    return [examples[number] for number in permutation(len(examples), seed)[:wanted]], [note]


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
    """The numbers of each split's documents, in an order drawn at random; `groups` says which group each is of.

    Of every group the same shares become validation and test documents, rounded.
    """
    order = permutation(len(groups), settings.split_seed).tolist()
    split_of: dict[int, str] = {}
    for group in set(groups):
        members = [number for number in order if groups[number] == group]
        first = round(len(members) * settings.validation_share)
        second = first + round(len(members) * settings.test_share)
        split_of |= dict.fromkeys(members[:first], "validation") | dict.fromkeys(members[first:second], "test")
    return {split: [number for number in order if split_of.get(number, "train") == split] for split in SPLITS}
