"""Labelled examples of a user's own: a CSV file with a label in each row, or a folder with a subfolder for each class.

Every `UserError` says where the fault stands: the file, and the line of it.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from spike_ssm.harness.data.readers.common import decode, files_in, one_line, read_bytes, unreadable
from spike_ssm.harness.data.splits import SPLITS
from spike_ssm.results.errors import UserError

MOST_FILES = 1_000_000
"""Files in a folder of examples, at most."""

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}

T = TypeVar("T")


@dataclass(frozen=True)
class Labelled(Generic[T]):
    """Examples as they are in the file or folder `path`: contents, labels, and the split of each where it is given."""

    path: Path
    contents: list[T]
    labels: list[str]
    splits: list[str] | None


@dataclass(frozen=True)
class Row:
    """A row of a CSV file: the line that it ends in, and its fields by column."""

    line: int
    fields: dict[str, str]


def content_digest(path: Path) -> str:
    """Sixteen hexadecimal digits for the content of a file, or for names and contents of all files below a folder.

    Contents are read once while sizes and times stay. Raises `UserError`.
    """
    try:
        found = sorted(_files(path)) if path.is_dir() else [path]
        stats = [each.stat() for each in found]
    except OSError as error:
        raise unreadable(path, error) from error
    stamps = zip(map(str, found), stats, strict=True)
    return _digest(str(path), tuple((name, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for name, each in stamps))


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for where, _, names in os.walk(folder):
        count += len(names)
        if count > MOST_FILES:
            raise UserError(f"{folder} is refused: it has more than {MOST_FILES:,} files.")
        yield from (Path(where) / name for name in names if not name.startswith("."))


@functools.lru_cache(64)
def _digest(top: str, stamps: tuple[tuple[str, int, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, *_ in stamps:
        content = hashlib.sha256(read_bytes(Path(name))).hexdigest()
        digest.update(f"{os.path.relpath(name, top) if name != top else ''}\0{content}\0".encode())
    return digest.hexdigest()[:16]


def read_csv(
    path: Path, delimiter: str, label: str, split: str | None
) -> tuple[list[Row], list[str], list[str] | None]:
    """The rows, the label of each and, where `split` names a column of them, the split of each.

    The first line names the columns. Raises `UserError`: unreadable, not UTF-8, no such column, a row of another
    number of fields, without a label, or with a split that is none.
    """
    text = decode(read_bytes(path), str(path)).removeprefix("\ufeff")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[delimiter], strict=True)
    found: list[Row] = []
    try:
        columns = next(rows, [])
        for name in (label, *([split] if split else [])):
            require_column(path, columns, name, "label" if name == label else "split")
        for fields in rows:
            if fields:
                found.append(Row(rows.line_num, _by_column(path, rows.line_num, columns, fields)))
    except csv.Error as error:
        raise UserError(
            f"{path}, line {rows.line_num}: it is no CSV ({one_line(error)}): correct its quotes."
        ) from error
    for row in found:
        if not row.fields[label].strip():
            raise UserError(
                f"{path}, line {row.line}: the label is missing: fill in the column {label!r}, or remove the row."
            )
        if split and row.fields[split].strip() not in SPLITS:
            raise UserError(
                f"{path}, line {row.line}: the split is {row.fields[split][:40]!r}: write one of {', '.join(SPLITS)}."
            )
    labels = [row.fields[label].strip() for row in found]
    return found, labels, [row.fields[split].strip() for row in found] if split else None


def require_column(path: Path, columns: Sequence[str], name: str, setting: str) -> None:
    """Raise `UserError` unless the file has exactly one column of this name, which `task.SETTING` gives."""
    if (count := Counter(columns)[name]) != 1:
        have = ", ".join(columns)[:300] or "nothing"
        problem = "no column" if not count else f"{count} columns"
        raise UserError(f"{path} has {problem} {name!r}; its first line names {have}: choose with task.{setting}=NAME.")


def _by_column(path: Path, line: int, columns: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    if len(fields) != len(columns):
        raise UserError(
            f"{path}, line {line}: it has {len(fields)} fields, where the first line names {len(columns)} columns: "
            "correct the row, or put quotes around a field that has a delimiter in it."
        )
    return dict(zip(columns, fields, strict=True))


def number(path: Path, line: int, column: str, text: str) -> float:
    """The number in a field. Raises `UserError` where it is empty, no number, or not finite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{path}, line {line}: {column} is {text[:40]!r} where a finite number is expected.")
    return value


def files_by_class(path: Path, endings: Sequence[str]) -> Labelled[Path]:
    """The files with these endings in each subfolder, which is their class, of a folder or of its three splits.

    Raises `UserError`: unreadable, a subfolder without such files, or splits that are not all there.
    """
    folders = {each.name: each for each in files_in(path) if each.is_dir() and not each.name.startswith(".")}
    named = [split for split in SPLITS if split in folders]
    if named and set(folders) != set(SPLITS):
        raise UserError(
            f"{path} has a folder {named[0]}, so it must have exactly {', '.join(SPLITS)} with the classes in each; "
            "or put the classes into it, to be divided at random."
        )
    files, labels, splits = list[Path](), list[str](), list[str]()
    for split, top in (folders if named else {"": path}).items():
        for folder in (each for each in files_in(top) if each.is_dir() and not each.name.startswith(".")):
            found = [each for each in files_in(folder) if each.suffix.lower() in endings]
            if not found:
                raise UserError(
                    f"{folder} holds no {' or '.join(endings)} file: a subfolder is a class, with its examples."
                )
            files += found
            labels += [folder.name] * len(found)
            splits += [split] * len(found)
    if len(files) > MOST_FILES:
        raise UserError(f"{path} is refused: it has more than {MOST_FILES:,} files.")
    return Labelled(path, files, labels, splits if named else None)
