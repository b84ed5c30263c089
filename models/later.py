"""Settings that came later: at their defaults they are as if they did not exist."""

from __future__ import annotations

from dataclasses import MISSING, Field, asdict, fields
from typing import Any

LATER = {"later": True}
"""Metadata of a dataclass field that came after results had been stored, and whose default changes nothing."""


def identity_of(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass of settings as plain containers, without those marked `LATER` at their defaults.

    Runs from before such a field existed keep their ids so. A `revision` of theirs other than 0 is added: the same
    values gave something else before.
    """
    values = asdict(settings)
    known = {each.name: values[each.name] for each in fields(settings) if not _as_before(each, values[each.name])}
    return known | ({"revision": settings.revision} if getattr(settings, "revision", 0) else {})


def _as_before(each: Field[Any], value: Any) -> bool:
    default = each.default if each.default_factory is MISSING else each.default_factory()
    return "later" in each.metadata and value == default
