"""Files that appear whole or not at all, also on shared file systems (NFS) and when the writer is killed.

A file is written under a temporary name and then linked (the first one stays) or moved (the last one stays) to its own.
The temporary name holds who wrote it, so that what a killed process left is recognised without any clock. Links and
moves are atomic on NFS; locks, times and exclusive creation are not to be relied upon there.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from spike_ssm.results.process import Process

PATIENCE_S = 120.0
"""Seconds for which what must not be lost is tried again: a file server that starts anew takes about a minute."""

_SECONDS_BETWEEN_TRIES = 0.5
_SUFFIX = ".tmp"
_FORGOTTEN_S = 7 * 86400.0  # no process writes a file for so long, and no clock is so wrong


Guard = Callable[[], None]
"""Called before a file gets its name; raises where that is no longer right, as `harness.state.lease.Lease.guard`."""


def unguarded() -> None:
    """The guard of what needs none."""


_log = logging.getLogger(__name__)

T = TypeVar("T")


def private_name(path: Path) -> Path:
    """A name next to `path` that no other process uses and that says whose it is."""
    return path.with_name(f".{path.name}~{Process.current().token()}~{uuid.uuid4().hex[:12]}{_SUFFIX}")


def make_lowest_folders(folder: Path, levels: int = 1) -> None:
    """Make `folder` and, of those it lies in, the nearest `levels - 1`. Raises `OSError` where one above is missing.

    So whoever writes below a results folder that was moved this moment makes no other in its place.
    """
    if levels > 1:
        make_lowest_folders(folder.parent, levels - 1)
    folder.mkdir(exist_ok=True)


@contextmanager
def written(path: Path, content: bytes) -> Iterator[Path]:
    """A temporary file next to `path` with `content`, safe on the disk; gone afterwards. Raises `OSError`.

    The folder of the file is made, none above it.
    """
    make_lowest_folders(path.parent)
    temporary = private_name(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with suppress(OSError):  # a folder that became read-only: the error on its way says more
            temporary.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write `path`; a reader sees the old file or the new one, never a part. Raises `OSError`."""
    with written(path, content) as temporary:
        temporary.replace(path)


def patiently(action: Callable[[], T], trouble: str, patience_s: float = PATIENCE_S) -> T:
    """What `action` returns, tried again for so long while it raises `OSError`; raises the last of them.

    trouble: the beginning of the one warning, e.g. "The result cannot be written".
    """
    deadline, warned = time.monotonic() + patience_s, False
    while True:
        try:
            return action()
        except OSError as error:
            if time.monotonic() >= deadline:
                raise
            if not warned:
                _log.warning("%s (%s). It is tried again for %.0f s.", trouble, error.strerror or error, patience_s)
            warned = True
            time.sleep(_SECONDS_BETWEEN_TRIES)


class Survived:
    """A context in which an `OSError` ends the block and nothing else; the first of all is logged.

    For files that a run can do without: how far it is, what it printed. trouble: the beginning of the warning.
    """

    def __init__(self, trouble: str) -> None:
        self._trouble, self._warned = trouble, False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, OSError):
            return False
        if not self._warned:
            _log.warning("%s (%s): the run goes on without.", self._trouble, error.strerror or error)
        self._warned = True
        return True


def may_exist(path: Path) -> bool:
    """Whether there is such a file, or nothing tells that there is none: no permission, say."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def link_if_free(temporary: Path, path: Path) -> bool:
    """Give `temporary` the name `path` too unless there is such a file: of several processes one alone succeeds.

    Raises `OSError`, e.g. where the file system has no hard links.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        # over NFS the answer of a link that succeeded may get lost, and the repeated request fails
        with suppress(FileNotFoundError):
            return temporary.samefile(path)
        return False
    return True


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove temporary files (of file `name`, or all) whose processes have died.

    Nothing seen from here tells whether a writer elsewhere lives: its files stay until it looks itself, or for a week.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(f".{name}") and entry.name.endswith(_SUFFIX) and _is_orphan(entry):
                with suppress(OSError):
                    Path(entry.path).unlink()


def _is_orphan(entry: os.DirEntry[str]) -> bool:
    token = entry.name.partition("~")[2].rpartition("~")[0]
    writer = Process.from_token(token)
    if writer is None:
        return False
    lives = writer.lives()
    return lives is False or (lives is None and time.time() - entry.stat().st_mtime > _FORGOTTEN_S)
