"""What a network and a reader need to know of a prepared data set, besides its examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Facts:
    """Facts of a prepared data set.

    symbols: the text of each token; None for grey levels and other numbers. notes: sentences on what this copy lacks or
    where it differs from the published data, shown in the report. labels: the name of each class, where it has another
    than its number. numbers: mean and deviation of the training split's numbers, where they are stored in such units.
    """

    classes: int
    symbols: list[str] | None = None
    notes: tuple[str, ...] = ()
    labels: list[str] | None = None
    numbers: tuple[float, float] | None = None


@dataclass(frozen=True)
class Baselines:
    """Scores on the test split of simple rules fitted on the training split; accuracies in [0, 1].

    rules: accuracy by the rule's name, the shortcut first. shortcut_perplexity: where the next word is to be predicted.
    shortcut_answers: to each test example; empty where there are targets at every step. groups: grouping of the test
    examples by the task's own questions -> the group of each.
    """

    majority_accuracy: float
    rules: Mapping[str, float]
    shortcut_perplexity: float | None = None
    shortcut_answers: Sequence[int] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def shortcut_accuracy(self) -> float:
        """Accuracy of the shortcut, the strongest rule."""
        return next(iter(self.rules.values()))
