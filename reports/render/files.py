"""Files of a report: which formats there are, and writing them so that a reader never sees a part."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from spike_ssm.results.errors import UserError

FORMATS = ("html", "csv", "md", "latex", "svg")
NAMES = {"csv": "CSV", "md": "Markdown", "latex": "LaTeX"}
"""Format of a page's tables -> what people call it."""

SUFFIXES = {"html": "html", "csv": "csv", "md": "md", "latex": "tex"}

_LONGEST = 120
_UNSPEAKABLE = re.compile(  # all but the characters of XML; and those that set the direction of others
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]"
)


def formats(text: str) -> tuple[str, ...]:
    """`html,csv` as a tuple. Raises `UserError` for an unknown format."""
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown or not chosen:
        raise UserError(f"--format may name {', '.join(FORMATS)}, separated by commas, but {text!r} was given.")
    return chosen


def file_name(name: str) -> str:
    """`name` as a file's, without folder: letters, digits and `_.-` stay, whatever else is in it becomes `_`.

    At most 120 characters, so that a suffix fits; no hidden file.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_LONGEST]
    return re.sub(r"^\.+|^$", "_", plain)


def page_path(name: str, out: Path) -> Path:
    """The page of `name` in the folder `out`."""
    return out / f"{file_name(name)}.{SUFFIXES['html']}"


def beside_links(name: str, chosen: Sequence[str]) -> dict[str, str]:
    """What the tables of the page `name` are written as -> the link from the page: of the formats that are chosen."""
    return {called: f"{name}.{SUFFIXES[kind]}" for kind, called in NAMES.items() if kind in chosen}


def write_all(out: Path, name: str, contents: Mapping[str, str], chosen: Sequence[str]) -> Path:
    """Write `contents`, by format, to `out`/`name`.SUFFIX, those chosen only; returns the first path written.

    name: as `file_name` makes it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = [
            replace(out / f"{name}.{SUFFIXES[kind]}", content) for kind, content in contents.items() if kind in chosen
        ]
    except OSError as error:
        raise _unwritable(out, error) from error
    return paths[0] if paths else out


def write_folder(folder: Path, contents: Mapping[str, str]) -> None:
    """Write `contents`, by file name, to `folder`, which is there only where there are some. Raises `UserError`."""
    try:
        for name, content in contents.items():
            folder.mkdir(parents=True, exist_ok=True)
            replace(folder / name, content)
    except OSError as error:
        raise _unwritable(folder, error) from error


def replace(path: Path, content: str) -> Path:
    """Write so that a reader sees the old file or the new one, never a part.

    What no text file can hold, or would turn the text around for its reader, becomes a replacement character.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(_UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", content), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(
        f"The report folder {out} cannot be written to ({error.strerror}). "
        "Make it writable, or name another with --out FOLDER."
    )
