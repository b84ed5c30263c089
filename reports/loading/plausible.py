"""Values that no measurement gives, left out and named: a page shows what is there, whatever a file holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from spike_ssm.results.schema import MEASUREMENTS, RUN
from spike_ssm.results.verify.limits import is_possible, limits

_NESTED = ("rules", "groups", "pmbc_map", "epochs", "layers", "operations", "traces", "robustness")
_NEEDED = {
    "groups": ("examples",),
    "pmbc_map": tuple(field.name for field in RUN.field("pmbc_map").type.value_type),
    "epochs": ("epoch",),
    "layers": ("layer",),
    "operations": ("multiply_accumulates", "accumulates"),
    "traces": ("layer", "bin_steps"),
    "robustness": ("level",),
}
"""Nested column -> the fields without which an entry is none."""

_MOST_NAMED = 4


def left_out(runs: pd.DataFrame, numeric: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """`runs` without such values, and a sentence for each run that had some.

    What is possible says `results.reading.limits`; an accuracy is known of every finished run that trained. In
    nested columns a value becomes None, an entry that lacks what it needs is dropped.
    """
    found: dict[int, list[str]] = {}
    runs = runs.copy(deep=False)
    for column in numeric:
        values = pd.to_numeric(runs[column], errors="coerce")
        wrong = values.notna() & ~values.between(*limits(column))
        runs[column] = values.mask(wrong)
        for place in np.flatnonzero(wrong).tolist():
            found.setdefault(place, []).append(f"{column} ({values.iloc[place]:g})")
    without = (runs["state"] == "done") & ~runs["task"].isin(MEASUREMENTS) & runs["test_accuracy"].isna()
    for place in np.flatnonzero(without).tolist():
        if not any(name.startswith("test_accuracy ") for name in found.get(place, [])):
            found.setdefault(place, []).append("test_accuracy (no number)")
    for column in runs.columns.intersection(list(_NESTED)):
        cleaned = list(runs[column])
        for place, entries in enumerate(cleaned):
            if isinstance(entries, list) and (wrong_fields := list(_wrong(column, entries))):
                cleaned[place] = _without(column, entries)
                found.setdefault(place, []).extend(f"{field} of {column}" for field in dict.fromkeys(wrong_fields))
        runs[column] = pd.Series(cleaned, runs.index, dtype=object)
    names = zip(runs["variant"], runs["task"], runs["seed"], runs["id"], strict=True)
    said = [f"{variant}, {task}, seed {seed} ({run_id})" for variant, task, seed, run_id in names]
    return runs, [f"{said[place]}: impossible, and left out: {_some(found[place])}." for place in sorted(found)]


def _wrong(column: str, entries: list[Mapping[str, Any]]) -> Iterator[str]:
    """The fields of nested entries that hold an impossible value, or lack one that is needed."""
    needed = _NEEDED.get(column, ())
    for entry in entries:
        for field, value in entry.items():
            if field in needed if value is None else not is_possible(field, value):
                yield field


def _without(column: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The entries that are left; of operations, whose sum counts, all or None."""
    kept = [
        {field: value if is_possible(field, value) else None for field, value in entry.items()} for entry in entries
    ]
    whole = [entry for entry in kept if all(entry[field] is not None for field in _NEEDED.get(column, ()))]
    return None if column == "operations" and len(whole) < len(entries) else whole


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
