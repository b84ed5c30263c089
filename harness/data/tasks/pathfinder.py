"""Pathfinder and Path-X, generated or as released, and two smaller sets that a small network learns.

`harness.data.contours.snakes` says what the task is and makes the images. Those of the Long Range Arena (LRA)
release are divided as in the reference code of S4 (state-spaces/s4, `src/dataloaders/lra.py`), whose scaling, to
[-1, 1], all have.
"""

from __future__ import annotations

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, ClassVar, cast

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.contours import shapes as drawing
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.pictures import Pictures, torch_permutation
from spike_ssm.harness.data.readers import originals, pathfinder, places
from spike_ssm.harness.data.readers.common import copy_notes
from spike_ssm.harness.data.rules import BRIGHTNESS, NEAREST_MEAN, Rule, by_number
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import SPLITS, Integers, Scaling, Shard, Split
from spike_ssm.harness.data.task import PictureTask
from spike_ssm.results.errors import UserError

SHARD = 4_000
"""Images per file. The data set does not depend on it."""

RELEASED = 200_000
"""Number of images of each size and contour length in the release."""

RELEASE_SEED = 42
"""Seed with which S4 draws 10 % of them for validation and 10 % for the test."""

FEWEST = 10
"""Smallest number of images that can be divided like that."""

MANY = 15_000
"""Number of test images from which on rules that are at chance tell that labels are of other images."""

SPAN = 2**32
"""Distance between the numbers of the splits' first images, so that no split depends on another's size."""

CLASSES = 2

MARKER_PIXELS = 3
"""Radius around the brightest place in which the other marker is not looked for."""

SMALL = replace(
    drawing.HARD[32],
    size=16,
    seed_distance=3,
    contour_length=4,
    distractor_length=2,
    distractors=2,
    openings=drawing.EVERY_WAY,
)
"""Parameters that the smaller sets share: dashes as in the published images of 32 x 32 pixels, but fewer. Contours
start in every direction, so that hardly any of the two distractors is missing."""


@dataclass
class GeneratedSettings(TaskSettings, ABC):
    """Settings of the generator: `size` x `size` pixels, contours of `contour_length` dashes, images of each split.

    Raises `UserError`.
    """

    limits: ClassVar = {"data_seed": (0, 2**63 - 1), **dict.fromkeys(SPLITS, (1, SPAN))}
    revision: ClassVar[int] = 1
    size: int = 32
    contour_length: int = 14
    train: int = 160_000
    validation: int = 20_000
    test: int = 20_000
    data_seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        super().__post_init__()
        self.parameters()

    @abstractmethod
    def parameters(self) -> drawing.Snakes:
        """The generator's parameters. Raises `UserError`."""


@dataclass
class PathfinderSettings(GeneratedSettings):
    """The published sets; the defaults are LRA's Pathfinder.

    released: take the images from the LRA release. `train`, `validation` and `test` are then the
    most that is used of its splits, and `data_seed` has no effect.
    """

    name: str = "pathfinder"
    released: bool = False

    def parameters(self) -> drawing.Snakes:
        """The published parameters."""
        return drawing.parameters(self.size, self.contour_length)


@dataclass
class PathXSettings(PathfinderSettings):
    """Path-X, as published."""

    name: str = "pathx"
    size: int = 128


@dataclass
class PathfinderSmallSettings(GeneratedSettings):
    """A Pathfinder that a small network learns in half a minute."""

    name: str = "pathfinder_small"
    size: int = 16
    contour_length: int = 4
    train: int = 10_000
    validation: int = 1_000
    test: int = 2_000

    def parameters(self) -> drawing.Snakes:
        """`SMALL` at this size."""
        return replace(SMALL, size=self.size, contour_length=self.contour_length)


@dataclass
class PathXSmallSettings(PathfinderSmallSettings):
    """Pathfinder with longer sequences."""

    name: str = "pathx_small"
    size: int = 24


def marker_distance(split: Split, facts: Facts) -> npt.NDArray[np.float64]:  # noqa: ARG001
    """Distance, in pixels, of the two brightest places of each image, which are about where the markers are, [n]."""
    return np.array([_distance_of_brightest(image) for image in split.sequences[0]])


def _distance_of_brightest(image: Integers) -> float:
    from scipy.ndimage import uniform_filter  # a tenth of a second, and only where data are prepared

    side = math.isqrt(len(image))
    around = uniform_filter(image.reshape(side, side).astype(np.float64), 3, mode="constant")
    rows, columns = np.ogrid[:side, :side]
    first = np.unravel_index(around.argmax(), around.shape)
    near = np.hypot(rows - first[0], columns - first[1]) <= MARKER_PIXELS
    second = np.unravel_index(np.where(near, -1, around).argmax(), around.shape)
    return float(np.hypot(*np.subtract(first, second)))


MARKERS = Rule(
    "markers' distance",
    "The commonest training answer among images whose markers are about as far apart, of 32 groups.",
    by_number(marker_distance),
)


