"""Long Range Arena's Image: CIFAR-10 in grey, as sequences of 1,024 grey levels.

The conversion to grey and the held-out validation images are, to the bit, those of the reference code of S4
(state-spaces/s4, `src/dataloaders/base.py` and `basic.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.pictures import Pictures, PublishedSettings, write_published
from spike_ssm.harness.data.readers import cifar, originals, places
from spike_ssm.harness.data.splits import Scaling
from spike_ssm.harness.data.task import PictureTask
from spike_ssm.results.errors import UserError

CLASSES = 10

SIZES = {"train": 50_000, "test": 10_000}
"""Number of images published."""

GREY_WEIGHTS = (19595, 38470, 7471)
"""Weights of red, green and blue, in 1/65,536: the luma of ITU-R BT.601 as Pillow and torchvision round it."""


@dataclass
class ImageSettings(PublishedSettings):
    """CIFAR-10 in grey, 32 x 32."""

    name: str = "image"


class Image(PictureTask):
    """Which of ten objects a photograph shows: sequences of 1,024 grey levels."""

    scaling: ClassVar[Scaling] = Scaling(122.6 / 255, 61 / 255)
    source: ClassVar[str] = "CIFAR-10 (Krizhevsky 2009), which states no licence and asks to be cited."
    stand_in: ClassVar[str | None] = "task=mnist_digits scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """The six pickles of CIFAR-10, or copies of the hub's files."""
        return originals.or_copies(
            lambda: [_folder(files) / name for names in cifar.BATCHES.values() for name in names], "cifar10", files
        )

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits. Raises `UserError` when images are missing or more are asked for than there are."""
        pictures = {split: Pictures(grey(colour), labels) for split, (colour, labels) in _read(files).items()}
        return Facts(CLASSES, notes=tuple(write_published(preparation, pictures, SIZES, self.settings)))


def _folder(files: Path) -> Path:
    return originals.find(files, places.CIFAR10_FOLDERS, "cifar-10-python", "CIFAR-10", places.CIFAR10_SOURCE)


def _read(files: Path) -> dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]]:
    """Colour images and labels of CIFAR-10, from its folder, its archive, a copy of the hub's files, or the hub."""
    try:
        folder = _folder(files)
    except UserError as missing:
        splits = originals.from_hub("cifar10", ("train", "test"), files, missing)
        return {split: (rows.images(), rows.labels()) for split, rows in splits.items()}
    return {split: cifar.read(folder, split) for split in ("train", "test")}


def grey(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colour images [n, 3, height, width] in grey, [n, height, width], rounded as Pillow's mode "L" is."""
    luma = np.full((len(images), *images.shape[2:]), 2**15, np.uint32)
    for channel, weight in enumerate(GREY_WEIGHTS):
        luma += np.multiply(images[:, channel], weight, dtype=np.uint32)
    return (luma >> 16).astype(np.uint8)
