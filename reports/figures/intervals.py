"""Figures of how spikes follow each other: intervals between them, how many come in a row, and what follows one.

Small multiples: a panel a layer. All channels of a layer are counted together, models/intervals.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from spike_ssm.reports.figures.layers import (
    SEEDS,
    Numbers,
    by_layer_and_variant,
    draw_line,
    limited,
    over_seeds,
    percentages,
    recorded,
)
from spike_ssm.reports.loading.sweep import unfold
from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, logarithmic, of_parts, panels_by_layer
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number
from spike_ssm.results.schema import INTERVAL_EDGES

_EDGES = np.array(INTERVAL_EDGES, dtype=float)
_FROM, _TO = _EDGES[:-1], _EDGES[1:] - 1  # first and last step of each bin but the one without an end
_MIDDLES = np.sqrt(_FROM * _TO)
_TICKS = (1, 4, 16, 64, 256)
_LEAST, _MOST = 1e-3, 200.0  # % a step


@dataclass(frozen=True)
class _Counted:
    """What is counted by its steps."""

    column: str  # of the traces
    title: str
    name: str  # of several
    axis: str
    question: str  # which the figure answers
    shortest: str  # of several that last one step


_COUNTED = (
    _Counted(
        column="intervals",
        title="Intervals between spikes",
        name="intervals",
        axis="steps from a spike to the next",
        question="How long neurons wait from a spike to their next one",
        shortest="intervals of one step",
    ),
    _Counted(
        column="runs",
        title="Spikes in a row",
        name="runs",
        axis="spikes in a row",
        question="How many spikes a neuron sends step after step",
        shortest="single spikes",
    ),
)


def interval_figures(runs: pd.DataFrame, looks: Mapping[str, Look], prefix: str) -> list[Drawn]:
    """Every figure for which `runs`, the finished runs of one task, hold the data; prefix: of their elements' names."""
    variants = list(dict.fromkeys(runs["variant"]))
    traces, layers = unfold(runs, "traces"), unfold(runs, "layers")
    drawn = (
        *(_by_steps(traces, variants, looks, f"{prefix}b{place}", of) for place, of in enumerate(_COUNTED)),
        after_a_spike(layers, variants, looks, f"{prefix}b2"),
    )
    return [figure for figure in drawn if figure is not None]


def _by_steps(
    traces: pd.DataFrame, variants: Sequence[str], looks: Mapping[str, Look], name: str, of: _Counted
) -> Drawn | None:
    """Shares of all that is counted against its steps, a panel a layer: mean and range over seeds.

    Bins are the wider the more steps they are of, so what is drawn is a bin's share over its width, in % a step.
    """
    held = recorded(traces, of.column)
    shown, remark = limited(held if held.empty else held[held[of.column].map(any)], variants)
    if shown.empty:
        return None
    sentences, numbers, beyond, longest = [], [], 0.0, 0
    with svg.drawing():
        figure, panels = panels_by_layer(shown["layer"], of.axis, f"share of {of.name}, % a step")
        for layer, variant, own in by_layer_and_variant(shown):
            shares = percentages(own[of.column])
            within, beyond = shares[:, :-1], max(beyond, float(shares[:, -1].mean()))
            a_step = within / (_TO - _FROM + 1)
            draw_line(panels[layer], _MIDDLES, a_step, looks[variant])
            of_bins = {"share_percent": within, "share_percent_a_step": a_step}
            numbers.append(over_seeds(variant, layer, {"steps_from": _FROM, "steps_to": _TO}, of_bins))
            longest = max(longest, *np.flatnonzero(within.any(axis=0)).tolist())
            sentences.append(f"layer {layer} {variant} {number(within[:, 0].mean(), 1)} %")
        _up_to(next(iter(panels.values())), float(_EDGES[longest + 1]))
        caption = f"{of.question}, as shares per step: {SEEDS}."
        if round(beyond, 1):
            caption += f" At most {number(beyond, 1)} % of a variant's {of.name} are longer than drawn."
        label = f"{of.title}, share of {of.shortest}: {'; '.join(sentences)}."
        return of_parts(of.title, caption + remark, svg.render(figure, name, label), numbers, looks)


def _up_to(axes: Axes, most: float) -> None:
    """Axes of shares in % a step, and of their panels, against steps from 1 to `most`, both on a logarithmic scale."""
    logarithmic(axes)
    axes.set(xscale="log", xlim=(1, most), ylim=(_LEAST, _MOST))
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if tick <= most]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


_AFTER = ("spike_after_spike_by_chance", "spike_after_spike")


def after_a_spike(layers: pd.DataFrame, variants: Sequence[str], looks: Mapping[str, Look], name: str) -> Drawn | None:
    """How often a spike follows one a step later, in %, against what chance would make of it, a point a variant."""
    shown, remark = limited(recorded(layers, *_AFTER), variants)
    if shown.empty:
        return None
    sentences, numbers = [], []
    with svg.drawing():
        figure, panels = panels_by_layer(shown["layer"], "by chance, %", "spike after spike, %")
        highest = 105 * shown[[*_AFTER]].max()
        for panel in panels.values():
            panel.axline((0, 0), slope=1, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
        for layer, variant, own in by_layer_and_variant(shown):
            chance, after = 100 * own[[*_AFTER]].to_numpy(dtype=float).T
            _point(panels[layer], chance, after, looks[variant])
            both = {"by_chance_percent": chance[:, np.newaxis], "spike_after_spike_percent": after[:, np.newaxis]}
            numbers.append(over_seeds(variant, layer, {}, both))
            sentences.append(f"layer {layer} {variant} {number(after.mean(), 1)} %, {number(chance.mean(), 1)} %")
        next(iter(panels.values())).set(xlim=(0, max(1.0, highest.iloc[0])), ylim=(0, max(1.0, highest.iloc[1])))
        caption = (
            "Above the dashed line spikes come in runs, below it they keep apart; on it each channel fires at random, "
            "at its own rate. Points are means, lines reach from the lowest to the highest seed."
        )
        label = f"Share of spikes followed by one a step later, and by chance: {'; '.join(sentences)}."
        return of_parts("After a spike", caption + remark, svg.render(figure, name, label), numbers, looks)


def _point(axes: Axes, x: Numbers, y: Numbers, look: Look) -> None:
    """A point at the means of two numbers a seed, with a line over the range of either."""
    colour = look.placeholder
    axes.plot([x.min(), x.max()], [y.mean()] * 2, color=colour, lw=0.9, zorder=2)
    axes.plot([x.mean()] * 2, [y.min(), y.max()], color=colour, lw=0.9, zorder=2)
    axes.plot(x.mean(), y.mean(), color=colour, marker=look.marker, ms=5, mec=svg.PAGE, mew=0.5, zorder=3)
