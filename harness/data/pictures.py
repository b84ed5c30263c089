"""Images as sequences of grey levels, and what tasks of published images share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.random_splits import LARGEST_SEED, draw_parts
from spike_ssm.harness.data.readers.common import copy_notes
from spike_ssm.harness.data.settings import PartSettings
from spike_ssm.harness.data.splits import Flat, Shard
from spike_ssm.results.errors import UserError

SIDE = 28
"""Rows, and pixels per row, of the images of MNIST and of Fashion-MNIST, as published."""

SIDES = {
    14: "Images are reduced to 14 x 14 pixels, each the mean of 2 x 2.",
    28: None,
    32: "Images are padded to 32 x 32 pixels.",
}
"""Side, in pixels, that the stand-ins' images can have -> a note on it."""


@dataclass(frozen=True)
class Pictures:
    """Grey images uint8 [n, height, width], or colour images [n, 3, height, width], and their labels [n]."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: npt.NDArray[np.int64]) -> Pictures:
        """The pictures at `index` [m]."""
        return Pictures(self.images[index], self.labels[index])

    def shard(self) -> Shard:
        """Each grey image as a sequence, row by row; labels uint8."""
        count, height, width = self.images.shape
        offsets = np.arange(count + 1, dtype=np.int64) * (height * width)
        return Shard((Flat(self.images.reshape(-1), offsets),), self.labels.astype(np.uint8))


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


def torch_permutation(count: int, seed: int) -> npt.NDArray[np.int64]:
    """The numbers below `count` in the order of `torch.utils.data.random_split` with a generator of this seed."""
    import torch  # seconds, and only for who divides images

    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).numpy()


@dataclass
class PublishedSettings(PartSettings):
    """Settings of images published as a training and a test set, without a validation set.

    validation_share of the training set, in [0, 1], is held out for validation, drawn by split_seed; S4's are the
    defaults. train, validation, test: number of images used of each split, drawn at random; null: all. Raises
    `UserError`.
    """

    limits: ClassVar = {"validation_share": (0, 1), "split_seed": (0, LARGEST_SEED)}
    validation_share: float = 0.1
    split_seed: int = 42


def write_published(
    preparation: Preparation, published: Mapping[str, Pictures], sizes: Mapping[str, int], settings: PublishedSettings
) -> list[str]:
    """Write three splits of the `published` sets `train` and `test`, and return notes on what was left out.

    sizes: number of images that each set has as published. Raises `UserError` when more images are asked for than
    there are.
    """
    notes = [
        note
        for name, each in (("train", "training"), ("test", "test"))
        for note in copy_notes(len(published[name]), sizes[name], f"{each} images")
    ]
    order = torch_permutation(len(published["train"]), settings.split_seed)
    kept = int(len(order) * (1.0 - settings.validation_share))
    parts = {
        "train": order[:kept].tolist(),
        "validation": order[kept:].tolist(),
        "test": range(len(published["test"])),
    }
    for split, index in parts.items():
        if len(index) == 0:
            raise UserError(f"The {split} split would be empty: change task.validation_share.")
    chosen, drawing = draw_parts(parts, settings, settings.split_seed)
    for split, numbers in chosen.items():
        pictures = published["test" if split == "test" else "train"]
        preparation.write(split, 0, pictures.take(np.array(numbers)).shard)
    return [*notes, *drawing]
