"""MNIST pixel by pixel (sMNIST) and in a fixed other order (psMNIST).

Sequential MNIST is from Le, Jaitly & Hinton 2015. Values in [0, 1], the bit-reversal order and the held-out images
are those of the reference code of S4 (state-spaces/s4, `src/dataloaders/basic.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.pictures import ORDERS, SIDE, Pictures, PublishedSettings, reordered, write_published
from spike_ssm.harness.data.readers import idx, originals, places
from spike_ssm.harness.data.splits import Scaling
from spike_ssm.harness.data.task import PictureTask
from spike_ssm.results.errors import UserError

CLASSES = 10

SIZES = {"train": 60_000, "test": 10_000}
"""Number of images published."""


def _mnist(files: Path) -> dict[str, tuple[Path, Path]]:
    return idx.find(files, places.MNIST_FOLDERS, "MNIST", places.MNIST_SOURCE)


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
        return {
            split: Pictures(*idx.read_labelled(*pair, (SIDE, SIDE), CLASSES, places.MNIST_SOURCE))
            for split, pair in paths.items()
        }


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
