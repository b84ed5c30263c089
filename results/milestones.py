"""Is a run learning? Where it stands after some epochs, beside chance, the task's shortcut and S4.

Validation accuracy after e epochs is compared with the accuracy of a rule, such as always answering the commonest
label. The rule's is of m test examples, the network's of n validation examples; of two that are equal the difference
of 2 arcsin(sqrt(accuracy)) is about normal with the variance 1 / n + 1 / m (Anscombe 1948), also where they are
small. What is called above or below differs by more than a normal deviate at 5 %, one-sided, divided by e because the
best of e epochs is looked at (Bonferroni): of networks that answer no better than chance about one in twenty at most
is not called `still at chance`. Where the next word is the task, perplexities are compared as they are: words are not
independent, so there is no such error to state, and no chance either.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

Standing = Literal["still at chance", "takes off", "below the shortcut", "above the shortcut", "diverged"]
"""The standings that a run may have.

still at chance: no epoch is shown to lie above the commonest label. takes off: one is, and on which side of the
shortcut it lies is not shown, or there is none. below, above the shortcut: shown of the best epoch. diverged: a loss
is no number, or accuracy was above chance, fell, and is no longer.
"""

LEVEL = 0.05

S4_BY_EPOCH: Mapping[str, tuple[int, float]] = {
    "listops": (10, 0.50),
    "text": (10, 0.80),
    "retrieval": (10, 0.80),
    "image": (20, 0.80),
    "pathfinder": (20, 0.90),
    "pathx": (10, 0.92),
}
"""Task -> epoch, and what S4 has reached by then on the published data.

