"""Sweep files: what they may hold, checked, as they stand at a scale.

An axis is a list of values of a setting or group (`task: [listops]`, `neuron.leak: [0.5, 0.9]`) or a mapping from
labels to the settings that a label stands for; `task: all` is a task of every kind of the Long Range Arena.

Points `on_request` take long: they run once the command line names a label of theirs on another axis than the task.

A sweep `of` another one evaluates the runs that the other trained: it has the other's axes, seeds and baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.documents import Documents
from spike_ssm.harness.config.settings import SCALES, Settings
from spike_ssm.harness.data.suites import ALL
from spike_ssm.harness.plan.controls import ControlsFile, check_controls
from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError

NOTE = "note"
"""Key of an axis label that describes it to readers instead of setting something."""


Axes = Annotated[dict[str, Any], "must map at least one axis to its values"]
Points = Annotated[list[dict[str, Any]], "must be a list of points, each a mapping from axes to labels"]
Scales = Annotated[list[str], f"must be a list of scales, which are {', '.join(SCALES)}"]
Seeds = Annotated[list[int], "must be a list of whole numbers from 0 on"]
Base = Annotated[dict[str, Any], "must map settings to values"]
Baseline = Annotated[dict[str, Any], "must map axes to labels"]
Ranges = Annotated[dict[str, Any], "must map settings to ranges: {low: A, high: B, log: true} or {choices: [...]}"]


@dataclass
class Additions:
    """What a sweep file has more of at one scale."""

    grid: Axes = field(default_factory=dict)
    exclude: Points = field(default_factory=list)
    on_request: Points = field(default_factory=list)
    include: Points = field(default_factory=list)
    seeds: Seeds | None = None


@dataclass
class SweepFile:
    """What a sweep file holds.

    A point is left out where an exclusion names its label, or a list with it, on every axis it has; `seed` is one too.
    only_at: the scales that it is for; None: all.
    """

    title: str
    question: str
    grid: Axes
    seeds: Seeds
    base: Base = field(default_factory=dict)
    exclude: Points = field(default_factory=list)
    on_request: Points = field(default_factory=list)
    include: Points = field(default_factory=list)
    baseline: Baseline | None = None
    scales: dict[str, Additions] = field(default_factory=dict)
    tune: Ranges | None = None
    controls: ControlsFile | None = None
    only_at: Scales | None = None


@dataclass
class Sweep(SweepFile):
    """A sweep file `name` as it stands at `scale`; of: the sweep whose trained runs it evaluates, if it does."""

    name: str = ""
    scale: str = ""
    of: str | None = None

    def wrong(self, problem: str) -> UserError:
        """The sentence for a mistake in the file."""
        return UserError(f"sweep/{self.name}.yaml: {problem}.")


@dataclass
class EvaluationFile:
    """What the file of a sweep holds that evaluates the runs of another, `of`."""

    FORM: ClassVar[str] = (
        "names with `of` the sweep whose runs it evaluates, and takes axes and seeds from it: it must hold the texts "
        "title, question and of and the mapping base"
    )

    title: str
    question: str
    of: str
    base: dict[str, Any]


def named_sweep(documents: Documents, command: CommandLine, of: str | None = None) -> Sweep:
    """The sweep that the command line names, at its scale. Raises `UserError`; `of` as in `load_sweep`."""
    if command.sweep is None:
        raise UserError(f"Name a sweep with +sweep=NAME; there are {', '.join(documents.options('sweep'))}.")
    return load_sweep(documents, command.sweep, str(command.overrides.get("scale", "laptop")), of)


def load_sweep(documents: Documents, name: str, scale: str, of: str | None = None) -> Sweep:
    """The sweep file `name` as it stands at `scale`. Raises `UserError`, naming the file and the valid keys.

    of: of a sweep that evaluates another's runs, that other one, instead of the file's; it becomes part of the name.
    """
    content, file = documents.load("sweep", name), f"sweep/{name}.yaml"
    if "of" in content:
        evaluation = read_document(EvaluationFile, content, file)
        return _evaluating(name, evaluation, load_sweep(documents, of or evaluation.of, scale))
    if of is not None:
        raise UserError(f"of={of} has no meaning for the sweep {name!r}, which evaluates no other sweep's runs.")
    sweep = Sweep(**vars(read_document(SweepFile, content, file)), name=name, scale=scale)
    unknown = [each for each in (*sweep.scales, *(sweep.only_at or ())) if each not in SCALES]
    if unknown:
        raise sweep.wrong(f"scales are {', '.join(SCALES)}, not {', '.join(unknown)}")
    if sweep.only_at is not None and scale not in sweep.only_at:
        allowed = " or ".join(f"scale={each}" for each in sweep.only_at)
        raise UserError(f"The sweep {name!r} is not for scale={scale}: add {allowed}.")
    if not sweep.grid:
        raise sweep.wrong("`grid` must map at least one axis to its values")
    _check_baseline(sweep, {*sweep.grid, *(axis for more in sweep.scales.values() for axis in more.grid)})
    more = sweep.scales.get(scale, Additions())
    sweep.grid = {**sweep.grid, **more.grid}
    if "scale" in sweep.grid:
        raise sweep.wrong("a sweep has one scale, given on the command line: scale=gpu")
    if "seed" in sweep.grid:
        raise sweep.wrong("seeds are not an axis; list them as `seeds: [0, 1, 2]`")
    sweep.exclude = [*sweep.exclude, *more.exclude]
    sweep.on_request = [*sweep.on_request, *more.on_request]
    sweep.include = [*sweep.include, *more.include]
    sweep.seeds = sweep.seeds if more.seeds is None else more.seeds
    if sweep.controls:
        check_controls(
            file, sweep.controls, {axis: list(axis_of(sweep, axis, sweep.grid[axis])) for axis in sweep.grid}
        )
    return sweep


def _evaluating(name: str, evaluation: EvaluationFile, trained: Sweep) -> Sweep:
    """The runs of `trained` with the evaluation's settings too. Raises `UserError` where that trains none."""
    if trained.of is not None:
        raise UserError(f"of={trained.name} trains no runs; name a sweep that does, such as {trained.of}.")
    return replace(
        trained,
        name=name if trained.name == evaluation.of else f"{name}_{trained.name}",
        title=f"{evaluation.title}: {trained.title}",
        question=evaluation.question,
        base={**trained.base, **evaluation.base},
        of=trained.name,
    )


