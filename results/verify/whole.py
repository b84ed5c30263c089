"""Are the entries of a row's lists whole? What is null there would be counted, sorted or shown as if it were known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_NEEDED = {
    "predictions": ("example", "label", "prediction"),
    "groups": ("grouping", "group", "examples"),
    "rules": ("name", "accuracy"),
    "epochs": ("epoch",),
    "layers": ("layer",),
    "traces": ("layer",),
    "operations": ("part",),
    "robustness": ("corruption", "level"),
}
"""Column -> fields that each of its entries has."""


def missing_entries(row: Mapping[str, Any]) -> Iterator[str]:
    """What is null within the lists of a row and may not be, in words that follow "run ID: "."""
    for name, entries in row.items():
        if not isinstance(entries, list):
            continue
        if any(each is None for each in entries):
            yield f"an entry of its {name} is null"
            continue
        missing = (field for field in _NEEDED.get(name, ()) if any(each[field] is None for each in entries))
        yield from (f"an entry of its {name} has no {field}" for field in missing)
