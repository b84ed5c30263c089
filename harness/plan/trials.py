"""The trials of a tuning: every variant of a sweep at every point, with seeds of their own and without a test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.plan.grid import GridRun, expand
from spike_ssm.harness.plan.search_space import SAMPLERS, Axis, has_meaning, points
from spike_ssm.harness.plan.sweep_file import Sweep, named_sweep
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import instead
from spike_ssm.results.schema import MEASUREMENTS

SEEDS = [1000]
"""Seeds of trials where the command names none; far from the 0, 1, 2, ... of sweeps."""


@dataclass(frozen=True)
class Trial:
    """A run of the search: a variant at a point."""

    number: int  # counted from 0
    run: GridRun

    @property
    def task(self) -> str:
        """What it trains on."""
        name: str = self.run.settings.task.name
        return name

    @property
    def label(self) -> str:
        """What people see."""
        return f"{self.run.label} · trial {self.number}"


@dataclass(frozen=True)
class Search:
    """What the command is to do."""

    sweep: Sweep
    axes: list[Axis]
    budget: int
    sampler: str
    seeds: list[int]
    trials: list[Trial]

    @property
    def runs(self) -> list[GridRun]:
        """Each once: points that differ only in what has no meaning for a variant are one run."""
        return list({trial.run.plan.id: trial.run for trial in self.trials}.values())

    def lacking(self) -> dict[str, list[str]]:
        """Axis -> variants on which it is not tuned, because they lack the setting or fix it themselves."""
        variants = dict.fromkeys(trial.run.plan.variant for trial in self.trials)
        tuned = {(name, trial.run.plan.variant) for trial in self.trials for name in trial.run.tuned}
        return {
            axis.name: left
            for axis in self.axes
            if (left := [variant for variant in variants if (axis.name, variant) not in tuned])
        }


def plan(composer: Composer, command: CommandLine) -> Search:
    """The trials that the command asks for. Raises `UserError`, e.g. where the variants share no axis."""
    sweep = named_sweep(composer, command)
    command.refuse("harness.tune", takes="axes and settings of the sweep", keys=("test", "robustness"))
    overrides, flags = dict(command.overrides), command.flags
    budget, sampler = _budget(flags.budget), _sampler(SAMPLERS[0] if flags.sampler is None else flags.sampler)
    if sweep.of is not None:
        raise UserError(f"The sweep {sweep.name!r} trains nothing; tune the one that it evaluates, {sweep.of!r}.")
    seeds = overrides.pop("seed", SEEDS)
    seeds = seeds if isinstance(seeds, list) else [seeds]
    if shared := sorted(set(seeds) & set(sweep.seeds)):
        raise UserError(f"The sweep {sweep.name!r} has the seeds {sweep.seeds} itself; tune with others than {shared}.")
    axes = [axis for axis in _axes(composer, sweep) if axis.name not in overrides]
    if not axes:
        raise UserError(
            f"Every axis of the tuning of {sweep.name!r} is set on the command line: nothing is left to tune."
        )
    trials = []
    apart = CommandLine(sweep.name, {**overrides, "seed": seeds, "test": False, "keep_weights": False})
    for number, point in enumerate(points(axes, budget, sampler)):

        def meaningful(settings: Settings, variant: str, point: dict[str, Any] = point) -> dict[str, Any]:  # noqa: ARG001
            return {name: value for name, value in point.items() if has_meaning(name, settings)}

        trials += [Trial(number, run) for run in expand(composer, apart, sweep, meaningful).runs]
    search = Search(sweep, axes, budget, sampler, seeds, trials)
    _check(search)
    return search


def _budget(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        given = "none is given" if value is None else f"it is {value}"
        raise UserError(f"budget must be a whole number of trials from 1 on, but {given}: budget=8.")
    return value


def _sampler(value: Any) -> str:
    if value not in SAMPLERS:
        raise UserError(f"sampler {value!r} does not exist; {instead(value, SAMPLERS)}")
    return str(value)


def _axes(composer: Composer, sweep: Sweep) -> list[Axis]:
    """The axes of the sweep file, all of which must be settings of some variant, or else the default ones."""
    if sweep.tune is not None:
        content, where = sweep.tune, f"sweep/{sweep.name}.yaml: tune"
    else:
        content, where = composer.load("tune", "default"), "tune/default.yaml"
    axes = [Axis.read(str(name), entry, where) for name, entry in content.items()]
    if sweep.tune is not None:
        everything = expand(composer, CommandLine(sweep.name, {"scale": sweep.scale}), sweep).runs
        for axis in axes:
            if not any(has_meaning(axis.name, run.settings) for run in everything):
                raise UserError(
                    f"The axis {axis.name} is a setting of no variant of {sweep.name!r}: correct or remove it."
                )
    return axes


def _check(search: Search) -> None:
    """Raise `UserError` unless there is something to tune, and something in common."""
    settings = search.trials[0].run.settings
    if settings.task.name in MEASUREMENTS:
        raise UserError(f"The sweep {search.sweep.name!r} measures and trains nothing, so there is nothing to tune.")
    lacking = search.lacking()
    if all(axis.name in lacking for axis in search.axes):
        whose = "; ".join(f"{name} is not one of {', '.join(left)}" for name, left in lacking.items())
        raise UserError(
            f"The variants of {search.sweep.name!r} share no tunable axis, so no tuning would be equal: {whose}. "
            "Give the sweep file an axis under `tune` that all have, such as optim.lr, or narrow the variants."
        )
