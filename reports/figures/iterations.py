"""The figure of PMBC's iterations in trained networks: what they leave undetermined, and the accuracy they reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from spike_ssm.reports.loading.sweep import json_object
from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, legend_of
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number, significant
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, Interval, by_seed, t_interval

_SIZE = (4.5, 4.2)  # inches
_CERTIFIED = math.inf


def against_iterations(runs: pd.DataFrame, looks: Mapping[str, Look], name: str) -> Drawn | None:
    """Undetermined fraction and test accuracy, both %, against M; None unless the solver's iterations vary."""
    iterations = runs["config"].map(_iterations)
    shown = runs.assign(iterations=iterations).dropna(subset=["iterations", "undetermined"])
    if shown["iterations"].nunique() < 2:
        return None
    places: dict[str, float] = dict(zip(shown["variant"], shown["iterations"], strict=True))
    measures = {name: by_seed(shown, name) * 100 for name in ("undetermined", "test_accuracy")}
    rest, accuracy = ({variant: t_interval(table[variant]) for variant in places} for table in measures.values())
    with svg.drawing():
        figure = Figure(figsize=_SIZE, layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        _mark_places(lower, places)
        x = {variant: _place(place, places) for variant, place in places.items()}
        zero = _zero(list(rest.values()))
        upper.set(yscale="log", ylabel="undetermined, %", ylim=(zero / 2, 200))
        lower.set(xlabel="iterations M", ylabel="test accuracy, %")
        _join(upper, x, {variant: max(each.mean, zero) for variant, each in rest.items()}, places)
        _join(lower, x, {variant: each.mean for variant, each in accuracy.items()}, places)
        for variant, place in x.items():
            _point(upper, place, rest[variant], looks[variant], zero)
            _point(lower, place, accuracy[variant], looks[variant])
            few = measures["test_accuracy"][variant].dropna()
            if len(few) < VERDICT_SEEDS:
                lower.plot([place] * len(few), few, "o", ms=2.4, mew=0, color=looks[variant].placeholder, alpha=0.6)
        upper.yaxis.set_major_locator(LogLocator(numticks=6))
        upper.yaxis.set_minor_formatter(NullFormatter())
        upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value <= zero else f"{value:g}"))
        for axes in (upper, lower):
            axes.grid(visible=False, axis="x")
        sentences = [
            f"{variant} {significant(rest[variant].mean)} %, accuracy {number(accuracy[variant].mean)} %"
            for variant in x
        ]
        caption = (
            "How many iterations leave nothing undetermined, and what that does to accuracy: means over seeds, with "
            f"95 % t-intervals from {VERDICT_SEEDS} seeds on and dots below; the lowest tick is 0; hollow: nothing is "
            "undetermined."
        )
        label = f"Undetermined fraction against PMBC's iterations: {'; '.join(sentences)}."
        numbers = pd.DataFrame([_numbers(variant, places[variant], rest[variant], accuracy[variant]) for variant in x])
        drawn = svg.render(figure, name, label)
        return Drawn("Undetermined fraction by iterations", caption, drawn, numbers, legend_of(numbers, looks))


def _numbers(variant: str, iterations: float, rest: Interval, accuracy: Interval) -> dict[str, object]:
    """What is drawn of a variant, in %; iterations are infinite in certified mode."""
    row: dict[str, object] = {"variant": variant, "iterations": iterations, "seeds": rest.n}
    row |= {"undetermined_percent": rest.mean, "undetermined_half_interval": rest.half}
    return row | {"accuracy_percent": accuracy.mean, "accuracy_half_interval": accuracy.half}


def _iterations(config: Any) -> float:
    """M of a run, infinite where PMBC goes on until every spike is certain, NaN for other solvers."""
    neuron = json_object(config).get("neuron", {})
    if neuron.get("solver") != "pmbc":
        return math.nan
    allowed = neuron.get("max_iterations")
    return _CERTIFIED if allowed is None else float(allowed)


def _place(iterations: float, places: Mapping[str, float]) -> float:
    """Certified stands one to the right of the most iterations."""
    return max(each for each in places.values() if each < _CERTIFIED) + 1 if iterations == _CERTIFIED else iterations


def _mark_places(axes: Axes, places: Mapping[str, float]) -> None:
    marks = sorted(set(places.values()))
    axes.set_xticks([_place(each, places) for each in marks])
    axes.set_xticklabels(["certified" if each == _CERTIFIED else f"{each:g}" for each in marks])
    axes.margins(x=0.08)


def _zero(rest: list[Interval]) -> float:
    """The place at which 0 is drawn: a decade below the lowest value."""
    positive = [each.mean for each in rest if each.mean > 0]
    return float(10 ** (np.floor(np.log10(min(positive))) - 1)) if positive else 0.01


def _join(axes: Axes, x: Mapping[str, float], y: Mapping[str, float], places: Mapping[str, float]) -> None:
    """A faint line through the means of paper mode, where each M is one variant's."""
    paper = sorted((each for each in places if places[each] < _CERTIFIED), key=lambda each: places[each])
    if len({places[each] for each in paper}) == len(paper):
        axes.plot([x[each] for each in paper], [y[each] for each in paper], color=svg.MUTED, lw=0.9, zorder=1)


def _point(axes: Axes, x: float, value: Interval, look: Look, zero: float | None = None) -> None:
    """A mean with its interval; `zero`: on a logarithmic axis, hollow at this height where it is 0."""
    colour = look.placeholder
    hollow = zero is not None and not value.mean > 0
    y = value.mean if not hollow or zero is None else zero
    if value.n >= VERDICT_SEEDS and not hollow:
        low = value.low if zero is None else max(value.low, zero)
        axes.vlines(x, low, value.high, color=colour, lw=1.1)
    axes.plot([x], [y], ls="", marker=look.marker, ms=6, mec=colour, mfc=svg.PAGE if hollow else colour, zorder=3)
