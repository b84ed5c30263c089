"""From a sweep to its runs: a product of axes, less exclusions, plus inclusions, times seeds.

On the command line an axis narrows the sweep; everything else set there holds for every run.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.groups import off_axis
from spike_ssm.harness.config.robustness import RANGES
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.plan.controls import planned_controls
from spike_ssm.harness.plan.labels import JOINT, Axes, check_alike, check_labels, check_overrides
from spike_ssm.harness.plan.sweep_file import NOTE, Sweep, axis_of, listed, spelled_out
from spike_ssm.harness.system.slurm import automatic_launcher
from spike_ssm.results.errors import UserError
from spike_ssm.results.schema import Controls, PlannedRun, run_label

LISTS = frozenset(f"robustness.{corruption}" for corruption in RANGES)
"""Settings that hold lists: on the command line they take one value or several without being an axis."""


@dataclass(frozen=True)
class GridRun:
    """A run of the sweep with its settings; `tuned` are those of them that a tuning chose, by name."""

    plan: PlannedRun
    settings: Settings
    tuned: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """Its place on the axis of tasks; the task's name where there is no such axis."""
        return self.plan.axes.get("task") or str(self.settings.task.name)

    @property
    def label(self) -> str:
        """What people see: task, variant and seed."""
        return run_label(self.settings.task.name, self.plan.variant, self.plan.seed)


@dataclass(frozen=True)
class Grid:
    """The runs of a sweep, its baseline variant, a note for each variant that has one, and its controls."""

    runs: list[GridRun]
    baseline: str | None
    variant_notes: dict[str, str]
    controls: Controls | None = None

    def only(self, ids: Collection[str]) -> Grid:
        """The grid with the runs of these ids alone."""
        return replace(self, runs=[run for run in self.runs if run.plan.id in ids])


def seed_by_seed(runs: Sequence[GridRun]) -> list[GridRun]:
    """The runs in the order of execution: one seed of every variant on every task, then a second one of each, ..."""
    earlier = Counter[tuple[str, str]]()
    places = []
    for run in runs:
        point = run.task, run.plan.variant
        places.append(earlier[point])
        earlier[point] += 1
    return [run for _, run in sorted(zip(places, runs, strict=True), key=lambda pair: pair[0])]


Tuned = Callable[[Settings, str], Mapping[str, Any]]
"""From a run's settings and variant to settings that were chosen for it."""


def untuned(settings: Settings, variant: str) -> dict[str, Any]:  # noqa: ARG001 (a `Tuned`)
    """Nothing was chosen."""
    return {}


def expand(composer: Composer, command: CommandLine, sweep: Sweep, tuned: Tuned = untuned) -> Grid:
    """All runs of `sweep` that the command line leaves, each once. Raises `UserError`.

    What was `tuned` goes before the sweep's base, behind a variant's own settings and the command line.
    """
    automatic = {"launcher": automatic_launcher()}
    overrides = {key: value for key, value in command.overrides.items() if (key, value) != ("launcher", "auto")}
    overrides |= {key: listed(value) for key, value in overrides.items() if key in LISTS}
    seeds = listed(overrides.pop("seed", sweep.seeds))
    if not seeds or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise UserError(f"The seeds of sweep {sweep.name!r} must be whole numbers from 0 on, but they are {seeds}.")
    axes = {name: axis_of(sweep, name, values) for name, values in sweep.grid.items()}
    check_labels(sweep, axes)
    choices = axis_choices(sweep, command)
    for name, wanted in choices.items():
        axes[name] = _narrowed(name, axes[name], wanted)
        overrides.pop(name, None)
    for key, value in overrides.items():
        if isinstance(value, list) and key not in LISTS:
            raise UserError(
                f"{key} is not an axis of sweep {sweep.name!r} (its axes are {', '.join([*axes, 'seed'])}), "
                "so it takes one value."
            )
    check_labels(sweep, axes)  # again: a plain axis takes values that the file does not list
    check_overrides(sweep, axes, overrides)
    runs: dict[str, GridRun] = {}
    notes: dict[str, str] = {}
    asked_for = choices | ({"seed": seeds} if "seed" in command.overrides else {})
    for point, its_seeds in _points(sweep, axes, seeds, asked_for):
        if not its_seeds:
            continue
        chosen = [axes[axis][label] for axis, label in point.items()]
        values = {key: value for settings in chosen for key, value in settings.items() if key != NOTE}
        variant = JOINT.join(label for axis, label in point.items() if axis != "task") or "default"
        notes[variant] = " ".join(str(settings[NOTE]) for settings in chosen if NOTE in settings)
        own = {**values, "seed": its_seeds[0], **overrides}
        of_point = composer.settings({**automatic, **sweep.base, **own})
        found = {key: value for key, value in tuned(of_point, variant).items() if key not in own}
        if found:
            of_point = composer.settings({**automatic, **sweep.base, **found, **own})
        for seed in its_seeds:
            settings = replace(of_point, seed=seed)
            plan = PlannedRun(settings.run_id(), point, variant, seed)
            first = runs.setdefault(plan.id, GridRun(plan, settings, found))
            if first.plan.axes != point and overrides:
                check_alike(composer.settings, sweep, first.plan.axes, point, axes, overrides)
    if not runs:
        raise UserError(f"Nothing is left of sweep {sweep.name!r} after its exclusions.")
    controls = planned_controls(sweep.controls, [run.plan for run in runs.values()]) if sweep.controls else None
    notes = {name: note for name, note in notes.items() if note}
    return Grid(list(runs.values()), _baseline(sweep, list(axes)), notes, controls)