Approximate, by its authors: `acc @ epoch` in models/s4/experiments.md of state-spaces/s4.
"""

DIVERGED_ERROR = "Training diverged"
"""How the error of a run begins whose loss, or anything else, is no finite number any more."""


@dataclass(frozen=True)
class Milestones:
    """What a run is measured by: accuracies, fractions, of rules on `test_examples`, and the examples of its own.

    None where something is not known; without `validation_examples`, as in results from before it was stored, their
    number counts as that of the test examples.
    """

    majority_accuracy: float | None = None
    shortcut_accuracy: float | None = None
    shortcut_perplexity: float | None = None  # where the next word is the task
    test_examples: int = 0
    validation_examples: int | None = None

    @property
    def own_examples(self) -> int:
        """The examples that validation accuracies are of."""
        return self.validation_examples or self.test_examples


def standing(epochs: Sequence[Mapping[str, Any]], milestones: Milestones) -> Standing | None:
    """Standing of a run after `epochs`, rows of `results.schema.EPOCHS`; None before the first, or without a rule."""
    if not epochs:
        return None
    losses, accuracies = ([row[f"validation_{name}"] for row in epochs] for name in ("loss", "accuracy"))
    if any(loss is None for loss in losses):
        return None
    if not all(map(math.isfinite, losses)):
        return "diverged"
    if milestones.shortcut_perplexity is not None:
        return _of_words(losses, math.log(max(milestones.shortcut_perplexity, 1.0)))
    if milestones.majority_accuracy is None or not milestones.test_examples:
        return None
    if not all(accuracy is not None and 0 <= accuracy <= 1 for accuracy in accuracies):
        return None
    return _of_classes(accuracies, milestones.majority_accuracy, milestones)


def _of_words(losses: Sequence[float], shortcut: float) -> Standing:
    """Standing by the logarithms of perplexities."""
    if min(losses) < shortcut < losses[-1]:
        return "diverged"
    return "above the shortcut" if min(losses) < shortcut else "below the shortcut"


def _of_classes(accuracies: Sequence[float], chance: float, milestones: Milestones) -> Standing:
    deviate = NormalDist().inv_cdf(1 - LEVEL / len(accuracies))
    best, last, shortcut = max(accuracies), accuracies[-1], milestones.shortcut_accuracy
    own, rules = milestones.own_examples, milestones.test_examples
    if _deviates(best, own, chance, rules) <= deviate:
        return "still at chance"
    if _deviates(last, own, chance, rules) <= deviate < _deviates(best, own, last, own):
        return "diverged"
    beside = 0.0 if shortcut is None else _deviates(best, own, shortcut, rules)
    if abs(beside) <= deviate:
        return "takes off"
    return "above the shortcut" if beside > 0 else "below the shortcut"


def _deviates(one: float, of: int, other: float, of_other: int) -> float:
    """Normal deviates by which one accuracy lies above another, each of so many examples."""
    distance = 2 * (math.asin(math.sqrt(one)) - math.asin(math.sqrt(other)))
    return distance / math.sqrt(1 / of + 1 / of_other)


_STOPS: Mapping[str, tuple[Standing, ...]] = {
    "at_chance": ("still at chance",),
    "below_shortcut": ("below the shortcut", "still at chance"),
    "diverged": ("diverged",),
}


@dataclass(frozen=True)
class Stop:
    """A rule by which a run ends early: where it stands at the end of `epoch`, or of any if that is None."""

    word: str
    epoch: int | None = None

    @staticmethod
    def parse(text: str) -> Stop:
        """The rule `at_chance@EPOCH`, `below_shortcut@EPOCH` or `diverged`. Raises ValueError with a sentence."""
        word, at, epoch = text.partition("@")
        if word not in _STOPS:
            raise ValueError(
                f"stop_if={text!r} does not exist: give at_chance@EPOCH, below_shortcut@EPOCH or diverged."
            )
        if word == "diverged":
            if at:
                raise ValueError(f"stop_if={text}: a run that diverged ends at any epoch; give diverged alone.")
            return Stop(word)
        if not epoch.isdecimal() or not 1 <= int(epoch) <= 10**6:
            raise ValueError(f"stop_if={text} needs the epoch at whose end the run may stop, such as {word}@5.")
        return Stop(word, int(epoch))

    def applies(self, epochs: Sequence[Mapping[str, Any]], milestones: Milestones) -> bool:
        """Whether a run ends after `epochs`: a function of these alone, the same whenever it is asked."""
        if self.epoch not in (None, len(epochs)):
            return False
        return standing(epochs, milestones) in _STOPS[self.word]


@dataclass(frozen=True)
class Judged:
    """Standing of a stored run, and what else there is to say of how it learned."""

    standing: Standing | None
    stopped_at: int | None = None  # the epoch after which `stop_if` ended it
    reached_s4: bool | None = None  # S4's accuracy by its epoch; None where there is none, or it is still to come

    @property
    def words(self) -> str:
        """`stopped at epoch 2: still at chance`, or where it stands alone; empty where that is not known."""
        if self.standing is None:
            return ""
        return self.standing if self.stopped_at is None else f"stopped at epoch {self.stopped_at}: {self.standing}"


COLUMNS = (
    "id", "status", "error", "task", "scale", "config", "majority_accuracy", "shortcut_accuracy",
    "shortcut_perplexity", "validation_examples", "epochs", "predictions",
)  # fmt: skip
"""Columns of `results.schema.RUN` that `judged` reads."""


def judged(row: Mapping[str, Any]) -> Judged:
    """Standing of the run of a stored row; of `predictions` only the number counts, and null says nothing."""
    error = row["error"]
    if row["status"] != "done":
        failed_so = isinstance(error, str) and error.startswith(DIVERGED_ERROR)
        return Judged("diverged" if failed_so else None)
    epochs = row["epochs"]
    if not isinstance(epochs, list) or not epochs:
        return Judged(None)
    predictions = row["predictions"]
    known = {name: _known(row[name]) for name in ("majority_accuracy", "shortcut_accuracy", "shortcut_perplexity")}
    own = _known(row["validation_examples"])
    milestones = Milestones(
        **known,
        test_examples=0 if predictions is None or isinstance(predictions, float) else len(predictions),
        validation_examples=None if own is None else int(own),
    )
    stopped_at = len(epochs) if len(epochs) < _planned_if_stopped(row["config"]) else None
    return Judged(standing(epochs, milestones), stopped_at, _reached_s4(row["task"], row["scale"], epochs))


def _planned_if_stopped(config: Any) -> int:
    """The epochs that a run with `stop_if` was to have; 0 for one without, or whose configuration cannot be read."""
    try:
        settings = json.loads(config)
        return int(settings["optim"]["epochs"]) if settings["stop_if"] else 0
    except (ValueError, TypeError, KeyError):
        return 0


def _known(value: Any) -> float | None:
    """A number of a row, of which a frame makes NaN where it is null; none of these is negative."""
    return value if isinstance(value, int | float) and 0 <= value < math.inf else None


def _reached_s4(task: Any, scale: Any, epochs: Sequence[Mapping[str, Any]]) -> bool | None:
    epoch, accuracy = S4_BY_EPOCH.get(task, (math.inf, 0.0))
    if scale != "paper" or len(epochs) < epoch:
        return None
    return max(_known(row["validation_accuracy"]) or 0.0 for row in epochs[: int(epoch)]) >= accuracy
