"""CIFAR-10 as its site gives it to Python: six pickles (Krizhevsky 2009)."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.readers import pickles
from spike_ssm.harness.data.readers.common import damaged, read_bytes
from spike_ssm.harness.data.readers.places import CIFAR10_SOURCE

BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
"""Files of each split, in the order everyone reads them."""

CLASSES = 10
SHAPE = (3, 32, 32)
"""Channels (red, green, blue), rows, columns."""


def read(folder: Path, split: Literal["train", "test"]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images uint8 [n, 3, 32, 32] and labels uint8 [n], 0 to 9, of the batches in `cifar-10-batches-py`.

    Raises `UserError`: missing, damaged, or a pickle that asks for more than arrays and plain containers.
    """
    images, labels = zip(*(_read_batch(folder / name) for name in BATCHES[split]), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _read_batch(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    batch = pickles.load(read_bytes(path), path, CIFAR10_SOURCE)
    try:
        return _check(batch)
    except ValueError as error:
        raise damaged(path, error, CIFAR10_SOURCE) from error


def _check(batch: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images and labels of one file. Raises `ValueError` when they are not what they should be."""
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= batch.keys():
        raise ValueError("it is not a dictionary with b'data' and b'labels'")
    data, labels = batch[b"data"], batch[b"labels"]
    if not isinstance(data, pickles.PickledArray) or not isinstance(labels, list):
        raise ValueError("b'data' is not an array or b'labels' is not a list")
    pixels = data.numpy()
    expected = (len(labels), int(np.prod(SHAPE)))
    if pixels.dtype != np.uint8 or pixels.shape != expected:
        raise ValueError(f"its images are {pixels.dtype} {pixels.shape} where uint8 {expected} is expected")
    for index, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < CLASSES:
            raise ValueError(
                f"the label of image {index} is {reprlib.repr(label)} where 0 to {CLASSES - 1} is expected"
            )
    return pixels.reshape(-1, *SHAPE), np.array(labels, np.uint8)
