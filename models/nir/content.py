"""What is in a file of HDF5, taken from nothing but the file itself.

HDF5 can name other files, in links and as where a data set's numbers are, give one thing several names, which unfolds a
small file without end, and claim any size. All of that is refused: a file of others may be harmful.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

LARGEST = 2**31
"""Bytes that all data sets of a file may have together."""


class _RefusedError(ValueError):
    """What HDF5 could read, and is not read here."""


def content(path: Path, name: str) -> Any:
    """What is in the file `path` by this name: a dictionary of a group, an array or a scalar of a data set.

    Raises `OSError` where the file cannot be opened, ValueError with a sentence where
    it is not HDF5, has nothing of that name, or has in it what is refused, and MemoryError.
    """
    with path.open("rb") as opened:
        try:
            with h5py.File(opened, "r") as file:
                return _Reader().read(file, name)
        except _RefusedError:
            raise
        except (OSError, KeyError, ValueError, AttributeError, RecursionError, RuntimeError) as error:
            raise ValueError("It is not a file of NIR, which is HDF5 with a graph in it.") from error


class _Reader:
    """Reads groups into dictionaries, and counts their bytes."""

    def __init__(self) -> None:
        self._bytes = 0

    def read(self, group: h5py.Group, name: str) -> Any:
        """What `group` has by this name. Raises KeyError where it has nothing, and what h5py does."""
        place = f"{group.name.rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        if link is not None and not isinstance(link, h5py.HardLink):
            raise _RefusedError(
                f"It has a link at {place}; only what is in the file itself is read, so copy that there."
            )
        item = group[name]
        if h5py.h5o.get_info(item.id).rc > 1:
            raise _RefusedError(f"It has what is at {place} by other names too; give each thing one.")
        if isinstance(item, h5py.Group):
            return {each: self.read(item, each) for each in item}
        if not isinstance(item, h5py.Dataset):
            raise _RefusedError(f"It has a type at {place}; only groups and data sets are read, so remove it.")
        if item.external or item.is_virtual:
            raise _RefusedError(
                f"It has the numbers of {place} in another file; only those in the file itself are read."
            )
        self._bytes += item.nbytes
        if self._bytes > LARGEST:
            raise _RefusedError(
                f"It has more than {LARGEST >> 30} GiB in it at {place}, which is the most that is read."
            )
        value = item[()]
        return value.decode() if isinstance(value, bytes) else value
