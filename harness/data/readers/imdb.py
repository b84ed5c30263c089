"""IMDb as the Large Movie Review Dataset gives it (Maas et al. 2011): one review per file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from spike_ssm.harness.data.readers.common import decode, read_bytes
from spike_ssm.harness.data.readers.places import IMDB_SOURCE
from spike_ssm.results.errors import UserError

LABELS = {"neg": 0, "pos": 1}
RATINGS = {"neg": range(1, 5), "pos": range(7, 11)}
"""Stars, out of ten, of each folder's reviews; the data set has none with 5 or 6."""

NAME = re.compile(r"(\d{1,9})_(\d{1,2})\.txt", re.ASCII)


class Review(NamedTuple):
    """Text, label (0 negative, 1 positive), rating in stars (1 to 10), and number within its folder."""

    text: str
    label: int
    rating: int
    number: int


def read(folder: Path, split: Literal["train", "test"]) -> Iterator[Review]:
    """The reviews in `aclImdb/SPLIT`: the negative ones by number, then the positive ones by number.

    Raises `UserError`: a folder missing or empty, a file named otherwise than `NUMBER_RATING.txt`, or not UTF-8.
    """
    for name, label in LABELS.items():
        for number, rating, path in _files(folder / split / name):
            yield Review(decode(read_bytes(path), str(path)), label, rating, number)


def _files(folder: Path) -> list[tuple[int, int, Path]]:
    """Number, rating and path of every review in a folder, in order."""
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror or error}): it should hold reviews, one a file, "
            f"and comes from {IMDB_SOURCE}."
        ) from error
    if not paths:
        raise UserError(f"{folder} is empty: it should hold reviews, one a file, and comes from {IMDB_SOURCE}.")
    return sorted(_parse(path) for path in paths)


def _parse(path: Path) -> tuple[int, int, Path]:
    """Number, rating and path of a review."""
    match = NAME.fullmatch(path.name)
    ratings = RATINGS[path.parent.name]
    if match is None or int(match[2]) not in ratings:
        raise UserError(
            f"{path} is not a review of {IMDB_SOURCE}: files here are named NUMBER_RATING.txt with a rating "
            f"from {ratings.start} to {ratings.stop - 1}; move it elsewhere."
        )
    return int(match[1]), int(match[2]), path
