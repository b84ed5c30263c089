"""Sweep files: what they may hold, checked, as they stand at a scale.

An axis is a list of values of a setting or group (`task: [listops]`, `neuron.leak: [0.5, 0.9]`) or a mapping from
labels to the settings that a label stands for; `task: all` is a task of every kind of the Long Range Arena.

A sweep `of` another one evaluates the runs that the other trained: it has the other's axes, seeds and baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.documents import Documents
from spike_ssm.harness.config.settings import SCALES, Settings
from spike_ssm.harness.data.suites import ALL
from spike_ssm.harness.plan.controls import check_controls
from spike_ssm.results.errors import UserError

NOTE = "note"
"""Key of an axis label that describes it to readers instead of setting something."""


@dataclass
class Sweep:
    """A sweep file as it stands at `scale`. `scales` holds, by scale, further `grid`, `exclude`, `include`, `seeds`.

    A point is left out where an exclusion names its label, or a list with it, on every axis it has; `seed` is one too.
    """

    name: str
    scale: str
    title: str
    question: str
    grid: dict[str, Any]
    seeds: list[int]
    base: dict[str, Any] = field(default_factory=dict)
    exclude: list[dict[str, Any]] = field(default_factory=list)
    include: list[dict[str, Any]] = field(default_factory=list)
    baseline: dict[str, str] | None = None
    scales: dict[str, dict[str, Any]] = field(default_factory=dict)
    tune: dict[str, Any] | None = None
    controls: dict[str, Any] | None = None
    of: str | None = None


def named_sweep(documents: Documents, command: CommandLine, of: str | None = None) -> Sweep:
    """The sweep that the command line names, at its scale. Raises `UserError`; `of` as in `load_sweep`."""
    if command.sweep is None:
        raise UserError(f"Name a sweep with +sweep=NAME; there are {', '.join(documents.options('sweep'))}.")
    return load_sweep(documents, command.sweep, str(command.overrides.get("scale", "laptop")), of)


def load_sweep(documents: Documents, name: str, scale: str, of: str | None = None) -> Sweep:
    """The sweep file `name` as it stands at `scale`. Raises `UserError`, naming the file and the valid keys.

    of: of a sweep that evaluates another's runs, that other one, instead of the file's; it becomes part of the name.
    """
    content = documents.load("sweep", name)
    if "of" in content:
        _check_evaluation(name, content)
        return _evaluating(name, content, load_sweep(documents, of or content["of"], scale))
    if of is not None:
        raise UserError(f"of={of} has no meaning for the sweep {name!r}, which evaluates no other sweep's runs.")
    fields = set(Sweep.__dataclass_fields__) - {"name", "scale", "of"}
    unknown = set(content) - fields
    missing = {"title", "question", "grid", "seeds"} - set(content)
    if unknown or missing:
        problem = f"unknown keys {sorted(unknown)}" if unknown else f"no {sorted(missing)}"
        raise UserError(f"The sweep file sweep/{name}.yaml has {problem}; its keys are {', '.join(sorted(fields))}.")
    sweep = Sweep(name=name, scale=scale, **_shaped(f"sweep/{name}.yaml: ", content))
    if set(sweep.scales) - set(SCALES):
        raise UserError(f"sweep/{name}.yaml: scales are {', '.join(SCALES)}, not {', '.join(map(str, sweep.scales))}.")
    extras = {label: _shaped(f"sweep/{name}.yaml: scales.{label}.", extra) for label, extra in sweep.scales.items()}
    extra = extras.get(scale, {})
    if set(extra) - {"grid", "exclude", "include", "seeds"}:
        raise UserError(
            f"sweep/{name}.yaml: scales.{scale} may hold grid, exclude, include and seeds, not {sorted(extra)}."
        )
    if not sweep.grid:
        raise UserError(f"sweep/{name}.yaml: `grid` must map at least one axis to its values.")
    _check_baseline(sweep, {*sweep.grid, *(axis for other in extras.values() for axis in other.get("grid", {}))})
    sweep.grid = {**sweep.grid, **extra.get("grid", {})}
    if "scale" in sweep.grid:
        raise UserError(f"sweep/{name}.yaml: a sweep has one scale, given on the command line: scale=gpu.")
    if "seed" in sweep.grid:
        raise UserError(f"sweep/{name}.yaml: seeds are not an axis; list them as `seeds: [0, 1, 2]`.")
    sweep.exclude = [*sweep.exclude, *extra.get("exclude", [])]
    sweep.include = [*sweep.include, *extra.get("include", [])]
    sweep.seeds = extra.get("seeds", sweep.seeds)
    if sweep.controls:
        axes = {axis: list(axis_of(sweep, axis, sweep.grid[axis])) for axis in sweep.grid}
        check_controls(f"sweep/{name}.yaml", sweep.controls, axes)
    return sweep


_EVALUATION = {"title": str, "question": str, "of": str, "base": dict}
"""What the file of a sweep that evaluates holds, and of which type."""


def _check_evaluation(name: str, content: Mapping[str, Any]) -> None:
    """Raise `UserError` unless it holds that and no more."""
    right = all(isinstance(content.get(key), kind) for key, kind in _EVALUATION.items())
    if not right or set(content) - set(_EVALUATION):
        raise UserError(
            f"sweep/{name}.yaml names with `of` the sweep whose runs it evaluates, and takes axes and seeds from it: "
            f"it must hold the texts title, question and of and the mapping base, but it holds {dict(content)}."
        )


def _evaluating(name: str, content: Mapping[str, Any], trained: Sweep) -> Sweep:
    """The runs of `trained` with the content's settings too. Raises `UserError` where that trains none."""
    if trained.of is not None:
        raise UserError(f"of={trained.name} trains no runs; name a sweep that does, such as {trained.of}.")
    return replace(
        trained,
        name=name if trained.name == content["of"] else f"{name}_{trained.name}",
        title=f"{content['title']}: {trained.title}",
        question=content["question"],
        base={**trained.base, **content["base"]},
        of=trained.name,
    )


