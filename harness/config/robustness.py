"""Which corruptions a trained network is evaluated under, and at which levels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

FULL_PRECISION = 32
"""Bits at which nothing is rounded."""


class Range(NamedTuple):
    """The levels that a corruption may have, what they are, and the one at which it changes nothing."""

    neutral: float
    low: float
    high: float
    words: str
    whole: bool = False
    above_low: bool = False  # the lowest itself is not allowed


_BITS = Range(FULL_PRECISION, 2, 16, f"a whole number of bits from 2 to 16, or {FULL_PRECISION}", whole=True)
RANGES = {
    "input_noise": Range(0, 0, 100, "a standard deviation from 0 to 100, in those of the encoder's output"),
    "token_corruption": Range(0, 0, 1, "a share of tokens from 0 to 1"),
    "length": Range(1, 0, 8, "a factor above 0 and up to 8", above_low=True),
    "spike_deletion": Range(0, 0, 1, "a probability from 0 to 1"),
    "spike_insertion": Range(0, 0, 1, "a probability from 0 to 1"),
    "weight_bits": _BITS,
    "state_bits": _BITS,
    "threshold_jitter": Range(0, 0, 3, "a standard deviation of the threshold's logarithm from 0 to 3"),
}
"""Corruption -> its levels, in the order in which they are evaluated and shown."""


@dataclass
class RobustnessSettings:
    """Levels by corruption, see docs/reports.md; none: the corruption is not evaluated.

    streamed_examples: n test examples, from the first on, are evaluated with rounded states, one time step after the
    other.
    """

    input_noise: list[float] = field(default_factory=list)
    token_corruption: list[float] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    spike_deletion: list[float] = field(default_factory=list)
    spike_insertion: list[float] = field(default_factory=list)
    weight_bits: list[float] = field(default_factory=list)
    state_bits: list[float] = field(default_factory=list)
    threshold_jitter: list[float] = field(default_factory=list)
    streamed_examples: int = 256

    def __post_init__(self) -> None:
        """Raise ValueError for a level out of its range or named twice, or when there is nothing to evaluate."""
        for corruption, allowed in RANGES.items():
            levels: list[float] = getattr(self, corruption)
            for level in levels:
                if not _is_allowed(level, allowed):
                    raise ValueError(f"robustness.{corruption}: a level must be {allowed.words}, but it is {level:g}.")
            if len(set(levels)) < len(levels):
                raise ValueError(f"robustness.{corruption}: a level is named twice in {levels}.")
        if not any(getattr(self, corruption) for corruption in RANGES):
            raise ValueError(f"robustness: no corruption has a level; the corruptions are {', '.join(RANGES)}.")
        if self.streamed_examples < 1:
            raise ValueError(f"robustness.streamed_examples must be at least 1, but it is {self.streamed_examples}.")

    def levels(self) -> dict[str, list[float]]:
        """Levels by corruption that is asked for: the neutral level and then the others, rising."""
        wanted = {name: set(getattr(self, name)) for name in RANGES}
        return {
            name: [RANGES[name].neutral, *sorted(levels - {RANGES[name].neutral})]
            for name, levels in wanted.items()
            if levels
        }


def _is_allowed(level: float, allowed: Range) -> bool:
    if not math.isfinite(level) or (allowed.whole and level != int(level)):
        return False
    above = allowed.low < level if allowed.above_low else allowed.low <= level
    return level == allowed.neutral or (above and level <= allowed.high)
