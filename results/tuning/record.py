"""Result of a tuning: the chosen settings of every variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Choice:
    """Outcome of the trials of a variant on a task."""

    done: int  # trials, all of whose seeds finished
    failed: int
    trial: int | None = None  # the chosen one, counted from 0; None where all failed
    score: float | None = None  # its mean over seeds, of validation `measure`
    measure: str = "accuracy"  # or perplexity
    values: dict[str, Any] = field(default_factory=dict)  # its settings
    edges: list[str] = field(default_factory=list)  # settings at an end of their range: a wider one might do better


@dataclass(frozen=True)
class Tuning:
    """The outcome for all variants: equally many trials, at the same points, each with what it has of the axes."""

    sweep: str
    scale: str
    command: str
    code_version: str
    sampler: str
    budget: int  # trials for each variant and task
    seeds: list[int]
    axes: dict[str, Any]  # setting -> its range: {low, high, log} or {choices}
    lacking: dict[str, list[str]]  # setting -> variants on which it is not tuned
    chosen: dict[str, dict[str, Choice]]  # task -> variant -> choice

    def choice(self, task: str, variant: str) -> Choice | None:
        """Choice for `variant` on `task`; None where the variant was not tuned, or no trial finished."""
        found = self.chosen.get(task, {}).get(variant)
        return found if found is not None and found.trial is not None else None

    def joined(self, earlier: Tuning) -> Tuning:
        """The tuning, joined by an `earlier` one's choices for other tasks and variants."""
        chosen = {
            task: {**earlier.chosen.get(task, {}), **self.chosen.get(task, {})}
            for task in [*earlier.chosen, *(task for task in self.chosen if task not in earlier.chosen)]
        }
        lacking = {
            axis: list(dict.fromkeys([*earlier.lacking.get(axis, []), *self.lacking.get(axis, [])]))
            for axis in self.axes
            if axis in earlier.lacking or axis in self.lacking
        }
        return replace(self, chosen=chosen, lacking=lacking)

    def is_same_search(self, other: Tuning) -> bool:
        """Whether the other tried the same points with the same seeds."""
        return all(getattr(self, name) == getattr(other, name) for name in ("axes", "sampler", "budget", "seeds"))

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Tuning:
        """The inverse of `dataclasses.asdict`. Raises TypeError or AttributeError for anything else."""
        chosen = {
            task: {variant: Choice(**choice) for variant, choice in variants.items()}
            for task, variants in content["chosen"].items()
        }
        return Tuning(**{**content, "chosen": chosen})
