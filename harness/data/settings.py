"""The common part of tasks' settings, and the checks of their values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from spike_ssm.models.named import fingerprint
from spike_ssm.results.errors import UserError

LONGEST = 1_000_000
"""Largest length of a sequence, in tokens, that settings may allow; also the bound of other numbers."""


Kind = Literal["classification", "pairs", "language"]
"""Kind of a network's answer: the class of a sequence, the class of a pair, or the next word."""


def check_limits(settings: object, limits: Mapping[str, tuple[float, float]], owner: str) -> None:
    """Raise `UserError` unless each value is None, or from its lowest to its highest; `owner` stands before its name.

    A number without a highest value whose default is None may be null for all there is, and the sentence says so.
    """
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            null = ", or null for all" if getattr(type(settings), name, low) is None else ""
            allowed = f"at least {low}{null}" if high == math.inf else f"from {low} to {high}"
            raise UserError(f"{owner}{name}={value} is not allowed: it must be {allowed}.")


@dataclass
class TaskSettings:
    """Settings of any task. Each task adds its own fields, all that its data depend on, in a subclass.

    limits: lowest and highest value of settings; choices: the values that others may have. Subclasses add theirs.
    revision: counted up when the same settings begin to give other data; part of a run's id where it is not 0.
    Raises `UserError`, as every subclass does, where a value is not allowed.
    """

    kind: ClassVar[Kind] = "classification"
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    choices: ClassVar[Mapping[str, Sequence[object]]] = {}
    revision: ClassVar[int] = 0
    name: str = "???"

    @property
    def source(self) -> str:
        """A fingerprint of what its data follow from and is the user's, else empty; part of a run's id."""
        return fingerprint(self.name)

    def __post_init__(self) -> None:
        """Check every value."""
        for base in reversed(type(self).__mro__):
            check_limits(self, vars(base).get("limits", {}), "task.")
            for field, allowed in vars(base).get("choices", {}).items():
                if (value := getattr(self, field)) not in allowed:
                    choices = " or ".join(map(str, allowed))
                    raise UserError(f"task.{field}={value} is not allowed: choose {choices}.")

    def at_length(self, factor: float) -> TaskSettings | None:  # noqa: ARG002
        """Settings of the same task with sequences `factor` times as long; None where no other examples can be made."""
        return None


@dataclass
class PartSettings(TaskSettings):
    """Settings of a task that can use a part of each split: n of its examples or words; null: all.

    Sizes can only be compared with the data once they are read.
    """

    limits: ClassVar = dict.fromkeys(("train", "validation", "test"), (1, math.inf))
    train: int | None = None
    validation: int | None = None
    test: int | None = None