def axis_choices(sweep: Sweep, command: CommandLine) -> dict[str, list[Any]]:
    """What the command line asks for on the axes that it narrows: labels as texts, and values that are no labels.

    A label is known by how it was typed, also where that reads as something else: null, true, 1e-3, 007.
    """
    choices = {}
    for name in [name for name in sweep.grid if name in command.overrides]:
        labels = axis_of(sweep, name, sweep.grid[name])
        values = listed(spelled_out(sweep, name, command.overrides[name]))
        typed = command.texts.get(name, [])
        texts = typed if len(typed) == len(values) else map(str, values)
        choices[name] = [
            text if text in labels else str(value) if str(value) in labels else value
            for text, value in zip(texts, values, strict=True)
        ]
    return choices


def _narrowed(name: str, axis: dict[str, dict[str, Any]], wanted: list[Any]) -> dict[str, dict[str, Any]]:
    """The labels asked for. On an axis of plain values, values that the sweep does not list are fine too."""
    plain = all(list(settings) == [name] for settings in axis.values())
    narrowed = {}
    for value in wanted:
        label = str(value)
        if label not in axis and not plain:
            raise off_axis(name, label, axis)
        narrowed[label] = axis.get(label, {name: value})
    return narrowed


def _points(
    sweep: Sweep, axes: Axes, seeds: list[int], asked_for: Mapping[str, list[Any]]
) -> Iterator[tuple[dict[str, str], list[int]]]:
    """Every point with its seeds: what the exclusions leave of the product, then the inclusions.

    asked_for: the labels that the command line names, by axis.
    """
    rules = [_checked_rule(sweep, rule) for rule in sweep.exclude]
    on_request = [_checked_rule(sweep, rule) for rule in sweep.on_request]
    rules += [rule for rule in on_request if not _is_asked_for(rule, asked_for)]
    for labels in itertools.product(*axes.values()):
        point = dict(zip(axes, labels, strict=True))
        yield point, [seed for seed in seeds if not any(_matches(rule, point, seed) for rule in rules)]
    for included in sweep.include:
        point = _checked_point(sweep, included)
        if set(point) != set(axes):
            raise sweep.wrong(f"an include must name every axis: {', '.join(axes)}")
        if all(label in axes[axis] for axis, label in point.items()):
            yield point, seeds


def _is_asked_for(rule: Mapping[str, list[str]], asked_for: Mapping[str, list[Any]]) -> bool:
    """Whether the command line names a label of the rule; a task named alone asks for no more than it has."""
    return any(set(map(str, asked_for.get(axis, ()))) & set(labels) for axis, labels in rule.items() if axis != "task")


def _matches(rule: Mapping[str, list[str]], point: Mapping[str, str], seed: int) -> bool:
    labels = {**point, "seed": str(seed)}
    return all(labels[axis] in allowed for axis, allowed in rule.items())


def _checked_rule(sweep: Sweep, rule: Mapping[str, Any]) -> dict[str, list[str]]:
    """The labels that an exclusion names on each axis. Raises `UserError` as `_checked_point` does."""
    named = {axis: listed(labels) for axis, labels in rule.items()}
    for axis, labels in named.items():
        for label in labels if axis != "seed" else []:
            _checked_point(sweep, {axis: label})
    return {axis: [str(label) for label in labels] for axis, labels in named.items()}


def _checked_point(sweep: Sweep, point: Mapping[str, Any]) -> dict[str, str]:
    """`point` with its labels as text. Raises `UserError` for an axis or label that the sweep file does not have."""
    if set(point) - set(sweep.grid):
        raise sweep.wrong(f"{sorted(point)} are not all axes; the axes are {', '.join(sweep.grid)}")
    for axis, label in point.items():
        labels = axis_of(sweep, axis, sweep.grid[axis])
        if str(label) not in labels and not (axis == "task" and str(label) in TASKS):
            raise sweep.wrong(f"{axis}={label} is not on the axis; it has {', '.join(labels)}")
    return {axis: str(label) for axis, label in point.items()}


def _baseline(sweep: Sweep, axes: list[str]) -> str | None:
    """The baseline's variant, from the axes that exist at this scale."""
    if sweep.baseline is None:
        return None
    axes = [axis for axis in axes if axis != "task"]
    if not set(axes) <= set(sweep.baseline):
        raise sweep.wrong(f"the baseline must name every axis: {', '.join(axes)}")
    named = {axis: str(sweep.baseline[axis]) for axis in axes}
    for axis, label in named.items():
        if label not in axis_of(sweep, axis, sweep.grid[axis]):
            raise sweep.wrong(f"the baseline's {axis}={label} is not on the axis {axis!r}")
    return JOINT.join(named.values()) or "default"
