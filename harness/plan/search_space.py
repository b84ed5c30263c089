"""Equal tuning: every variant of a sweep tries the same points on the same axes, judged on validation alone.

The points are a scrambled Sobol sequence from a fixed seed (or uniform ones), not an adaptive search: all variants meet
the very same ones, so that none wins by a luckier search, and all trials can run at once. Ours; quasi-random search is
the usual recommendation for it (Bergstra and Bengio 2012; Godbole et al., Deep Learning Tuning Playbook).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from spike_ssm.harness.config.settings import Settings
from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.tuning.record import Choice

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("qmc", "random")
"""How points are spread: a scrambled Sobol sequence, or independently and uniformly."""

EDGE = 0.05
"""A value this close to an end of its range, as a share of it, is said to lie at the edge."""

INITIAL_FIRING_RATE = "model.initial_firing_rate"
"""A setting that every network has, but that does nothing where neurons have no threshold."""

_SEED = 0


@dataclass(frozen=True)
class Range:
    """What a YAML file says of an axis."""

    FORM: ClassVar[str] = "must be {low: A, high: B, log: true or false} or {choices: [...]}"

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: list[Any] | None = None


@dataclass(frozen=True)
class Axis:
    """A setting that is tuned: from `low` to `high`, evenly in its logarithm if `log`, or one of `choices`."""

    name: str
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    choices: tuple[Any, ...] = ()

    @staticmethod
    def read(name: str, content: Any, file: str) -> Axis:
        """The axis of a YAML file's entry. Raises `UserError` where it makes no sense."""
        entry, place = read_document(Range, content, file, f"the axis {name}"), f"{file}: the axis {name}"
        if entry.choices is not None:
            if len(content) > 1 or not entry.choices:
                raise UserError(f"{place} must list at least one choice and hold nothing else, but it is {content!r}.")
            return Axis(name, choices=tuple(entry.choices))
        low, high = entry.low, entry.high
        if low is None or high is None:
            raise UserError(f"{place} needs two numbers, low and high, but it is {content!r}.")
        if not (low < high and (low > 0 or not entry.log)):
            raise UserError(
                f"{place} must have low < high, and low > 0 where it is logarithmic, but it is {content!r}."
            )
        return Axis(name, float(low), float(high), entry.log)

    def range(self) -> dict[str, Any]:
        """The inverse of `read`."""
        if self.choices:
            return {"choices": list(self.choices)}
        return {"low": self.low, "high": self.high, "log": self.log}

    def is_at_edge(self, value: Any) -> bool:
        """Whether a number lies within `EDGE` of an end of its range, where a wider range might do better."""
        if self.choices:
            return False
        scale = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return not EDGE <= share <= 1 - EDGE

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """The range as Optuna's distribution."""
        import optuna

        if self.choices:
            return optuna.distributions.CategoricalDistribution(self.choices)
        return optuna.distributions.FloatDistribution(self.low, self.high, log=self.log)


def points(axes: Sequence[Axis], budget: int, sampler: str) -> list[dict[str, Any]]:
    """`budget` points, axis -> value, numbers with four significant digits; the first n of more points are the same n.

    sampler: one of `SAMPLERS`.
    """
    import optuna  # a second of imports that no other command needs

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=_sampler(sampler))
    space = {axis.name: axis.distribution() for axis in axes}
    found = []
    for _ in range(budget):
        trial = study.ask(space)
        found.append({name: _rounded(value) for name, value in trial.params.items()})
        study.tell(trial, 0.0)
    return found


def _sampler(name: str) -> optuna.samplers.BaseSampler:
    import optuna

    by_chance = optuna.samplers.RandomSampler(_SEED)
    if name == "random":
        return by_chance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # it has been there since 2021
        return optuna.samplers.QMCSampler(
            qmc_type="sobol",
            scramble=True,
            seed=_SEED,
            independent_sampler=by_chance,  # of choices, and of the first point, which Optuna uses to learn the space
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        )


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def has_meaning(name: str, settings: Settings) -> bool:
    """Whether a run has the setting `name`, and it does something there."""
    if name == INITIAL_FIRING_RATE and not isinstance(settings.neuron, ThresholdSettings):
        return False
    node: Any = settings
    for part in name.split("."):
        if not hasattr(node, part):
            return False
        node = getattr(node, part)
    return True


def choose(
    axes: Sequence[Axis],
    scores: Mapping[int, Sequence[float | None]],
    tried: Mapping[int, Mapping[str, Any]],
    measure: str,
) -> Choice:
    """The trial of the best mean score over seeds, the earliest of equals; one with a failed seed, None, cannot win.

    scores, tried: by trial, the scores of its seeds and its settings. measure: accuracy or perplexity.
    """
    means = {
        trial: sum(of_trial) / len(of_trial)  # type: ignore[arg-type]  # mypy does not see that none is None
        for trial, of_trial in sorted(scores.items())
        if of_trial and all(score is not None and math.isfinite(score) for score in of_trial)
    }
    done, failed = len(means), len(scores) - len(means)
    if not means:
        return Choice(done, failed, measure=measure)
    best = (max if measure == "accuracy" else min)(means, key=means.__getitem__)
    values = dict(tried[best])
    edges = [axis.name for axis in axes if axis.name in values and axis.is_at_edge(values[axis.name])]
    return Choice(done, failed, best, means[best], measure, values, edges)
