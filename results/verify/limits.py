"""Which values a measurement can give: what lies outside is an error of whoever wrote it."""

from __future__ import annotations

from typing import Any

LARGEST = 1e15
"""No count, time or size of a run is larger; sums and squares of smaller ones stay finite."""

FRACTIONS = frozenset(
    {
        "test_accuracy", "best_test_accuracy", "last_test_accuracy", "validation_accuracy", "shortcut_accuracy",
        "majority_accuracy", "train_accuracy", "accuracy", "firing_rate", "silent", "saturated", "undetermined",
        "spike_mismatch", "rate_over_time", "spike_after_spike", "spike_after_spike_by_chance",
    }
)  # fmt: skip
PERPLEXITIES = tuple(f"{name}_perplexity" for name in ("test", "best_test", "last_test", "validation", "shortcut"))
"""Columns of e to a loss, and no loss is negative."""

_SIGNED = ["input_mean", "level"]
_SIGNED += [f"{name}_{when}" for name in ("leak", "threshold", "refractory", "decay") for when in ("before", "after")]


def limits(field: str) -> tuple[float, float]:
    """The least and the greatest value that a numeric column, or a field of a nested one, may hold."""
    if field in FRACTIONS:
        return 0.0, 1.0
    if field in PERPLEXITIES:
        return 1.0, LARGEST
    return (-LARGEST, LARGEST) if field in _SIGNED else (0.0, LARGEST)


def is_possible(field: str, value: Any) -> bool:
    """Whether a number, or all of a list, lies within the limits of its field; NaN does not, what is no number does."""
    low, high = limits(field)
    if isinstance(value, list):
        known = [each for each in value if each is not None]
        return not known or (low <= min(known) and max(known) <= high and sum(known) >= low)
    return not isinstance(value, float | int) or low <= value <= high
