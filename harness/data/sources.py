"""Which original files a data set was prepared from: their identity is part of the prepared folder's name."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from spike_ssm.harness.data.readers.common import unreadable
from spike_ssm.harness.data.shared import make_folder, share
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import written

HUB = "hub"
"""Source of what was prepared where no original file was at hand."""

GONE = "The original files were not at hand to compare with: data prepared from them earlier were used."
"""Note on data whose original files were there when they were prepared, and are no longer."""

IDENTITY = re.compile("[0-9a-f]{16}")


class Place(NamedTuple):
    """The folder that a data set is, or is to be, prepared in.

    source: identity of its original files, `HUB`, or "" for none.
    """

    folder: Path
    source: str


def place_of(folder: Path, paths: Sequence[Path] | None) -> Place:
    """The place of the data prepared, at the settings that `folder` is named by, from the originals `paths`.

    Data that are generated, without any, are in `folder`, and so are those from the hub, where `paths` is None or not
    all of them are there. Where `folder` is not there either, the only copy prepared at these settings stands in.
    Raises `UserError`: there are several, or a file cannot be read.
    """
    if paths is not None:
        if not paths:
            return Place(folder, "")
        with suppress(FileNotFoundError):
            source = identity(paths, folder.parent)
            return Place(folder.with_name(f"{folder.name}-{source}"), source)
    copies = prepared_copies(folder)
    if len(copies) > 1 and folder not in copies:
        raise UserError(
            f"The original files are not there, and {folder.parent} holds data prepared from {len(copies)} different "
            "copies of them: name the folder of those that are meant with paths.data=FOLDER."
        )
    return Place(folder if folder in copies or not copies else copies[0], HUB)


def prepared_copies(folder: Path) -> list[Path]:
    """The data sets prepared at the settings that `folder` is named by, whatever original files they are from."""
    names = re.compile(f"{re.escape(folder.name)}(-{IDENTITY.pattern})?")
    try:
        return sorted(path for path in folder.parent.iterdir() if names.fullmatch(path.name))
    except OSError:  # nothing was prepared yet, or not for us
        return []


def identity(paths: Sequence[Path], memory: Path) -> str:
    """16 hexadecimal digits that stand for the names and contents of files, and of all that is in folders.

    Contents are read once: their identity is noted in the folder `memory` under the files' paths, sizes and times of
    change. Raises `UserError` when a file cannot be read, and `FileNotFoundError`.
    """
    files = {file: status for path in paths for file, status in _files(path)}
    if not files:
        raise FileNotFoundError(f"{paths[0]} is empty")
    stamps = [[str(path), each.st_size, each.st_mtime_ns, each.st_ctime_ns] for path, each in sorted(files.items())]
    noted = memory / f"{_digest(stamps)}.source"
    with suppress(OSError, ValueError):
        if IDENTITY.fullmatch(known := noted.read_text("ascii")):
            return known
    top = os.path.commonpath([path.parent for path in files])
    found = _digest([[os.path.relpath(path, top), _sha256(path)] for path in sorted(files)])
    with suppress(OSError):  # in a cache that only others may write to, contents are read again the next time
        make_folder(memory)
        with written(noted, found.encode()) as temporary:
            share(temporary)
            temporary.replace(noted)
    return found


def _files(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """A file, or all files below a folder, with their sizes and times."""
    try:
        if not path.is_dir():
            yield path, path.stat()
            return
        with os.scandir(path) as entries:
            found = list(entries)
        for entry in found:
            if entry.is_dir():
                yield from _files(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path), entry.stat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
