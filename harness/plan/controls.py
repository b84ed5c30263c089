"""A sweep file's `controls`: which labels of an axis claim an effect, and which others could explain it.

    controls:
      of: refractoriness                      # in words, for the report
      axis: refractory
      reference: none                         # without the effect
      effects: [fixed, trainable]             # with it
      controls: [control_decay0]              # what else might do the same
      rates: [none, raised_2]                 # without it, at other firing rates: a curve of accuracy against rate

What follows from them is in `reports.statistics.controls`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spike_ssm.results.errors import UserError
from spike_ssm.results.schema import Controls, Effect, PlannedRun


@dataclass(frozen=True)
class ControlsFile:
    """What a sweep file's `controls` hold."""

    of: str
    axis: str
    reference: str
    effects: list[Any]
    controls: list[Any]
    rates: list[Any]


def check_controls(where: str, content: ControlsFile, axes: Mapping[str, Sequence[str]]) -> None:
    """Raise `UserError` unless `content` names an axis and labels of it; axes: axis -> labels."""
    if content.axis not in axes:
        raise UserError(f"{where}: controls.axis {content.axis!r} is not an axis; the axes are {', '.join(axes)}.")
    labels = axes[content.axis]
    for key in ("reference", "effects", "controls", "rates"):
        for label in [content.reference] if key == "reference" else getattr(content, key):
            if str(label) not in labels:
                raise UserError(
                    f"{where}: controls.{key}: {label} is not on the axis {content.axis!r}; it has {', '.join(labels)}."
                )
    if not content.effects or content.reference not in content.rates:
        raise UserError(f"{where}: controls must name at least one effect, and its rates must hold the reference.")


def planned_controls(content: ControlsFile, runs: Sequence[PlannedRun]) -> Controls:
    """The variants that stand for the labels; those that differ on another axis too are not compared."""
    axis = content.axis
    variants: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for run in runs:
        others = tuple((name, label) for name, label in run.axes.items() if name not in ("task", axis))
        variants.setdefault(others, {})[run.axes[axis]] = run.variant
    effects = [
        Effect(
            variant=by_label[label],
            reference=by_label.get(content.reference),
            controls=[by_label[each] for each in content.controls if each in by_label],
            missing=[each for each in content.controls if each not in by_label],
            rates=[by_label[each] for each in content.rates if each in by_label],
        )
        for by_label in variants.values()
        for label in content.effects
        if label in by_label
    ]
    return Controls(content.of, effects)
