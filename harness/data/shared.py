"""Folders that several users may share: whoever may write to the cache may write to what is made in it."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

import platformdirs

FOLDERS = stat.S_IRWXG | stat.S_ISGID
FILES = stat.S_IRGRP | stat.S_IWGRP
"""The permissions that what is made takes over from the folder that it is made in."""


def cache_folder(named: str | None) -> Path:
    """The folder of prepared data: the one that `paths.cache` names, or the user's own."""
    return Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("spike-ssm"))


def share(path: Path) -> None:
    """Let the group do with a file or folder what it may do with the folder that it is in. Raises OSError."""
    mode = path.stat().st_mode
    missing = path.parent.stat().st_mode & (FOLDERS if stat.S_ISDIR(mode) else FILES) & ~mode
    if missing:
        with suppress(PermissionError):  # its owner, who alone may do so, has done it or does not share it
            path.chmod(stat.S_IMODE(mode) | missing)


def make_folder(path: Path) -> None:
    """Make a folder, shared as the one that it is in, and those above it where they are missing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(exist_ok=True)
    share(path)
