"""MNIST pixel by pixel (sMNIST) and in a fixed other order (psMNIST), and what its stand-ins share with it.

Sequential MNIST is from Le, Jaitly & Hinton 2015. Values in [0, 1], the bit-reversal order and the held-out images
are those of the reference code of S4 (state-spaces/s4, `src/dataloaders/basic.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.pictures import Pictures, PublishedSettings, write_published
from spike_ssm.harness.data.readers import idx, originals, places
from spike_ssm.harness.data.readers.common import damaged, find_file
from spike_ssm.harness.data.splits import Scaling
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


def bit_reversal(length: int) -> npt.NDArray[np.int64]:
    """The numbers below `length` in the order of their binary digits read backwards, [length]."""
    digits = (length - 1).bit_length()
    backwards = [int(f"{number:0{digits}b}"[::-1], 2) for number in range(2**digits)]
    return np.array([number for number in backwards if number < length])


def random_order(length: int) -> npt.NDArray[np.int64]:
    """The permutation [length] that most works before S4 share, of NumPy's legacy generator with seed 92916."""
    return np.random.RandomState(92916).permutation(length)


ORDERS = {"bit_reversal": bit_reversal, "random": random_order}
"""Names of orders other than row by row -> the order of so many pixels."""


def reordered(pictures: Pictures, permutation: str) -> Pictures:
    """The pictures with their pixels in one of `ORDERS`, as pictures of the same shape."""
    count, height, width = pictures.images.shape
    pixels = pictures.images.reshape(count, -1)[:, ORDERS[permutation](height * width)]
    return Pictures(pixels.reshape(count, height, width), pictures.labels)


def resized(images: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Images [n, 28, 28] in `side` x `side` pixels: 14, each the rounded mean of 2 x 2, 28, or 32, with a black rim."""
    if side == SIDE // 2:
        sums: npt.NDArray[np.uint16] = images.reshape(-1, side, 2, side, 2).sum(axis=(2, 4), dtype=np.uint16)
        return ((sums + 2) // 4).astype(np.uint8)
    rim = (side - SIDE) // 2
    return np.pad(images, ((0, 0), (rim, rim), (rim, rim)))


def find_idx(files: Path, folders: Sequence[str], what: str, source: str) -> dict[str, tuple[Path, Path]]:
    """The files of images and of labels of each set, compressed or not. Raises `UserError` if one is missing."""

    def find(name: str) -> Path:
        return find_file(files, places.inside(folders, name, f"{name}.gz"), f"{what}'s {name}", source)

    return {
        split: (find(f"{stem}-images-idx3-ubyte"), find(f"{stem}-labels-idx1-ubyte")) for split, stem in STEMS.items()
    }


def _mnist(files: Path) -> dict[str, tuple[Path, Path]]:
    return find_idx(files, places.MNIST_FOLDERS, "MNIST", places.MNIST_SOURCE)


def read_idx(images_path: Path, labels_path: Path, source: str) -> Pictures:
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
        return {split: read_idx(*pair, places.MNIST_SOURCE) for split, pair in paths.items()}


@dataclass
class PsMnistSettings(PublishedSettings):
    """MNIST with its pixels in a fixed order: `bit_reversal`, as in S4, or `random`. Raises `UserError`."""

    choices: ClassVar = {"permutation": tuple(ORDERS)}
    name: str = "psmnist"
    permutation: str = "bit_reversal"


class PsMnist(SMnist):
    """Which digit someone wrote, the pixels of every image in the same other order."""

    def read(self, files: Path) -> Mapping[str, Pictures]:
        """MNIST as in `SMnist`, its pixels reordered."""
        order = self.settings.permutation
        return {split: reordered(pictures, order) for split, pictures in super().read(files).items()}
