"""A folder of the user's that nobody else may write to: what lies there is run.

Whoever can write to a results folder that people share must not be able to have code executed by them. So what starts
workers, such as submitit's pickles, never lies in the results folder.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import platformdirs

from spike_ssm.results.errors import UserError

VARIABLE = "SPIKE_SSM_PRIVATE"
"""Environment variable that names another folder than the one in the user's home."""

ADVICE = f"Name another folder, which all nodes see and only you may write to, with {VARIABLE}=FOLDER."


def private_root() -> Path:
    """The user's private folder, whether it is there or not. Raises `UserError` where it cannot be."""
    try:
        root = Path(os.environ.get(VARIABLE) or platformdirs.user_state_dir("spike-ssm")).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"There is no home folder that a private folder could lie in. {ADVICE}") from error
    if re.search(r"[%\x00-\x1f\x7f]", str(root)):  # SLURM and submitit take %j for the number of a job
        raise UserError(f"The private folder {str(root)!r} must have no % or control character in its path. {ADVICE}")
    return root


def private_folder(name: str) -> Path:
    """The folder `name` in the user's private one, made where it is missing, with rights for the user alone.

    Raises `UserError` where it cannot be made, or where somebody else could write to it.
    """
    root = private_root()
    folder = root / name
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        for each in (root, folder):
            each.mkdir(mode=0o700, exist_ok=True)
            _check(each)
        for parent in root.resolve().parents:
            _check_parent(parent)
    except OSError as error:
        raise UserError(f"The private folder {root} cannot be used ({error.strerror}). {ADVICE}") from error
    return folder


def _check(folder: Path) -> None:
    """Raise `UserError` where the folder is a link, is another user's, or can be written to by others."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UserError(f"The private folder {folder} is a link or a file. Remove it. {ADVICE}")
    if found.st_uid != os.geteuid():
        raise UserError(f"The private folder {folder} belongs to the user with the number {found.st_uid}. {ADVICE}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(
            f"Others can write to the private folder {folder}, and so have code executed as you. Look at what is in "
            f"it, then close it with chmod 700. {ADVICE}"
        )


def _check_parent(folder: Path) -> None:
    """Raise `UserError` where everybody could put another folder into the place of one in it."""
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise UserError(f"Everybody can replace what is in {folder}, also the private folder below it. {ADVICE}")
