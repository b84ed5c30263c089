"""What every reader needs: the lines of a text file, and sentences for files that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from spike_ssm.results.errors import UserError


def lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Number, from 1, and text of each line of a UTF-8 file, its `\n` kept; one line is in memory at a time.

    Only `\n` ends a line: a text may hold the other characters that Python takes for line ends. Raises `UserError`:
    unreadable, empty, or not UTF-8.
    """
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, decode(line, f"{path}, line {number}")
    except OSError as error:
        raise unreadable(path, error) from error
    if number == 0:
        raise UserError(f"{path} is empty: delete it and get it again.")


def decode(text: bytes, place: str) -> str:
    """UTF-8 to text. `place` says in the `UserError` where the bytes stand."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place}: byte {error.start + 1} (0x{text[error.start]:02x}) is not UTF-8: "
            "the file is damaged or was saved in another encoding; get it again."
        ) from error


def one_line(reason: object) -> str:
    """What a library says, cut to fit into a sentence."""
    return " ".join(str(reason).split())[:200].rstrip(".")


def unreadable(path: Path, error: OSError) -> UserError:
    """The sentence for a file or folder that the system does not give."""
    return UserError(
        f"{path} cannot be read ({error.strerror or error}): check that it is there and that you may read it."
    )


def damaged(path: Path, reason: object, source: str) -> UserError:
    """The sentence for a file whose content cannot be right; `source` says where it comes from."""
    return UserError(f"{path} is damaged ({one_line(reason)}): delete it and get it again from {source}.")


def find_file(data_dir: Path, candidates: Sequence[str], what: str, source: str) -> Path:
    """The first of the candidates, relative to `data_dir`, that exists.

    Raises `UserError`, naming `what` was looked for and the `source` it comes from, when there is none.
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
    raise UserError(
        f"{what} is missing: {data_dir} {state} {looked}; it comes from {source}; put it there, or "
        "name the folder that holds it with paths.data=FOLDER."
    )
