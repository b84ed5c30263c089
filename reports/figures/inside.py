"""Figures of what the neurons of one task's networks do: rates over time, membrane potentials, one example's spikes.

Small multiples: a panel a layer, or a row of panels a variant. How much is drawn is limited and said in the caption.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import numpy as np
import pandas as pd

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
from spike_ssm.reports.render.drawn import Drawn, of_parts, panels_by_layer
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number
from spike_ssm.results.schema import POTENTIAL_EDGES


def inside_figures(runs: pd.DataFrame, looks: Mapping[str, Look], prefix: str) -> list[Drawn]:
    """Every figure for which `runs`, the finished runs of one task, hold the data."""
    names = (f"{prefix}i{place}" for place in count())
    traces = unfold(runs, "traces")
    if traces.empty:
        return []
    variants = list(dict.fromkeys(runs["variant"]))
    drawn = (draw(traces, variants, looks, names) for draw in (rate_over_time, potentials))
    return [figure for figure in drawn if figure is not None]


def rate_over_time(
    traces: pd.DataFrame, variants: Sequence[str], looks: Mapping[str, Look], names: Iterator[str]
) -> Drawn | None:
    """Firing rate in % against the position in the sequence, a panel a layer: mean and range over seeds."""
    shown, remark = limited(recorded(traces, "rate_over_time"), variants)
    if shown.empty:
        return None
    sentences, numbers = [], []
    with svg.drawing():
        figure, panels = panels_by_layer(shown["layer"], "step of the sequence", "firing rate, %")
        for layer, variant, own in by_layer_and_variant(shown):
            steps, rates = _over_steps(own)
            draw_line(panels[layer], steps, rates, looks[variant])
            numbers.append(over_seeds(variant, layer, {"step": steps}, {"firing_rate_percent": rates}))
            ends = np.nanmean(rates, axis=0)[[0, -1]]
            sentences.append(f"layer {layer} {variant} {' to '.join(number(rate, 1) for rate in ends)} %")
        next(iter(panels.values())).set_ylim(bottom=0)
        caption = (
            f"Whether neurons fire more or less along the sequence: {SEEDS}; late steps are of long examples "
            f"alone.{remark}"
        )
        label = f"Firing rate over time, from the first steps to the last: {'; '.join(sentences)}."
        return of_parts("Firing rate over time", caption, svg.render(figure, next(names), label), numbers, looks)


def potentials(
    traces: pd.DataFrame, variants: Sequence[str], looks: Mapping[str, Look], names: Iterator[str]
) -> Drawn | None:
    """Histograms of the membrane potential over the threshold, a panel a layer: mean and range over seeds."""
    shown, remark = limited(recorded(traces, "potential"), variants)
    if shown.empty:
        return None
    edges = np.array(POTENTIAL_EDGES)
    centres = (edges[1:] + edges[:-1]) / 2
    sentences, numbers, outside = [], [], 0.0
    with svg.drawing():
        figure, panels = panels_by_layer(shown["layer"], "membrane potential / threshold", "share of steps, %")
        for layer, variant, own in by_layer_and_variant(shown):
            shares = percentages(own["potential"])
            within = shares[:, 1:-1]
            draw_line(panels[layer], centres, within, looks[variant])
            numbers.append(over_seeds(variant, layer, {"potential": centres}, {"share_of_steps_percent": within}))
            reached = shares[:, 1 + int(np.searchsorted(edges, 1.0)) :].sum(axis=1).mean()
            outside = max(outside, shares[:, [0, -1]].sum(axis=1).mean())
            sentences.append(f"layer {layer} {variant} {number(reached, 1)} %")
        for panel in panels.values():
            panel.axvline(1, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
        next(iter(panels.values())).set(xlim=(edges[0], edges[-1]), ylim=(0, None))
        caption = (
            f"How often potentials reach the threshold (dashed), before the reset: {SEEDS}; at most "
            f"{number(outside, 1)} % of a variant's steps lie beyond the axis.{remark}"
        )
        label = f"Share of steps with a membrane potential at or above the threshold: {'; '.join(sentences)}."
        return of_parts("Membrane potential", caption, svg.render(figure, next(names), label), numbers, looks)


def _over_steps(traces: pd.DataFrame) -> tuple[Numbers, Numbers]:
    """Middles of the bins, and the rates in them in %, [seeds, bins], of one layer and variant.

    Seeds share the test set and so the bins; the last are NaN for a run that has fewer.
    """
    rates = pd.DataFrame(traces["rate_over_time"].tolist()).to_numpy(dtype=float)
    return (np.arange(rates.shape[1]) + 0.5) * traces["bin_steps"].iloc[0], 100 * rates