def axis_of(sweep: Sweep, name: str, values: Any) -> dict[str, dict[str, Any]]:
    """Label -> settings of the axis `name`, whose `values` are as in the file. Raises `UserError`."""
    values = spelled_out(sweep, name, values)
    if not isinstance(values, list | Mapping) or not values:
        raise sweep.wrong(f"the axis {name!r} is empty. Give a list of values, or labels with settings")
    if len({str(value) for value in values}) < len(set(map(repr, values))):
        raise sweep.wrong(f"the axis {name!r} has labels that differ only in type, which names cannot tell apart")
    if isinstance(values, list):
        return {str(value): {name: value} for value in values}
    for label, settings in values.items():
        if not isinstance(settings, Mapping) or not settings:
            raise sweep.wrong(f"{name}.{label} must map settings to values, but it is {settings!r}")
    return {str(label): dict(settings) for label, settings in values.items()}


def spelled_out(sweep: Sweep, name: str, values: Any) -> Any:
    """`values` of the axis `name`, with `all` as what it stands for: the suite's tasks, or every label of the file."""
    if values != "all":
        return values
    if name == "task":
        return list(ALL[sweep.scale])
    labels = list(sweep.grid[name])
    return values if "all" in labels else labels


def listed(values: Any) -> list[Any]:
    """A single value as a list of one."""
    return values if isinstance(values, list) else [values]


def _check_baseline(sweep: Sweep, axes: set[str]) -> None:
    """Raise `UserError` when the baseline names an axis that exists at no scale."""
    unknown = set(sweep.baseline or {}) - (axes - {"task"})
    if unknown:
        allowed = ", ".join(sorted(axes - {"task"}))
        raise sweep.wrong(f"the baseline's {sorted(unknown)} are not axes; it may name {allowed}")


def check_purpose(sweep: Sweep, settings: Settings) -> None:
    """Raise `UserError` unless the sweep either trains and tests its runs or evaluates those of another."""
    if not settings.test:
        raise UserError("test=false leaves a sweep nothing to report; it is for harness.train and harness.tune.")
    if sweep.of is None and settings.robustness is not None:
        raise UserError(
            f"The sweep {sweep.name!r} trains its runs, so it takes no robustness; evaluate them afterwards: "
            f"+sweep=robustness of={sweep.name}."
        )
    if sweep.of is not None and settings.robustness is None:
        raise UserError(f"The sweep {sweep.name!r} evaluates runs, but its base does not say under what: robustness.")
