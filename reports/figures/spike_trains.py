"""The figure of spike trains beside their input: what each variant reads and sends for the first test example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spike_ssm.reports.figures.layers import not_drawn
from spike_ssm.reports.loading.sweep import unfold
from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, shortened
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number
from spike_ssm.results.raster import unpack_raster

MOST_RASTERS = 6
"""Variants drawn; a spike takes about 25 bytes of the page."""

CHANNELS = 16
"""Channels drawn of a layer, spread over it."""

STEPS, LEGIBLE_STEPS = 128, 64
"""Steps drawn, and those of an input of texts, which stand below each other to be read."""

TITLE = "Spikes of one example"

_WIDTH = 4.5  # inches, as the other figures
_LETTERS = 5  # of a text
Spikes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """An input step by step: texts of tokens, or grey levels in [0, 1]."""

    symbols: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()

    @property
    def drawn(self) -> slice:
        """The steps that are drawn: the first ones, of grey levels those in which most changes."""
        if self.symbols:
            return slice(LEGIBLE_STEPS)
        changed = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(self.grey)))])
        if len(changed) <= STEPS:
            return slice(STEPS)
        start = int(np.argmax(changed[STEPS - 1 :] - changed[: 1 - STEPS]))
        return slice(start, start + STEPS)

    @property
    def grey(self) -> npt.NDArray[np.float64]:
        """The levels as an array, without what is none."""
        levels: npt.NDArray[np.float64] = np.nan_to_num(np.array(self.levels, dtype=float))
        return levels.clip(0, 1)


def shared_example(runs: pd.DataFrame) -> Example:
    """The first test example's input where all runs that kept one kept the same, else an empty one."""
    columns = [runs.get(name, pd.Series(index=runs.index, dtype=object)) for name in _KEPT]
    found = {
        Example(*(tuple(values) if isinstance(values, list) else () for values in kept))
        for kept in zip(*columns, strict=True)
    } - {Example()}
    return found.pop() if len(found) == 1 else Example()


_KEPT = ("example_symbols", "example_levels")


def spike_trains(runs: pd.DataFrame, looks: Mapping[str, Look], name: str) -> Drawn | None:
    """The input above, and below it the spikes of the first and the last layer of each variant's lowest seed.

    None where `runs`, the finished runs of one task, kept no spikes.
    """
    traces, example, variants = unfold(runs, "traces"), shared_example(runs), list(dict.fromkeys(runs["variant"]))
    held = traces if traces.empty else traces.dropna(subset=["raster"])
    if held.empty:
        return None
    chosen = list(dict.fromkeys(held["variant"]))[:MOST_RASTERS]
    sentences, numbers = [], []
    with svg.drawing():
        figure, axes = _panels(len(chosen), beside_input=example != Example())
        if example != Example():
            _input(axes.pop(0), example)
        for variant, panel in zip(chosen, axes, strict=True):
            own = held[held["variant"] == variant]
            own = own[own["seed"] == own["seed"].min()].sort_values("layer").set_index("layer")
            panel.set_title(shortened(variant, 40), loc="left", size=8.5)
            drawn = {layer: _part(own.loc[layer], example.drawn) for layer in sorted({own.index[0], own.index[-1]})}
            _ticks(panel, drawn, example.drawn.start or 0, looks[variant])
            numbers += [_places(variant, layer, spikes, example.drawn.start or 0) for layer, spikes in drawn.items()]
            sentences += [
                f"{variant} layer {layer} {number(100 * spikes.mean(), 1)} %" for layer, spikes in drawn.items()
            ]
        axes[-1].set_xlabel("step of the sequence")
        caption = (
            "When each neuron fires as it reads the first test example: a tick is a spike, a row one of up to "
            f"{CHANNELS} channels."
        ) + not_drawn(held, chosen, variants)
        label = f"Spikes of the first test example, share of the steps drawn: {'; '.join(sentences)}."
        return Drawn(TITLE, caption, svg.render(figure, name, label), pd.concat(numbers, ignore_index=True))


def _places(variant: str, layer: int, spikes: Spikes, start: int) -> pd.DataFrame:
    """A row a spike: its row in the figure, from 0, and its step."""
    channel, step = np.nonzero(spikes)
    return pd.DataFrame({"variant": variant, "layer": layer, "row": channel, "step": start + step})


def _panels(variants: int, *, beside_input: bool) -> tuple[Figure, list[Axes]]:
    """A panel a variant, below one for the input, on one axis of steps."""
    heights = [0.45] * beside_input + [1.0] * variants
    figure = Figure(figsize=(_WIDTH, 0.75 + 1.2 * sum(heights)))
    svg.framed(figure, left=0.7, top=0.25, hspace=0.35)
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, list(grid.flat)


def _input(axes: Axes, example: Example) -> None:
    """Texts from below to above, a step beside the other, or grey levels as an area."""
    axes.set_title("input", loc="left", size=8.5)
    for step, symbol in enumerate(example.symbols[example.drawn]):
        text = "".join(character if character.isprintable() else "·" for character in str(symbol))
        axes.text(step, 0.5, shortened(text, _LETTERS), size=5, rotation=90, ha="center", va="center", color=svg.INK)
    if example.levels:
        levels, start = example.grey[example.drawn], example.drawn.start or 0
        axes.fill_between(range(start, start + len(levels)), levels, step="mid", color=svg.MUTED, lw=0)
    axes.set(ylim=(0, 1), yticks=[])
    axes.grid(visible=False)


def _part(trace: pd.Series, steps: slice) -> Spikes:
    """The channels and steps that are drawn of a layer."""
    spikes = unpack_raster(trace["raster"], int(trace["raster_steps"]))
    shown = min(len(spikes), CHANNELS)
    return spikes[[place * len(spikes) // shown for place in range(shown)], steps]


def _ticks(axes: Axes, layers: Mapping[int, Spikes], start: int, look: Look) -> None:
    """Draw layers one below the other, all spikes of one as a line with gaps, which is the shortest SVG."""
    above, middles = 0, []
    for spikes in layers.values():
        channel, step = np.nonzero(spikes)
        gap = np.full(len(step), np.nan)
        x = start + np.stack([step, step, gap], axis=1).ravel()
        y = above + np.stack([channel - 0.35, channel + 0.35, gap], axis=1).ravel()
        axes.plot(x, y, color=look.placeholder, lw=0.9, solid_capstyle="butt")
        middles.append(above + (len(spikes) - 1) / 2)
        above += len(spikes) + 1
    for last in np.cumsum([len(spikes) + 1 for spikes in layers.values()])[:-1]:
        axes.axhline(last - 1, color=svg.MUTED, lw=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    longest = max(spikes.shape[1] for spikes in layers.values())
    axes.set(xlim=(start - 1, start + longest), ylim=(above - 1.3, -0.7))
    axes.set_yticks(middles, [f"layer {layer}" for layer in layers], size=8)
    axes.grid(visible=False)
