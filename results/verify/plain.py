"""JSON of a stranger's, read into plain containers that any walk through them gets to the end of."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 32
"""Containers within containers that a text may hold."""


def read_json(text: object) -> Any:
    """The content of a JSON text.

    Raises ValueError for anything else, for a whole number beyond 64 bits, and where it is nested beyond `DEEPEST`.
    """
    if not isinstance(text, str | bytes):
        raise ValueError("it is no text")
    try:
        content = json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not _is_shallow(content, DEEPEST):
        raise ValueError("it is nested too deeply")
    return content


def read_object(text: object) -> dict[str, Any]:
    """The object that a JSON text holds; empty where it holds none."""
    try:
        content = read_json(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _whole(digits: str) -> int:
    number = int(digits)
    if number.bit_length() >= 64:
        raise ValueError("it holds a number of more than 64 bits")
    return number


def _is_shallow(content: Any, levels: int) -> bool:
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return not inside or (levels > 0 and all(_is_shallow(each, levels - 1) for each in inside))
