"""Pathfinder and Path-X, generated or as released, and two smaller sets that a small network learns.

`harness.data.tasks.pathfinder_snakes` says what the task is and makes the images; `pathfinder_released` divides those
of the Long Range Arena (LRA) release. All have the scaling of the reference code of S4 (state-spaces/s4,
`src/dataloaders/lra.py`), to [-1, 1].
"""

from __future__ import annotations

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.pictures import Pictures
from spike_ssm.harness.data.readers import originals, pathfinder, places
from spike_ssm.harness.data.rules import BRIGHTNESS, NEAREST_MEAN, Rule, by_number
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import SPLITS, Integers, Scaling, Shard, Split
from spike_ssm.harness.data.task import PictureTask
from spike_ssm.harness.data.tasks import pathfinder_released as released
from spike_ssm.harness.data.tasks import pathfinder_shapes as drawing
from spike_ssm.harness.data.tasks.pathfinder_released import SHARD

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
        from spike_ssm.harness.data.tasks.pathfinder_snakes import generate

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
    note: ClassVar[str] = "The images are generated after the published procedure; they are not those LRA released."

    def sources(self, files: Path) -> Sequence[Path]:
        """The release's images of this size and length, where they are to be read."""
        if not self.settings.released:
            return ()
        return [released.find(files, self.settings.size) / self._difficulty]

    def build(self, preparation: Preparation, files: Path) -> Facts:
        """Generate the images, or divide those of the release. Raises `UserError` when they are missing or damaged."""
        if not self.settings.released:
            return super().build(preparation, files)
        size, most = self.settings.size, {split: getattr(self.settings, split) for split in SPLITS}
        folder = released.find(files, size)
        with tempfile.TemporaryFile(dir=preparation.folder) as file:
            notes = released.write_released(preparation, folder, size, self._difficulty, file, most)
        return Facts(CLASSES, notes=(*originals.choice_notes(files, places.pathfinder_folders(size)), *notes))

    def baselines(self, train: Split, test: Split, facts: Facts) -> Baselines:
        """The rules and the majority class. Raises `UserError` when released labels seem to be of other images."""
        found = super().baselines(train, test, facts)
        if self.settings.released:
            released.check_labels(found, len(test))
        return found

    @property
    def _difficulty(self) -> pathfinder.Difficulty:
        return cast(pathfinder.Difficulty, drawing.LENGTHS[self.settings.contour_length])
