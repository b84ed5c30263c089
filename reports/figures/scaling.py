"""How accuracy and cost change along an axis of numbers, such as the length of the sequences: a line a neuron."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count

import pandas as pd

from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, draw_lines, finished, logarithmic, new_axes
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number
from spike_ssm.results.schema import PlannedRun

FEWEST = 3
"""An axis with fewer numbers is a comparison, not a line."""


@dataclass(frozen=True)
class Quantity:
    """What is drawn against the numbers."""

    column: str
    title: str
    label: str
    factor: float = 1.0
    logarithmic: bool = False
    timing: bool = False
    caption: str = ""


QUANTITIES = (
    Quantity("test_accuracy", "Test accuracy", "test accuracy, %", 100),
    Quantity("firing_rate", "Firing rate", "mean firing rate, %", 100),
    Quantity(
        "us_per_token",
        "Training time",
        "µs a token",
        logarithmic=True,
        timing=True,
        caption=" Each variant alone on one machine.",
    ),
    Quantity(
        "peak_memory_mib",
        "Peak memory",
        "MiB",
        logarithmic=True,
        caption=" On a CPU: of the whole process, which may have held other runs before.",
    ),
)


def numbered_axis(planned: Iterable[PlannedRun]) -> str | None:
    """The axis of at least `FEWEST` labels, all numbers; None where there is none, or several."""
    labels: dict[str, set[str]] = {}
    for run in planned:
        for axis, label in run.axes.items():
            labels.setdefault(axis, set()).add(label)
    found = [axis for axis, values in labels.items() if len(values) >= FEWEST and all(map(_is_number, values))]
    return found[0] if len(found) == 1 else None


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def lines(planned: Iterable[PlannedRun]) -> dict[str, str]:
    """Variant -> the line that it is a point of; empty without a numbered axis."""
    planned = list(planned)
    axis = numbered_axis(planned)
    if axis is None:
        return {}
    return {
        run.variant: " / ".join(label for name, label in run.axes.items() if name not in ("task", axis)) or "all"
        for run in planned
    }


def scaling_figures(
    runs: pd.DataFrame, planned: Iterable[PlannedRun], looks: Mapping[str, Look], prefix: str
) -> list[Drawn]:
    """One a quantity, over the finished `runs` of a task; none without a numbered axis. looks: by line too."""
    planned = list(planned)
    axis, line_of = numbered_axis(planned), lines(planned)
    if axis is None:
        return []
    at = {run.id: float(run.axes[axis]) for run in planned}
    frame = runs.assign(
        at=runs["id"].map(at), variant=runs["variant"].map(line_of), us_per_token=1e6 / runs["train_tokens_per_s"]
    )
    names = (f"{prefix}n{place}" for place in count())
    drawn = [_figure(frame, axis, quantity, looks, next(names)) for quantity in QUANTITIES]
    return [figure for figure in drawn if figure is not None]


def _figure(frame: pd.DataFrame, axis: str, quantity: Quantity, looks: Mapping[str, Look], name: str) -> Drawn | None:
    shown = frame.dropna(subset=[quantity.column])
    if shown.empty:
        return None
    shown = shown.assign(value=shown[quantity.column] * quantity.factor)
    with svg.drawing():
        axes = new_axes(axis, quantity.label)
        draw_lines(axes, shown, "at", "value", looks, markers=True)
        ticks = sorted(set(shown["at"]))
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        axes.minorticks_off()
        if quantity.logarithmic:
            logarithmic(axes, within_decade=(1, 2, 5))
        means = shown.groupby(["variant", "at"], sort=False)["value"].mean()
        sentences = [
            f"{line} {', '.join(number(value) for value in values.sort_index(level='at'))}"
            for line, values in means.groupby("variant", sort=False)
        ]
        caption = f"Mean over seeds; band: lowest to highest seed.{quantity.caption}"
        shortcut = shown.groupby("at")["shortcut_accuracy"].mean().dropna() * 100
        if quantity.column == "test_accuracy" and not shortcut.empty:
            axes.plot(shortcut.index, shortcut, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
            caption += f" Grey: the shortcut, {', '.join(number(value) for value in shortcut)} %."
        if quantity.timing and shown["machine_shared"].eq(True).any():
            caption += " Other processes used the machine meanwhile: do not compare."
        label = f"{quantity.title} at {axis} {', '.join(f'{tick:g}' for tick in ticks)}: {'; '.join(sentences)}."
        numbers = shown[["variant", "seed", "at", "value"]].rename(columns={"at": axis, "value": quantity.label})
        return finished(axes, name, f"{quantity.title} by {axis}", caption, label, numbers, looks)
