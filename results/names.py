"""Texts that become names of files, or parts of lines that other programs read: what they may hold."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from spike_ssm.results.errors import UserError

_NAME = re.compile(r"\w[\w.+-]{0,199}")
_SHORT = 12
"""Names that a sentence lists beside the one that was probably meant."""

_QUOTED = 60
"""Characters of a text that a sentence quotes."""

_CLOSE = 0.7
"""How alike two names are, from 0 to 1, one of which may be the other, mistyped."""

_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")  # which show a text in another order than it has


def has_control_characters(text: str) -> bool:
    """Whether `text` holds a line's end, an escape, or anything else that a terminal obeys instead of showing it."""
    categories = {unicodedata.category(character) for character in text}
    return bool(categories & {"Cc", "Zl", "Zp"} or _DIRECTIONS.search(text))


def visible(text: str) -> str:
    """`text` as one line that can be shown anywhere: what a terminal would obey stands there as Python writes it.

    So do halves of characters, which come out of JSON: no file or terminal takes them.
    """
    return "".join(ascii(each)[1:-1] if has_control_characters(each) or _is_half(each) else each for each in text)


def _is_half(character: str) -> bool:
    return unicodedata.category(character) == "Cs"


def quoted(value: object) -> str:
    """A value for a sentence; of a text its beginning."""
    return repr(value if not isinstance(value, str) else value[:_QUOTED])


def count(amount: int, noun: str, plural: str = "") -> str:
    """`1 run`, `2 runs`, `no runs`; `2 entries` with a `plural` of its own."""
    return f"{amount or 'no'} {noun if amount == 1 else plural or noun + 's'}"


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


def instead(
    given: object, allowed: Iterable[object], among: str = "choose one of", listed: Iterable[object] | None = None
) -> str:
    """The end of a sentence about a name that is not `allowed`: the one that was meant, and those that there are.

    "did you mean A? Choose one of A, B.", or "choose one of A, B." where none is like the given one. Many are not
    listed beside the one that was meant. listed: those of the allowed ones to list, otherwise all.
    """
    names = list(dict.fromkeys(map(str, allowed)))
    meant = sorted((-likeness, name) for name in names if (likeness := _likeness(str(given), name)))[:2]
    shown = names if listed is None else list(map(str, listed))
    end = f"{among} {', '.join(shown)}".rstrip() + "."
    if not meant:
        return end
    asked = f"did you mean {' or '.join(name for _, name in meant)}?"
    return f"{asked} {end[0].upper()}{end[1:]}" if len(shown) <= _SHORT else asked


def _likeness(given: str, name: str) -> float:
    """Above 0 where one name may be the other, mistyped; of dotted ones each part may be, or the last is the same."""
    (above, _, last), (its_above, _, its_last) = given.rpartition("."), name.rpartition(".")
    parts = [difflib.SequenceMatcher(None, *pair).ratio() for pair in ((last, its_last), (above, its_above))]
    return sum(parts) if min(parts) >= _CLOSE or (parts[0] == 1 and its_above) else 0


def texts_in(content: Any) -> Iterator[str]:
    """All texts within plain containers, keys too."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for each in [*content, *(content.values() if isinstance(content, Mapping) else [])]:
            yield from texts_in(each)
