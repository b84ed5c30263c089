"""What of some settings a run is known by: not those that came later, at their defaults, nor how it is computed."""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, fields
from typing import Any

LATER = {"later": True}
"""Metadata of a dataclass field that came after results had been stored, and whose default changes nothing."""

SAME_NUMBERS = {"same_numbers": True}
"""Metadata of a dataclass field that decides how numbers are computed; they are the same up to rounding."""


def identity_of(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass of settings as plain containers, without those that change no numbers.

    Those are marked `SAME_NUMBERS`, or `LATER` and at their defaults: runs from before a field existed keep their ids.
    A `revision` of theirs other than 0 is added: the same values gave something else before. So is the `source` of
    what is no part of this package: a fingerprint of a neuron's code, or of a file of data.
    """
    values = asdict(settings)
    known = {each.name: values[each.name] for each in fields(settings) if not _as_before(each, values[each.name])}
    return known | {label: value for label in ("revision", "source") if (value := getattr(settings, label, None))}


def _as_before(each: Field[Any], value: Any) -> bool:
    if "same_numbers" in each.metadata:
        return True
    default = each.default if each.default_factory is MISSING else each.default_factory()
    return "later" in each.metadata and value == default
