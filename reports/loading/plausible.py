"""Values that no measurement gives, left out and named: a page shows what is there, whatever a file holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from spike_ssm.results.schema import MEASUREMENTS

LARGEST = 1e15
"""No count, time or size of a run is larger; sums and squares of smaller ones stay finite."""

FRACTIONS = frozenset(
    {
        "test_accuracy", "best_test_accuracy", "last_test_accuracy", "validation_accuracy", "shortcut_accuracy",
        "majority_accuracy", "train_accuracy", "accuracy", "firing_rate", "silent", "saturated", "undetermined",
        "spike_mismatch", "rate_over_time",
    }
)  # fmt: skip
_SIGNED = frozenset({"input_mean", "level"}) | {
    f"{name}_{when}" for name in ("leak", "threshold", "refractory", "decay") for when in ("before", "after")
}
"""Fields of nested columns that may lie below 0; of the others none does."""

_NESTED = ("rules", "groups", "pmbc_map", "epochs", "layers", "operations", "traces", "robustness")
_KEYS = {"epochs": "epoch", "layers": "layer", "traces": "layer", "robustness": "level"}
"""Nested column -> the field without which an entry has no place."""

_MOST_NAMED = 4


def left_out(runs: pd.DataFrame, numeric: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """`runs` without such values, and a sentence for each run that had some.

    Fractions lie in [0, 1], all other `numeric` columns in [0, `LARGEST`]; an accuracy is known of every finished run
    that trained. In nested columns a value becomes None, an entry without its place is dropped.
    """
    found: dict[int, list[str]] = {}
    runs = runs.copy(deep=False)
    for column in numeric:
        values = pd.to_numeric(runs[column], errors="coerce")
        wrong = values.notna() & ~values.between(0, 1 if column in FRACTIONS else LARGEST)
        runs[column] = values.mask(wrong)
        for place in wrong.to_numpy().nonzero()[0]:
            found.setdefault(int(place), []).append(f"{column} ({values.iloc[place]:g})")
    without = (runs["state"] == "done") & ~runs["task"].isin(MEASUREMENTS) & runs["test_accuracy"].isna()
    for place in without.to_numpy().nonzero()[0]:
        if not any(name.startswith("test_accuracy ") for name in found.get(int(place), [])):
            found.setdefault(int(place), []).append("test_accuracy (no number)")
    for column in runs.columns.intersection(list(_NESTED)):
        cleaned = list(runs[column])
        for place, entries in enumerate(cleaned):
            if isinstance(entries, list) and (wrong_fields := list(_wrong(entries))):
                cleaned[place] = _without(column, entries)
                found.setdefault(place, []).extend(f"{field} of {column}" for field in dict.fromkeys(wrong_fields))
        runs[column] = pd.Series(cleaned, runs.index, dtype=object)
    names = zip(runs["variant"], runs["task"], runs["seed"], runs["id"], strict=True)
    said = [f"{variant}, {task}, seed {seed} ({run_id})" for variant, task, seed, run_id in names]
    return runs, [f"{said[place]}: impossible, and left out: {_some(found[place])}." for place in sorted(found)]


def _wrong(entries: list[Mapping[str, Any]]) -> Iterator[str]:
    """The fields of nested entries that hold an impossible value."""
    for entry in entries:
        for field, value in entry.items():
            if _is_wrong(field, value):
                yield field


def _is_wrong(field: str, value: Any) -> bool:
    if isinstance(value, list):
        return any(_is_wrong(field, each) for each in value)
    if not isinstance(value, float | int):
        return False
    if field in FRACTIONS:
        return not 0 <= value <= 1
    return not (-LARGEST if field in _SIGNED else 0) <= value <= LARGEST


def _without(column: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{field: None if _is_wrong(field, value) else value for field, value in entry.items()} for entry in entries]
    return [entry for entry in kept if entry.get(_KEYS.get(column, ""), 0) is not None]


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
