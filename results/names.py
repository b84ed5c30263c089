"""Texts that become names of files, or parts of lines that other programs read: what they may hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from spike_ssm.results.errors import UserError

_NAME = re.compile(r"\w[\w.+-]{0,199}")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")  # which show a text in another order than it has


def has_control_characters(text: str) -> bool:
    """Whether `text` holds a line's end, an escape, or anything else that a terminal obeys instead of showing it."""
    categories = {unicodedata.category(character) for character in text}
    return bool(categories & {"Cc", "Zl", "Zp"} or _DIRECTIONS.search(text))


def check_name(kind: str, name: str) -> None:
    """Raise `UserError` unless `name`, of a `kind` of file, is a plain file name; so it leads out of no folder."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"The {kind} {name!r} cannot be: a name is at most 200 letters, digits and the signs _ . + -, and begins "
            "with a letter, a digit or _."
        )


def check_line(what: str, text: str) -> None:
    """Raise `UserError` where `text` holds control characters, or is too long to be shown in a line."""
    if has_control_characters(text) or len(text) > 10_000:
        raise UserError(f"{what} {text[:200]!r} must be one line of at most 10,000 characters, none of them a control.")


def texts_in(content: Any) -> Iterator[str]:
    """All texts within plain containers, keys too."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for each in [*content, *(content.values() if isinstance(content, Mapping) else [])]:
            yield from texts_in(each)
