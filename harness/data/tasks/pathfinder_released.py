"""Pathfinder as Long Range Arena (LRA) released it, divided as in the reference code of S4 (state-spaces/s4)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import IO

import numpy as np

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Baselines
from spike_ssm.harness.data.pictures import Pictures, torch_permutation
from spike_ssm.harness.data.readers import originals, pathfinder, places
from spike_ssm.harness.data.readers.common import copy_notes
from spike_ssm.harness.data.splits import SPLITS
from spike_ssm.results.errors import UserError

SHARD = 4_000
"""Images per file. The data set does not depend on it."""

RELEASED = 200_000
"""Number of images of each size and contour length in the release."""

RELEASE_SEED = 42
"""Seed with which S4 draws 10 % of them for validation and 10 % for the test."""

FEWEST = 10
"""Smallest number of images that can be divided like that."""

MANY = 5_000
"""Number of test images from which on rules that are at chance tell that labels are of other images."""


def find(files: Path, size: int) -> Path:
    """The release's folder of images of `size` x `size` pixels. Raises `UserError`."""
    what = f"Pathfinder of {size} x {size}"
    return originals.find(files, places.pathfinder_folders(size), "lra_release", what, places.LRA_SOURCE)


def write_released(
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
    three standard errors more often than the commonest label.
    """
    chance = baselines.majority_accuracy + 3 * math.sqrt(0.25 / max(test_images, 1))
    if test_images >= MANY and max(baselines.rules.values()) < chance:
        raise UserError(
            "The labels seem to belong to other images: neither the markers' distance nor the brightness tells "
            "anything of them, as they do a little of the images' own; get the images and their metadata again from "
            f"{places.LRA_SOURCE}."
        )
