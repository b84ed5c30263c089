"""From a sweep file to its runs: a product of axes, less exclusions, plus inclusions, times seeds.

An axis is a list of values of a setting or group (`task: [listops]`, `neuron.leak: [0.5, 0.9]`) or a mapping from
labels to the settings that a label stands for; `task: all` is a task of every kind of the Long Range Arena. On the
command line an axis narrows the sweep; everything else set there holds for every run.

A sweep `of` another one evaluates the runs that the other trained: it has the other's axes, seeds and baseline.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.compose import CommandLine, Composer
from harness.errors import UserError
from harness.robustness.settings import RANGES
from harness.robustness.sweep import evaluating
from harness.settings import SCALES, Settings
from harness.slurm import automatic_launcher
from harness.tasks import ALL, TASKS
from results.schema import PlannedRun

LISTS = frozenset(f"robustness.{corruption}" for corruption in RANGES)
"""Settings that hold lists: on the command line they take one value or several without being an axis."""

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
    of: str | None = None


@dataclass(frozen=True)
class GridRun:
    """A run of the sweep with its settings; `tuned` are those of them that a tuning chose, by name."""

    plan: PlannedRun
    settings: Settings
    tuned: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What people see: task, variant and seed."""
        return f"{self.settings.task.name} · {self.plan.variant} · seed {self.plan.seed}"


@dataclass(frozen=True)
class Grid:
    """The runs of a sweep, its baseline variant and a note for each variant that has one."""

    runs: list[GridRun]
    baseline: str | None
    variant_notes: dict[str, str]


_Axes = dict[str, dict[str, dict[str, Any]]]
"""Axis -> label -> settings."""

Tuned = Callable[[Settings, str], Mapping[str, Any]]
"""From a run's settings and variant to settings that were chosen for it."""


def untuned(settings: Settings, variant: str) -> dict[str, Any]:  # noqa: ARG001 (a `Tuned`)
    """Nothing was chosen."""
    return {}


def load_sweep(composer: Composer, name: str, scale: str, of: str | None = None) -> Sweep:
    """The sweep file `name` as it stands at `scale`. Raises `UserError`, naming the file and the valid keys.

    of: of a sweep that evaluates another's runs, that other one, instead of the file's; it becomes part of the name.
    """
    content = composer.load("sweep", name)
    if "of" in content:
        return evaluating(name, content, of, lambda trained: load_sweep(composer, trained, scale))
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
    return sweep


