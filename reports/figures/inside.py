"""Figures of what the neurons of one task's networks do: rates over time, membrane potentials, one example's spikes.

Small multiples: a panel a layer, or a row of panels a variant. How much is drawn is limited and said in the caption.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spike_ssm.reports.loading.sweep import unfold
from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, legend_of, new_panels, not_drawn
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number
from spike_ssm.results.schema import POTENTIAL_EDGES

MOST_LAYERS = 6
MOST_VARIANTS = 8  # lines of one panel; as many markers and dashes are told apart

Numbers = npt.NDArray[np.float64]
_SEEDS = "means over seeds, with bands from the lowest to the highest seed"


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
    shown, remark = _limited(traces.dropna(subset=["rate_over_time"]), variants)
    if shown.empty:
        return None
    sentences, numbers = [], []
    with svg.drawing():
        figure, panels = _by_layer(shown["layer"], "step of the sequence", "firing rate, %")
        for layer, variant, own in _by_layer_and_variant(shown):
            steps, rates = _over_steps(own)
            _line(panels[layer], steps, rates, looks[variant])
            numbers.append(_numbers(variant, layer, "step", steps, "firing_rate_percent", rates))
            ends = np.nanmean(rates, axis=0)[[0, -1]]
            sentences.append(f"layer {layer} {variant} {' to '.join(number(rate, 1) for rate in ends)} %")
        next(iter(panels.values())).set_ylim(bottom=0)
        caption = (
            f"Whether neurons fire more or less along the sequence: {_SEEDS}; late steps are of long examples "
            f"alone.{remark}"
        )
        label = f"Firing rate over time, from the first steps to the last: {'; '.join(sentences)}."
        return _drawn("Firing rate over time", caption, svg.render(figure, next(names), label), numbers, looks)


def potentials(
    traces: pd.DataFrame, variants: Sequence[str], looks: Mapping[str, Look], names: Iterator[str]
) -> Drawn | None:
    """Histograms of the membrane potential over the threshold, a panel a layer: mean and range over seeds."""
    shown, remark = _limited(traces.dropna(subset=["potential"]), variants)
    if shown.empty:
        return None
    edges = np.array(POTENTIAL_EDGES)
    centres = (edges[1:] + edges[:-1]) / 2
    sentences, numbers, outside = [], [], 0.0
    with svg.drawing():
        figure, panels = _by_layer(shown["layer"], "membrane potential / threshold", "share of steps, %")
        for layer, variant, own in _by_layer_and_variant(shown):
            counts = np.array(own["potential"].tolist(), dtype=float)
            shares = 100 * counts / counts.sum(axis=1, keepdims=True)
            _line(panels[layer], centres, shares[:, 1:-1], looks[variant])
            numbers.append(_numbers(variant, layer, "potential", centres, "share_of_steps_percent", shares[:, 1:-1]))
            reached = shares[:, 1 + int(np.searchsorted(edges, 1.0)) :].sum(axis=1).mean()
            outside = max(outside, shares[:, [0, -1]].sum(axis=1).mean())
            sentences.append(f"layer {layer} {variant} {number(reached, 1)} %")
        for panel in panels.values():
            panel.axvline(1, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
        next(iter(panels.values())).set(xlim=(edges[0], edges[-1]), ylim=(0, None))
        caption = (
            f"How often potentials reach the threshold (dashed), before the reset: {_SEEDS}; at most "
            f"{number(outside, 1)} % of a variant's steps lie beyond the axis.{remark}"
        )
        label = f"Share of steps with a membrane potential at or above the threshold: {'; '.join(sentences)}."
        return _drawn("Membrane potential", caption, svg.render(figure, next(names), label), numbers, looks)


def _numbers(variant: str, layer: int, across: str, x: Numbers, name: str, seeds: Numbers) -> pd.DataFrame:
    """A line in numbers: mean, lowest and highest of `seeds`, [seeds, points], at each of `x`."""
    columns = {
        f"{name}_mean": np.nanmean(seeds, axis=0),
        f"{name}_lowest": np.nanmin(seeds, axis=0),
        f"{name}_highest": np.nanmax(seeds, axis=0),
    }
    return pd.DataFrame({"variant": variant, "layer": layer, across: x, **columns, "seeds": len(seeds)})


def _drawn(
    title: str, caption: str, drawn: Markup, numbers: Sequence[pd.DataFrame], looks: Mapping[str, Look]
) -> Drawn:
    lines = pd.concat(numbers, ignore_index=True)
    return Drawn(title, caption, drawn, lines, legend_of(lines, looks))


def _limited(traces: pd.DataFrame, variants: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """What is drawn of the traces, and the end of a caption that says what is not, of these variants and of layers."""
    if traces.empty:
        return traces, ""
    chosen, layers = list(dict.fromkeys(traces["variant"]))[:MOST_VARIANTS], sorted(set(traces["layer"]))
    places = np.linspace(0, len(layers) - 1, min(len(layers), MOST_LAYERS)).round().astype(int)
    drawn = [layers[place] for place in places]
    remark = not_drawn(traces, chosen, variants)
    if len(drawn) < len(layers):
        remark += f" Drawn: {len(drawn)} of {len(layers)} layers."
    return traces[traces["variant"].isin(chosen) & traces["layer"].isin(drawn)], remark


def _by_layer_and_variant(traces: pd.DataFrame) -> Iterator[tuple[int, str, pd.DataFrame]]:
    for variant, of_variant in traces.groupby("variant", sort=False):
        for layer in sorted(set(of_variant["layer"])):
            yield layer, str(variant), of_variant[of_variant["layer"] == layer]


def _over_steps(traces: pd.DataFrame) -> tuple[Numbers, Numbers]:
    """Middles of the bins, and the rates in them in %, [seeds, bins], of one layer and variant.

    Seeds share the test set and so the bins; the last are NaN for a run that has fewer.
    """
    rates = pd.DataFrame(traces["rate_over_time"].tolist()).to_numpy(dtype=float)
    return (np.arange(rates.shape[1]) + 0.5) * traces["bin_steps"].iloc[0], 100 * rates


def _by_layer(layers: Iterable[int], x: str, y: str) -> tuple[Figure, dict[int, Axes]]:
    """A panel a layer, two in a row."""
    layers = sorted(set(layers))
    height = 2.2 if len(layers) <= 2 else 1.6
    figure, panels = new_panels([f"layer {layer}" for layer in layers], 2, height, x, y)
    return figure, dict(zip(layers, panels, strict=True))


def _line(axes: Axes, x: Numbers, seeds: Numbers, look: Look) -> None:
    """Mean and range over `seeds`, [seeds, points], against `x`."""
    colour = look.placeholder
    if len(seeds) > 1:
        axes.fill_between(x, np.nanmin(seeds, axis=0), np.nanmax(seeds, axis=0), color=colour, alpha=0.12, lw=0)
    marker = look.marker if len(x) == 1 else ""  # a single bin would draw no line at all
    axes.plot(x, np.nanmean(seeds, axis=0), color=colour, lw=1.2, dashes=look.dashes, marker=marker)