class GeneratedPictures(PictureTask):
    """Images from the generator."""

    rules: ClassVar[Sequence[Rule]] = (MARKERS, NEAREST_MEAN, BRIGHTNESS)
    scaling: ClassVar[Scaling] = Scaling(0.5, 0.5)
    source: ClassVar[str] = "Generated by the procedure of Linsley et al. 2018, described and programmed anew."
    note: ClassVar[str]

    def build(self, preparation: Preparation, files: Path) -> Facts:  # noqa: ARG002
        """Generate all three splits, a shard at a time. Raises `UserError` when the contours do not fit."""
        sizes = {split: getattr(self.settings, split) for split in SPLITS}
        for number, (split, size) in enumerate(sizes.items()):
            for start in range(0, size, SHARD):
                count = min(SHARD, size - start)
                preparation.write(split, start // SHARD, partial(self._shard, number * SPAN + start, count))
        return Facts(CLASSES, notes=(self.note,))

    def _shard(self, first: int, count: int) -> Shard:
        # numba: half a second, and only where images are generated
        from spike_ssm.harness.data.contours.snakes import generate

        made = generate(self.settings.parameters(), self.settings.data_seed, first, count)
        return Pictures(made.images, made.labels).shard()


class PathfinderSmall(GeneratedPictures):
    """Whether two markers lie on the same dashed path, in few pixels: a stand-in for Pathfinder and Path-X."""

    note: ClassVar[str] = "Images are smaller, and contours shorter and fewer, than in any of LRA's sets."


class Pathfinder(GeneratedPictures):
    """Whether two markers lie on the same dashed path among others."""

    source: ClassVar[str] = (
        "Generated by the procedure of Linsley et al. 2018, described and programmed anew; with released=true the "
        "images of the Long Range Arena (Tay et al. 2021), whose licence is not stated."
    )
    stand_in: ClassVar[str | None] = "task.released=false"
    note: ClassVar[str] = "The images are generated after the published procedure; they are not those LRA released."

    def sources(self, files: Path) -> Sequence[Path]:
        """The release's images of this size and length, where they are to be read."""
        if not self.settings.released:
            return ()
        return [_find(files, self.settings.size) / self._difficulty]

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Generate the images, or divide those of the release. Raises `UserError` when they are missing or damaged."""
        if not self.settings.released:
            return super().build(preparation, files)
        size, most = self.settings.size, {split: getattr(self.settings, split) for split in SPLITS}
        folder = _find(files, size)
        with tempfile.TemporaryFile(dir=preparation.folder) as file:
            notes = _write_released(preparation, folder, size, self._difficulty, file, most)
        return Facts(CLASSES, notes=(*originals.choice_notes(files, places.pathfinder_folders(size)), *notes))

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """The rules and the majority class. Raises `UserError` when released labels seem to be of other images."""
        found = super().baselines(train, test, facts)
        if self.settings.released:
            check_labels(found, len(test))
        return found

    @property
    def _difficulty(self) -> pathfinder.Difficulty:
        return cast(pathfinder.Difficulty, drawing.LENGTHS[self.settings.contour_length])


def _find(files: Path, size: int) -> Path:
    """The release's folder of images of `size` x `size` pixels. Raises `UserError`."""
    what = f"Pathfinder of {size} x {size}"
    return originals.find(files, places.pathfinder_folders(size), "lra_release", what, places.LRA_SOURCE)


def _write_released(
    preparation: Preparation, folder: Path, size: int, difficulty: pathfinder.Difficulty, file: IO[bytes],
    most: Mapping[str, int],
) -> tuple[str, ...]:  # fmt: skip
    """Write the three splits, at most so many images of each, and return notes on them.

    All images are kept in `file` meanwhile, in the order of the release, because Path-X is larger than memories. Raises
    `UserError`.
    """
    labels, different = bytearray(), set()
    for sample in pathfinder.read(folder, size, difficulty):
        file.write(sample.image.data)
        labels.append(sample.label)
        different.add(blake2b(sample.image.data, digest_size=16).digest())
    if len(labels) < FEWEST:
        raise UserError(
            f"{folder} holds only {len(labels)} images, too few to divide: get it from {places.LRA_SOURCE}."
        )
    file.flush()
    pixels = np.memmap(file, np.uint8, "r", shape=(len(labels), size, size))
    notes = copy_notes(len(labels), RELEASED, "images", "the release")
    if len(different) < len(labels):
        notes.append(f"{len(labels) - len(different):,} of the images repeat others, which may be in another split.")
    return (*notes, *_divide(preparation, Pictures(pixels, np.frombuffer(labels, np.uint8)), most))


def _divide(preparation: Preparation, pictures: Pictures, most: Mapping[str, int]) -> list[str]:
    """Write the three splits, and return notes on what is left out."""
    notes, tenth = [], len(pictures) // 10
    order = torch_permutation(len(pictures), RELEASE_SEED)
    for split, index in zip(SPLITS, np.split(order, [-2 * tenth, -tenth]), strict=True):
        if most[split] < len(index):
            notes.append(f"Of the {len(index):,} {split} examples, {most[split]:,} drawn at random are used.")
        for start in range(0, min(most[split], len(index)), SHARD):
            part = index[start : min(start + SHARD, most[split])]
            preparation.write(split, start // SHARD, lambda part=part: pictures.take(part).shard())  # type: ignore[misc]
    return notes


def check_labels(baselines: Baselines, test_images: int) -> None:
    """Raise `UserError` where no simple rule tells anything of the labels, as some do of the images' own.

    Markers on one contour are about as far apart as it is long, for instance. A rule tells something where it is right
    two standard errors more often than the commonest label.
    """
    chance = baselines.majority_accuracy + 2 * math.sqrt(0.25 / max(test_images, 1))
    if test_images >= MANY and max(baselines.rules.values()) < chance:
        raise UserError(
            "The labels seem to belong to other images: neither the markers' distance nor the brightness tells "
            "anything of them, as they do a little of the images' own; get the images and their metadata again from "
            f"{places.LRA_SOURCE}."
        )