_SHAPES: dict[str, tuple[type, type, str]] = {
    "title": (str, str, "must be a text"),
    "question": (str, str, "must be a text"),
    "grid": (dict, object, "must map at least one axis to its values"),
    "seeds": (list, int, "must be a list of whole numbers from 0 on"),
    "base": (dict, object, "must map settings to values"),
    "exclude": (list, dict, "must be a list of points, each a mapping from axes to labels"),
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


def expand(composer: Composer, command: CommandLine, sweep: Sweep, tuned: Tuned = untuned) -> Grid:
    """All runs of `sweep` that the command line leaves, each once. Raises `UserError`.

    What was `tuned` goes before the sweep's base, behind a variant's own settings and the command line.
    """
    automatic = {"launcher": automatic_launcher()}
    overrides = {key: value for key, value in command.overrides.items() if (key, value) != ("launcher", "auto")}
    overrides |= {key: _listed(value) for key, value in overrides.items() if key in LISTS}
    seeds = _listed(overrides.pop("seed", sweep.seeds))
    if not seeds or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise UserError(f"The seeds of sweep {sweep.name!r} must be whole numbers from 0 on, but they are {seeds}.")
    axes = {name: _axis(sweep, name, values) for name, values in sweep.grid.items()}
    for name in set(axes) & set(overrides):
        axes[name] = _narrowed(name, axes[name], _spelled_out(sweep, name, overrides.pop(name)))
    for key, value in overrides.items():
        if isinstance(value, list) and key not in LISTS:
            raise UserError(
                f"{key} is not an axis of sweep {sweep.name!r} (its axes are {', '.join([*axes, 'seed'])}), "
                "so it takes one value."
            )
    runs: dict[str, GridRun] = {}
    notes: dict[str, str] = {}
    for point, its_seeds in _points(sweep, axes, seeds):
        if not its_seeds:
            continue
        chosen = [axes[axis][label] for axis, label in point.items()]
        values = {key: value for settings in chosen for key, value in settings.items() if key != NOTE}
        variant = " / ".join(label for axis, label in point.items() if axis != "task") or "default"
        notes[variant] = " ".join(str(settings[NOTE]) for settings in chosen if NOTE in settings)
        for seed in its_seeds:
            own = {**values, "seed": seed, **overrides}
            settings = composer.settings({**automatic, **sweep.base, **own})
            found = {key: value for key, value in tuned(settings, variant).items() if key not in own}
            if found:
                settings = composer.settings({**automatic, **sweep.base, **found, **own})
            plan = PlannedRun(settings.run_id(), point, variant, seed)
            runs.setdefault(plan.id, GridRun(plan, settings, found))
    if not runs:
        raise UserError(f"Nothing is left of sweep {sweep.name!r} after its exclusions.")
    return Grid(list(runs.values()), _baseline(sweep, list(axes)), {name: note for name, note in notes.items() if note})


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _spelled_out(sweep: Sweep, name: str, values: Any) -> Any:
    """`values` of the axis `name`, with `task: all` as the list it stands for."""
    return list(ALL[sweep.scale]) if name == "task" and values == "all" else values


def _axis(sweep: Sweep, name: str, values: Any) -> dict[str, dict[str, Any]]:
    values = _spelled_out(sweep, name, values)
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


def _narrowed(name: str, axis: dict[str, dict[str, Any]], wanted: Any) -> dict[str, dict[str, Any]]:
    """The labels asked for. On an axis of plain values, values that the sweep does not list are fine too."""
    plain = all(list(settings) == [name] for settings in axis.values())
    narrowed = {}
    for value in _listed(wanted):
        label = str(value)
        if label not in axis and not plain:
            raise UserError(f"{name}={label} is not on this sweep's axis; choose from {', '.join(axis)}.")
        narrowed[label] = axis.get(label, {name: value})
    return narrowed


def _points(sweep: Sweep, axes: _Axes, seeds: list[int]) -> Iterator[tuple[dict[str, str], list[int]]]:
    """Every point with its seeds: what the exclusions leave of the product, then the inclusions."""
    rules = [_checked_rule(sweep, rule) for rule in sweep.exclude]
    for labels in itertools.product(*axes.values()):
        point = dict(zip(axes, labels, strict=True))
        yield point, [seed for seed in seeds if not any(_matches(rule, point, seed) for rule in rules)]
    for included in sweep.include:
        point = _checked_point(sweep, included)
        if set(point) != set(axes):
            raise UserError(f"sweep/{sweep.name}.yaml: an include must name every axis: {', '.join(axes)}.")
        if all(label in axes[axis] for axis, label in point.items()):
            yield point, seeds


def _matches(rule: Mapping[str, list[str]], point: Mapping[str, str], seed: int) -> bool:
    labels = {**point, "seed": str(seed)}
    return all(labels[axis] in allowed for axis, allowed in rule.items())


def _checked_rule(sweep: Sweep, rule: Mapping[str, Any]) -> dict[str, list[str]]:
    """Of an exclusion, the labels named on each axis. Raises `UserError` as `_checked_point` does."""
    listed = {axis: _listed(labels) for axis, labels in rule.items()}
    for axis, labels in listed.items():
        for label in labels if axis != "seed" else []:
            _checked_point(sweep, {axis: label})
    return {axis: [str(label) for label in labels] for axis, labels in listed.items()}


def _checked_point(sweep: Sweep, point: Mapping[str, Any]) -> dict[str, str]:
    """`point` with its labels as text. Raises `UserError` for an axis or label that the sweep file does not have."""
    if set(point) - set(sweep.grid):
        raise UserError(
            f"sweep/{sweep.name}.yaml: {sorted(point)} are not all axes; the axes are {', '.join(sweep.grid)}."
        )
    for axis, label in point.items():
        labels = _axis(sweep, axis, sweep.grid[axis])
        if str(label) not in labels and not (axis == "task" and str(label) in TASKS):
            raise UserError(f"sweep/{sweep.name}.yaml: {axis}={label} is not on the axis; it has {', '.join(labels)}.")
    return {axis: str(label) for axis, label in point.items()}


def _check_baseline(sweep: Sweep, axes: set[str]) -> None:
    """Raise `UserError` when the baseline names an axis that exists at no scale."""
    unknown = set(sweep.baseline or {}) - (axes - {"task"})
    if unknown:
        allowed = ", ".join(sorted(axes - {"task"}))
        raise UserError(
            f"sweep/{sweep.name}.yaml: the baseline's {sorted(unknown)} are not axes; it may name {allowed}."
        )


def _baseline(sweep: Sweep, axes: list[str]) -> str | None:
    """The baseline's variant, from the axes that exist at this scale."""
    if sweep.baseline is None:
        return None
    axes = [axis for axis in axes if axis != "task"]
    if not set(axes) <= set(sweep.baseline):
        raise UserError(f"sweep/{sweep.name}.yaml: the baseline must name every axis: {', '.join(axes)}.")
    named = {axis: str(sweep.baseline[axis]) for axis in axes}
    for axis, label in named.items():
        if label not in _axis(sweep, axis, sweep.grid[axis]):
            raise UserError(f"sweep/{sweep.name}.yaml: the baseline's {axis}={label} is not on the axis {axis!r}.")
    return " / ".join(named.values()) or "default"
