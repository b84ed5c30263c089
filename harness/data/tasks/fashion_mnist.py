"""Fashion-MNIST pixel by pixel and in a fixed other order: photographs that stand in for MNIST, and for Image.

Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.pictures import (
    ORDERS,
    SIDE,
    SIDES,
    Pictures,
    PublishedSettings,
    reordered,
    resized,
    write_published,
)
from spike_ssm.harness.data.readers import idx, places
from spike_ssm.harness.data.splits import Scaling
from spike_ssm.harness.data.task import PictureTask

CLASSES = 10

SIZES = {"train": 60_000, "test": 10_000}
"""Number of images published."""

DEBIAN_FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
"""The folder of Debian's package dataset-fashion-mnist."""


def _fashion_mnist(files: Path) -> dict[str, tuple[Path, Path]]:
    """Among the `files`, or where Debian's package has them."""
    folders = (*places.FASHION_MNIST_FOLDERS, DEBIAN_FASHION_MNIST)
    return idx.find(files, folders, "Fashion-MNIST", places.FASHION_MNIST_SOURCE)


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
        found = {
            split: Pictures(*idx.read_labelled(*pair, (SIDE, SIDE), CLASSES, source))
            for split, pair in _fashion_mnist(files).items()
        }
        sized = {split: Pictures(resized(each.images, side), each.labels) for split, each in found.items()}
        notes = [SIDES[side], *write_published(preparation, self.in_order(sized), SIZES, self.settings)]
        return Facts(CLASSES, notes=tuple(filter(None, notes)))

    def in_order(self, pictures: Mapping[str, Pictures]) -> Mapping[str, Pictures]:
        """The pictures of each set, their pixels in the order in which they are read: row by row."""
        return pictures


@dataclass
class PsFashionMnistSettings(FashionMnistSettings):
    """Fashion-MNIST with its pixels in a fixed order, as `PsMnistSettings` has it. Raises `UserError`."""

    choices: ClassVar = {"permutation": tuple(ORDERS)}
    name: str = "ps_fashion_mnist"
    permutation: str = "bit_reversal"


class PsFashionMnist(FashionMnist):
    """Which of ten kinds of clothing a photograph shows, the pixels of all in the same other order."""

    def in_order(self, pictures: Mapping[str, Pictures]) -> Mapping[str, Pictures]:
        """The pictures of each set in the settings' order."""
        return {split: reordered(each, self.settings.permutation) for split, each in pictures.items()}
