"""Labels say what was run: a setting has one source among axes and command line, and a variant's name one meaning."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.plan.sweep_file import NOTE, Sweep
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import has_control_characters

Axes = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Axis -> label -> settings."""

JOINT = " / "
"""What stands between the labels in a variant's name."""


def check_labels(sweep: Sweep, axes: Axes) -> None:
    """Raise `UserError` where two points would have one name, or two axes set one setting."""
    named = [name for name in axes if name != "task"]
    for name, label in ((axis, label) for axis, labels in axes.items() for label in labels):
        if not label.strip() or has_control_characters(label):
            raise sweep.wrong(f"a label of the axis {name!r} must be a text that can be printed, not {label!r}")
        if len(named) > 1 and name in named and JOINT in f" {label} ":
            raise sweep.wrong(
                f"the label {label!r} of the axis {name!r} holds a slash between spaces, with which a variant's name "
                f"joins its labels, so that two variants might have one name; write {label.replace(' / ', '/')!r}"
            )
    for (first, labels), (second, others) in itertools.combinations(axes.items(), 2):
        for key in _settings_of(labels) & _settings_of(others):
            values = [settings[key] for axis in (labels, others) for settings in axis.values() if key in settings]
            if not all(_is_same(value, values[0]) for value in values):
                raise sweep.wrong(
                    f"the axes {first!r} and {second!r} both set {key}, so the labels of the first would not hold; "
                    "leave it to one of them"
                )


def check_overrides(sweep: Sweep, axes: Axes, overrides: Mapping[str, Any]) -> None:
    """Raise `UserError` where a setting of the command line would replace one that an axis sets.

    The axis would keep its labels, of which some or all would no longer be true.
    """
    for name, labels in axes.items():
        for key in _settings_of(labels) & set(overrides):
            value = overrides[key]
            setting = {label for label, settings in labels.items() if key in settings}
            right = [label for label in setting if _is_same(labels[label][key], value)]
            if len(right) == len(labels):
                continue
            free = right or [label for label in labels if label not in setting]
            advice = (
                f"narrow the axis instead, {name}={','.join(sorted(free, key=list(labels).index))}"
                if free
                else f"leave it out, or change the axis in a copy of sweep/{sweep.name}.yaml"
            )
            raise UserError(
                f"{key}={value} is a setting that the axis {name!r} of sweep {sweep.name!r} varies, whose labels "
                f"({', '.join(labels)}) would then not say what was run: {advice}."
            )


def check_alike(
    settings_of: Callable[[Mapping[str, Any]], Settings],
    sweep: Sweep,
    first: Mapping[str, str],
    second: Mapping[str, str],
    axes: Axes,
    overrides: Mapping[str, Any],
) -> None:
    """Raise `UserError` where it is the command line that makes one run of two points.

    A sweep file may name a run twice. But a setting that takes away what distinguishes two labels leaves one of them
    out, unsaid. settings_of: what `Composer.settings` does.
    """
    scale = {key: overrides[key] for key in ("scale", "launcher") if key in overrides}

    def identity(point: Mapping[str, str]) -> dict[str, Any]:
        chosen = [axes[axis][label] for axis, label in point.items()]
        values = {key: value for settings in chosen for key, value in settings.items() if key != NOTE}
        return settings_of({**sweep.base, **values, **scale}).identity()

    try:
        differ = identity(first) != identity(second)
    except UserError:  # the sweep needs what the command line sets
        differ = True
    if differ:
        names = [JOINT.join(point.values()) for point in (first, second)]
        given = ", ".join(f"{key}={value}" for key, value in overrides.items())
        raise UserError(
            f"With {given} the points {names[0]!r} and {names[1]!r} of sweep {sweep.name!r} are one and the same run, "
            "so one of their labels would not be true: leave out the setting that makes them so, or narrow to one."
        )


def _settings_of(labels: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {key for settings in labels.values() for key in settings if key != NOTE}


def _is_same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
