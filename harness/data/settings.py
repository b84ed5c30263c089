"""Checks of a task's settings, each a sentence where it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from spike_ssm.results.errors import UserError

LONGEST = 1_000_000
"""Tokens that a sequence may be allowed to have, and whatever else needs a bound."""


def check_range(field: str, value: float, low: float, high: float) -> None:
    """Raise `UserError` unless a setting of the task is from `low` to `high`."""
    if not low <= value <= high:
        raise UserError(f"task.{field}={value} is not allowed: it must be from {low} to {high}.")


def check_choice(field: str, value: str, allowed: Sequence[str]) -> None:
    """Raise `UserError` unless a setting of the task is one of those allowed."""
    if value not in allowed:
        raise UserError(f"task.{field}={value} does not exist: choose {' or '.join(allowed)}.")


def check_size(split: str, size: int | None) -> None:
    """Raise `UserError` unless a split can have so many examples or words; None: all."""
    if size is not None and size < 1:
        raise UserError(f"task.{split}={size} is not allowed: it must be at least 1, or null for all.")


Kind = Literal["classification", "pairs", "language"]
"""What a network answers: the class of a sequence, or of two, or the next word."""


@dataclass
class TaskSettings:
    """What every task's settings have. Each task adds its own fields, all that its data depend on, in a subclass."""

    kind: ClassVar[Kind] = "classification"
    name: str = "???"

    def at_length(self, factor: float) -> TaskSettings | None:  # noqa: ARG002
        """Settings of the same task with sequences `factor` times as long; None where no other examples can be made."""
        return None
