"""What tasks' settings have in common, and the checks of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from spike_ssm.results.errors import UserError

LONGEST = 1_000_000
"""Tokens that a sequence may be allowed to have, and whatever else needs a bound."""


Kind = Literal["classification", "pairs", "language"]
"""What a network answers: the class of a sequence, or of two, or the next word."""


@dataclass
class TaskSettings:
    """What every task's settings have. Each task adds its own fields, all that its data depend on, in a subclass.

    limits: lowest and highest value of settings; choices: the values that others may have. Subclasses add theirs.
    Raises `UserError`, as every subclass does, where a value is not allowed.
    """

    kind: ClassVar[Kind] = "classification"
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    choices: ClassVar[Mapping[str, Sequence[str]]] = {}
    name: str = "???"

    def __post_init__(self) -> None:
        """Check every value."""
        for base in reversed(type(self).__mro__):
            for field, (low, high) in vars(base).get("limits", {}).items():
                value = getattr(self, field)
                if value is not None and not low <= value <= high:
                    raise UserError(f"task.{field}={value} is not allowed: it must be from {low} to {high}.")
            for field, allowed in vars(base).get("choices", {}).items():
                if getattr(self, field) not in allowed:
                    raise UserError(
                        f"task.{field}={getattr(self, field)} does not exist: choose {' or '.join(allowed)}."
                    )

    def at_length(self, factor: float) -> TaskSettings | None:  # noqa: ARG002
        """Settings of the same task with sequences `factor` times as long; None where no other examples can be made."""
        return None


@dataclass
class PartSettings(TaskSettings):
    """What settings have where a part of each split can be used: n of its examples or words; null: all.

    Sizes can only be compared with the data once they are read.
    """

    train: int | None = None
    validation: int | None = None
    test: int | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        super().__post_init__()
        for split in ("train", "validation", "test"):
            size = getattr(self, split)
            if size is not None and size < 1:
                raise UserError(f"task.{split}={size} is not allowed: it must be at least 1, or null for all.")
