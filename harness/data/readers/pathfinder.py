"""Pathfinder as Long Range Arena releases it, and as its public generator writes it (Linsley et al. 2018)."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.readers import pickles
from spike_ssm.harness.data.readers.common import damaged, files_in, lines, read_bytes, wrong_line
from spike_ssm.harness.data.readers.images import decode_png
from spike_ssm.harness.data.readers.places import LRA_SOURCE
from spike_ssm.results.errors import UserError

Difficulty = Literal["curv_baseline", "curv_contour_length_9", "curv_contour_length_14"]

CONTOUR_LENGTHS: dict[Difficulty, int] = {
    "curv_baseline": 6,
    "curv_contour_length_9": 9,
    "curv_contour_length_14": 14,
}
"""Lengths, in dashes, of the contours of each difficulty."""

COLUMNS = (
    *("folder", "name", "index", "label", "continuity", "contour length", "distractor length"),
    *("paddle length", "thickness", "margin", "contrasts"),
)
"""Columns of the metadata. Only the first four are needed, so only they have to be there."""

EMPTY_IN_THE_RELEASE = "curv_baseline/imgs/0/sample_172.png"
"""Path, below the folder pathfinder32, of the one image that is empty."""

NUMPY_MAGIC = b"\x93NUMPY"

_log = logging.getLogger(__name__)


class Sample(NamedTuple):
    """Grey image uint8 [N, N], label (1: one contour joins the markers, 0: none does), and its row of metadata."""

    image: npt.NDArray[np.uint8]
    label: int
    metadata: tuple[str, ...]


def read(folder: Path, size: int, difficulty: Difficulty = "curv_contour_length_14") -> Iterator[Sample]:
    """The images of `size` x `size` pixels in a folder `pathfinderN`, as their metadata list them, batch by batch.

    Batches are taken in numeric order. The one image that is empty in the release is left out, with a warning in the
    log. Raises `UserError`: metadata or images missing or damaged, a label other than 0 and 1, an image that is listed
    twice, or one of another difficulty.
    """
    listed: set[Path] = set()
    for path in _batches(folder / difficulty / "metadata"):
        for place, row in _metadata(path):
            image = folder / difficulty / _image_path(place, row)
            if image in listed:
                raise wrong_line(place, f"{row[0]} {row[1]} is listed for the second time", LRA_SOURCE)
            listed.add(image)
            _check_difficulty(place, row, difficulty)
            content = read_bytes(image)
            if not content and size == 32 and image == folder / EMPTY_IN_THE_RELEASE:
                _log.warning("%s is left out: it is empty in the Long Range Arena release.", image)
                continue
            try:
                pixels = decode_png(content, "L", size)
            except ValueError as error:
                raise damaged(image, error, LRA_SOURCE) from error
            yield Sample(pixels, int(row[3]), row)


def _batches(folder: Path) -> list[Path]:
    """The metadata of each batch; `combined.npy`, which the generator's authors make of them, is no batch."""
    paths = [path for path in files_in(folder) if path.suffix == ".npy" and path.stem.isdecimal()]
    if not paths:
        raise UserError(f"{folder} holds no metadata (0.npy, 1.npy, ...): they come from {LRA_SOURCE}.")
    return sorted(paths, key=lambda path: int(path.stem))


def _metadata(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Place of each row, for messages, and the row. The release's files are text, whatever their name says."""
    content = read_bytes(path)
    if content.startswith(NUMPY_MAGIC):
        for number, row in enumerate(_load_table(io.BytesIO(content), path)):
            yield f"{path}, row {number}", row
    else:
        for number, line in lines(path):
            yield f"{path}, line {number}", tuple(line.split())


def _load_table(file: io.BytesIO, path: Path) -> list[tuple[str, ...]]:
    """The rows of the table in a real npy file; one of objects is a pickle, and read as such."""
    try:
        if _dtype(file).hasobject:
            pickled = pickles.load(file.read(), path, LRA_SOURCE)
            table = pickled.numpy() if isinstance(pickled, pickles.PickledArray) else np.empty(0)
        else:
            file.seek(0)
            table = np.load(file, allow_pickle=False)
        if table.ndim != 2:
            raise ValueError(f"it holds an array of {table.ndim} axes where 2 are expected")
        return [tuple(map(_text, row)) for row in table.astype(object)]
    except UserError:
        raise
    except Exception as error:  # what numpy raises on a damaged file is anything from SyntaxError to SystemError
        raise damaged(path, error, LRA_SOURCE) from error


def _dtype(file: io.BytesIO) -> np.dtype[Any]:
    """The type an npy file's header states. Leaves `file` behind the header."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)[2]
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)[2]
    raise ValueError(f"tables of texts are not stored in npy's version {version[0]}.{version[1]}")


def _text(value: object) -> str:
    """A cell as text; Python 2's texts come as bytes. Of what is neither text nor number, only the type's name."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value) if isinstance(value, str | int | float) else type(value).__name__


def _check_difficulty(place: str, row: tuple[str, ...], difficulty: Difficulty) -> None:
    """Raise `UserError` when the contours are of another length than those of this difficulty."""
    expected, found = CONTOUR_LENGTHS[difficulty], "".join(row[5:6])
    if re.fullmatch(r"\d+(\.0*)?", found, re.ASCII) and float(found) != expected:
        problem = f"the contour length is {found[:40]} where {difficulty} has {expected}"
        raise wrong_line(place, problem, LRA_SOURCE)


def _image_path(place: str, row: tuple[str, ...]) -> str:
    """Path of the image, below the folder of its difficulty. Checks the row."""
    if len(row) < 4 or not re.fullmatch(r"imgs/\d+/sample_\d+\.png", f"{row[0]}/{row[1]}", re.ASCII):
        wanted = f"{', '.join(COLUMNS[:4])} of an image (imgs/0 sample_0.png 0 1)"
        raise wrong_line(place, f"{' '.join(row)[:80]!r} does not begin with {wanted}", LRA_SOURCE)
    if row[3] not in ("0", "1"):
        raise wrong_line(place, f"the label is {row[3][:40]!r} where 0 or 1 is expected", LRA_SOURCE)
    return f"{row[0]}/{row[1]}"
