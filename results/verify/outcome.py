"""The outcome of a run: all that a leaderboard shows of it, by which two computations of the run are compared."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]

SHARES = ("test_accuracy", "shortcut_accuracy", "firing_rate")
SIZES = ("test_perplexity", "shortcut_perplexity", "energy_nj_per_token")
FIXED = ("parameters", "data_notes")
"""Columns that are compared in points, in % of the stored one, and that rounding changes nothing of."""

SHOWN = (*SHARES, *SIZES, *FIXED)


def digest(row: Row) -> str:
    """A hash of the outcome in a row: another one where any of it is another."""
    measured = [row["status"], *(row[name] for name in (*SHARES, *SIZES)), row["robustness"] or []]
    return hashed([*measured, *(row[name] or None for name in FIXED), _labels(row), _answers(row)])


def hashed(content: object) -> str:
    """The SHA-256 of plain containers, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def differences(stored: Row, again: Row) -> dict[str, float]:
    """How far two computations of a run are apart in each of the things that make up its outcome, in points.

    Of sizes in % of the stored one. What must be the same and is not, or is known of one alone, is infinitely apart.
    """
    found = {name: _apart(stored[name], again[name], 0.01) for name in SHARES}
    found |= {name: _apart(stored[name], again[name], (stored[name] or 0) / 100) for name in SIZES}
    found |= {name: _unless((stored[name] or None) == (again[name] or None)) for name in FIXED}
    found["test examples"] = _unless(_labels(stored) == _labels(again))
    found["corruptions"] = _unless(_corruptions(stored) == _corruptions(again))
    for one, other in zip(stored["robustness"] or [], again["robustness"] or [], strict=False):
        for name in ("accuracy", "firing_rate"):
            found[f"{name} under {one['corruption']} {one['level']:g}"] = _apart(one[name], other[name], 0.01)
    return found


def differing(stored: Row, again: Row) -> float | None:
    """The share of test predictions that are others; None where none are stored, or the examples are others."""
    ours, theirs = _answers(stored), _answers(again)
    if not ours or _labels(stored) != _labels(again):
        return None
    return sum(one != other for one, other in zip(ours, theirs, strict=True)) / len(ours)


def _labels(row: Row) -> list[int]:
    return [each["label"] for each in row["predictions"] or []]


def _answers(row: Row) -> list[int]:
    return [each["prediction"] for each in row["predictions"] or []]


def _corruptions(row: Row) -> list[tuple[str, float, int | None]]:
    """What a trained network was evaluated under, and on how many examples."""
    return [(each["corruption"], each["level"], each["examples"]) for each in row["robustness"] or []]


def _apart(one: float | None, other: float | None, unit: float) -> float:
    """How many units two numbers are apart."""
    if one is None or other is None or unit == 0:
        return _unless(one == other)
    return abs(one - other) / unit


def _unless(same: bool) -> float:
    return 0.0 if same else math.inf
