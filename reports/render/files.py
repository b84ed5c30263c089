"""Files of a report: which formats there are, and writing them so that a reader never sees a part."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from spike_ssm.reports.render.svg import standalone
from spike_ssm.results.errors import UserError

FORMATS = ("html", "csv", "md", "latex", "svg")
SUFFIXES = {"html": "html", "csv": "csv", "md": "md", "latex": "tex"}


def formats(text: str) -> tuple[str, ...]:
    """`html,csv` as a tuple. Raises `UserError` for an unknown format."""
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown or not chosen:
        raise UserError(f"--format may name {', '.join(FORMATS)}, separated by commas, but {text!r} was given.")
    return chosen


def write_all(out: Path, name: str, contents: Mapping[str, str], chosen: Sequence[str]) -> Path:
    """Write `contents`, by format, to `out`/`name`.SUFFIX, those chosen only; returns the first path written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = [
            replace(out / f"{name}.{SUFFIXES[kind]}", content) for kind, content in contents.items() if kind in chosen
        ]
    except OSError as error:
        raise _unwritable(out, error) from error
    return paths[0] if paths else out


def write_figures(folder: Path, figures: Mapping[str, str], chosen: Sequence[str]) -> None:
    """Write inline figures, by name, as SVG files to `folder`, where that format is chosen."""
    if "svg" not in chosen or not figures:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, drawn in figures.items():
            replace(folder / f"{_plain(name)}.svg", standalone(drawn))
    except OSError as error:
        raise _unwritable(folder, error) from error


def replace(path: Path, content: str) -> Path:
    """Write so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _plain(name: str) -> str:
    """A file's name: letters, digits and `_`, whatever a task or figure is called."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name.lower())


def _unwritable(out: Path, error: OSError) -> UserError:
    return UserError(
        f"The report folder {out} cannot be written to ({error.strerror}). "
        "Make it writable, or name another with --out FOLDER."
    )
