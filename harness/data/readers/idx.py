"""The idx format of MNIST and Fashion-MNIST (described on MNIST's site): bytes with their shape in front."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.readers import places
from spike_ssm.harness.data.readers.common import damaged, find_file, unreadable
from spike_ssm.harness.data.readers.places import MNIST_SOURCE

UNSIGNED_BYTE = 8
"""The format's number for the only type these data sets use."""


LARGEST = 2**30
"""Bytes that a file may hold; MNIST's largest holds 47 million."""


STEMS = {"train": "train", "test": "t10k"}
"""Beginning of the names of each set's files."""


def find(files: Path, folders: Sequence[str], what: str, source: str) -> dict[str, tuple[Path, Path]]:
    """The files of images and of labels of each set, compressed or not, in one of the `folders` of `files`.

    Raises `UserError` if one is missing.
    """

    def found(name: str) -> Path:
        return find_file(files, places.inside(folders, name, f"{name}.gz"), f"{what}'s {name}", source)

    return {
        split: (found(f"{stem}-images-idx3-ubyte"), found(f"{stem}-labels-idx1-ubyte")) for split, stem in STEMS.items()
    }


def read(path: Path, item_shape: tuple[int, ...], source: str = MNIST_SOURCE) -> npt.NDArray[np.uint8]:
    """All items, uint8 [n, *item_shape]: `item_shape` is (28, 28) for images and () for labels.

    The file may be compressed (gzip), whatever its name. Raises `UserError`: unreadable, damaged, or another kind.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as file:
            header = file.read(4 + 4 * (1 + len(item_shape)))
            count = _count(header, item_shape)
            size = count * math.prod(item_shape)
            if size > LARGEST:
                raise ValueError(
                    f"its header says {size:,} bytes of {count:,} items, more than {LARGEST:,} are not read"
                )
            content = file.read(size + 1)  # one more than there should be shows a file that is too long
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise damaged(path, error, source) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) != size:
        found = "more" if len(content) > size else f"only {len(content)}"
        raise damaged(path, f"its header says {size} bytes of {count} items, there are {found}", source)
    return np.frombuffer(content, np.uint8).reshape(count, *item_shape)


def read_labelled(
    images_path: Path, labels_path: Path, shape: tuple[int, int], classes: int, source: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images [n, *shape] and labels [n] of one set. Raises `UserError`."""
    images, labels = read(images_path, shape, source), read(labels_path, (), source)
    if len(images) != len(labels):
        raise damaged(labels_path, f"it has {len(labels)} labels for the {len(images)} images of {images_path}", source)
    if labels.max(initial=0) >= classes:
        raise damaged(labels_path, f"it has a label {labels.max()} where 0 to {classes - 1} is expected", source)
    return images, labels


def _count(header: bytes, item_shape: tuple[int, ...]) -> int:
    """The number of items. Raises `ValueError` when the header is not that of such items."""
    dimensions = 1 + len(item_shape)
    expected = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if header[:4] != expected:
        raise ValueError(
            f"it begins with 0x{header[:4].hex()} where idx bytes of {dimensions} axes begin with 0x{expected.hex()}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise ValueError("it ends within its header")
    count, *shape = struct.unpack(f">{dimensions}I", header[4:])
    if tuple(shape) != item_shape:
        raise ValueError(f"its items have the shape {tuple(shape)} where {item_shape} is expected")
    return int(count)
