"""Values that no measurement gives, left out and named: a page shows what is there, whatever a file holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from spike_ssm.results.schema import MEASUREMENTS, RUN

LARGEST = 1e15
"""No count, time or size of a run is larger; sums and squares of smaller ones stay finite."""

FRACTIONS = frozenset(
    {
        "test_accuracy", "best_test_accuracy", "last_test_accuracy", "validation_accuracy", "shortcut_accuracy",
        "majority_accuracy", "train_accuracy", "accuracy", "firing_rate", "silent", "saturated", "undetermined",
        "spike_mismatch", "rate_over_time",
    }
)  # fmt: skip
_SIGNED = ["input_mean", "level"]
_SIGNED += [f"{name}_{when}" for name in ("leak", "threshold", "refractory", "decay") for when in ("before", "after")]
_LIMITS = dict.fromkeys(FRACTIONS, (0.0, 1.0)) | dict.fromkeys(_SIGNED, (-LARGEST, LARGEST))
"""Bounds of the fields of nested columns that are not those of all others, [0, `LARGEST`]."""

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

    Fractions lie in [0, 1], all other `numeric` columns in [0, `LARGEST`]; an accuracy is known of every finished run
    that trained. In nested columns a value becomes None, an entry that lacks what it needs is dropped.
    """
    found: dict[int, list[str]] = {}
    runs = runs.copy(deep=False)
    for column in numeric:
        values = pd.to_numeric(runs[column], errors="coerce")
        wrong = values.notna() & ~values.between(0, 1 if column in FRACTIONS else LARGEST)
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
            if field in needed if value is None else _is_wrong(field, value):
                yield field


def _is_wrong(field: str, value: Any) -> bool:
    """Whether a number, or any of a list, lies outside what its field may hold; NaN does."""
    low, high = _LIMITS.get(field, (0.0, LARGEST))
    if isinstance(value, list):
        known = [each for each in value if each is not None]
        return bool(known) and not (low <= min(known) and max(known) <= high and sum(known) >= low)
    return isinstance(value, float | int) and not low <= value <= high


def _without(column: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The entries that are left; of operations, whose sum counts, all or None."""
    kept = [{field: None if _is_wrong(field, value) else value for field, value in entry.items()} for entry in entries]
    whole = [entry for entry in kept if all(entry[field] is not None for field in _NEEDED.get(column, ()))]
    return None if column == "operations" and len(whole) < len(entries) else whole


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