_SHAPES: dict[str, tuple[type, type, str]] = {
    "title": (str, str, "must be a text"),
    "question": (str, str, "must be a text"),
    "grid": (dict, object, "must map at least one axis to its values"),
    "seeds": (list, int, "must be a list of whole numbers from 0 on"),
    "base": (dict, object, "must map settings to values"),
    "exclude": (list, dict, "must be a list of points, each a mapping from axes to labels"),
    "controls": (dict, object, "must map of, axis, reference, effects, controls and rates to labels"),
    "tune": (dict, object, "must map settings to ranges: {low: A, high: B, log: true} or {choices: [...]}"),
    "include": (list, dict, "must be a list of points, each a mapping from every axis to a label"),
    "baseline": (dict, object, "must map axes to labels"),
    "scales": (dict, object, "must map scales to further grid, exclude, include and seeds"),
}
"""Key of a sweep file -> its type, the type of its items where it is a list, and both in words."""


def _shaped(where: str, content: Any) -> dict[str, Any]:
    """`content` without empty keys, when every value has the shape its key asks for. Raises `UserError`."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{where.rstrip('.')} must hold keys and values, but it is {content!r}.")
    for key, value in content.items():
        kind, item, words = _SHAPES.get(key, (object, object, ""))
        needed = key in ("title", "question", "grid", "seeds")
        items = value if isinstance(value, list) else []
        right = isinstance(value, kind) and all(isinstance(each, item) for each in items)
        if not right and (needed or value is not None):
            raise UserError(f"{where}{key} {words}, but it is {value!r}.")
    return {key: value for key, value in content.items() if value is not None}


def axis_of(sweep: Sweep, name: str, values: Any) -> dict[str, dict[str, Any]]:
    """Label -> settings of the axis `name`, whose `values` are as in the file. Raises `UserError`."""
    values = spelled_out(sweep, name, values)
    if not isinstance(values, list | Mapping) or not values:
        raise UserError(
            f"sweep/{sweep.name}.yaml: the axis {name!r} is empty. Give a list of values, or labels with settings."
        )
    if isinstance(values, list):
        return {str(value): {name: value} for value in values}
    for label, settings in values.items():
        if not isinstance(settings, Mapping) or not settings:
            raise UserError(
                f"sweep/{sweep.name}.yaml: {name}.{label} must map settings to values, but it is {settings!r}."
            )
    return {str(label): dict(settings) for label, settings in values.items()}


def spelled_out(sweep: Sweep, name: str, values: Any) -> Any:
    """`values` of the axis `name`, with `task: all` as the list it stands for."""
    return list(ALL[sweep.scale]) if name == "task" and values == "all" else values


def listed(values: Any) -> list[Any]:
    """A single value as a list of one."""
    return values if isinstance(values, list) else [values]


def _check_baseline(sweep: Sweep, axes: set[str]) -> None:
    """Raise `UserError` when the baseline names an axis that exists at no scale."""
    unknown = set(sweep.baseline or {}) - (axes - {"task"})
    if unknown:
        allowed = ", ".join(sorted(axes - {"task"}))
        raise UserError(
            f"sweep/{sweep.name}.yaml: the baseline's {sorted(unknown)} are not axes; it may name {allowed}."
        )


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
