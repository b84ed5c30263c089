"""Images as sequences of grey levels: what such tasks share, and Long Range Arena's Image, which is CIFAR-10 in grey.

The conversion to grey and the held-out validation images are, to the bit, those of the reference code of S4
(state-spaces/s4, `src/dataloaders/base.py` and `basic.py`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from spike_ssm.harness.data.baselines import brightness, majority_accuracy, number_accuracy
from spike_ssm.harness.data.cache import SPLITS, Preparation, Shard
from spike_ssm.harness.data.checks import check_range, check_size
from spike_ssm.harness.data.random_splits import LARGEST_SEED, drawn
from spike_ssm.harness.data.readers import cifar, originals, places
from spike_ssm.harness.data.splits import Flat, Scaling, Split
from spike_ssm.harness.data.task import Baselines, Facts, Task, TaskSettings
from spike_ssm.results.errors import UserError

GREY_WEIGHTS = (19595, 38470, 7471)
"""Of red, green and blue, in 1/65,536: the luma of ITU-R BT.601 as Pillow, and with it torchvision, rounds it."""


@dataclass(frozen=True)
class Pictures:
    """Grey images uint8 [n, height, width], or colour images [n, 3, height, width], and their labels [n]."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: npt.NDArray[np.int64]) -> Pictures:
        """Those at `index` [m]."""
        return Pictures(self.images[index], self.labels[index])

    def shard(self) -> Shard:
        """Each grey image as a sequence, row by row; labels uint8."""
        count, height, width = self.images.shape
        offsets = np.arange(count + 1, dtype=np.int64) * (height * width)
        return Shard((Flat(self.images.reshape(-1), offsets),), self.labels.astype(np.uint8))


def shuffled(count: int, seed: int) -> npt.NDArray[np.int64]:
    """The numbers below `count` in the order of `torch.utils.data.random_split` with a generator of this seed."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)).numpy()


class PictureTask(Task):
    """A task whose sequences are images. The shortcut is the image's brightness."""

    picture: ClassVar[bool] = True
    shortcut: ClassVar[str] = (
        "The commonest training answer among the images about as bright (of 32 groups by mean grey level)."
    )

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """What an image's mean grey level tells, and the answer commonest of all."""
        return Baselines(
            shortcut_accuracy=number_accuracy(train, test, facts.classes, brightness),
            majority_accuracy=majority_accuracy(train, test),
        )


@dataclass
class PublishedSettings(TaskSettings):
    """For images published as a training and a test set, without a validation set.

    validation_share of the training set, in [0, 1], is held out for validation, drawn by split_seed; S4's are the
    defaults. train, validation, test: how many images of each split to use, drawn at random; null: all. Raises
    `UserError`.
    """

    validation_share: float = 0.1
    split_seed: int = 42
    train: int | None = None
    validation: int | None = None
    test: int | None = None

    def __post_init__(self) -> None:
        """Check every value; sizes can only be compared with the data once they are read."""
        check_range("validation_share", self.validation_share, 0, 1)
        check_range("split_seed", self.split_seed, 0, LARGEST_SEED)
        for split in SPLITS:
            check_size(split, getattr(self, split))


class PublishedPictures(PictureTask):
    """Images published as a training and a test set."""

    classes: ClassVar[int] = 10

    @abstractmethod
    def read(self, files: Path) -> Mapping[str, Pictures]:
        """The published sets `train` and `test`. Raises `UserError`."""

    def notes(self) -> list[str]:
        """Sentences on how the images differ from the published ones."""
        return []

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Write the three splits. Raises `UserError` when more images are asked for than there are."""
        settings, published = self.settings, self.read(files)
        order = shuffled(len(published["train"]), settings.split_seed)
        kept = int(len(order) * (1.0 - settings.validation_share))
        parts = {
            "train": (published["train"], order[:kept]),
            "validation": (published["train"], order[kept:]),
            "test": (published["test"], np.arange(len(published["test"]))),
        }
        notes = self.notes()
        for split, (pictures, index) in parts.items():
            if len(index) == 0:
                raise UserError(f"The {split} split would be empty: change task.validation_share.")
            chosen, note = drawn(index.tolist(), getattr(settings, split), split, settings.split_seed)
            notes += note
            preparation.write(split, 0, pictures.take(np.array(chosen)).shard)
        return Facts(self.classes, notes=tuple(notes))


def from_hub(name: str, files: Path, missing: UserError) -> dict[str, Pictures]:
    """The published sets of a data set in `hub.LAYOUTS`, see `originals.from_hub`."""
    splits = originals.from_hub(name, ("train", "test"), files, missing)
    return {split: Pictures(rows.images(), rows.labels()) for split, rows in splits.items()}


@dataclass
class ImageSettings(PublishedSettings):
    """CIFAR-10 in grey, 32 x 32."""

    name: str = "image"


class Image(PublishedPictures):
    """Which of ten objects a photograph shows: sequences of 1,024 grey levels."""

    scaling: ClassVar[Scaling] = Scaling(122.6 / 255, 61 / 255)
    source: ClassVar[str] = "CIFAR-10 (Krizhevsky 2009), which states no licence and asks to be cited."

    def read(self, files: Path) -> Mapping[str, Pictures]:
        """CIFAR-10 from its folder, its archive, a copy of the hub's parquet files, or the hub."""
        try:
            folder = originals.find(files, places.CIFAR10_FOLDERS, "cifar-10-python", "CIFAR-10", places.CIFAR10_SOURCE)
        except UserError as missing:
            colour = from_hub("cifar10", files, missing)
        else:
            colour = {"train": Pictures(*cifar.read(folder, "train")), "test": Pictures(*cifar.read(folder, "test"))}
        return {split: Pictures(grey(pictures.images), pictures.labels) for split, pictures in colour.items()}


def grey(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colour images [n, 3, height, width] in grey, [n, height, width], rounded as Pillow's mode "L" is."""
    luma = np.full((len(images), *images.shape[2:]), 2**15, np.uint32)
    for channel, weight in enumerate(GREY_WEIGHTS):
        luma += np.multiply(images[:, channel], weight, dtype=np.uint32)
    return (luma >> 16).astype(np.uint8)
