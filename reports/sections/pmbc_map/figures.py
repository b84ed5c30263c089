"""The figures of the map of PMBC: what the leak does, and small-multiple heatmaps over the whole grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, finished, marked_line, new_axes
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number, plain, significant
from spike_ssm.reports.sections.pmbc_map.tables import leak_name

_FACTORS = ("leak", "decay", "refractory", "input_mean", "input_scale")
_PANEL = (3.0, 2.2)
_DARKEST = 0.6  # opacity of the highest value; text on it stays readable in both modes
_HUE = Look(1, "o", (1, 0), "").placeholder


def leak_figures(points: pd.DataFrame, after: int, looks: Mapping[float, Look], prefix: str) -> list[Drawn]:
    """Undetermined % against M, and after `after` iterations against the firing rate; one look a leak."""
    return [_against_iterations(points, looks, f"{prefix}f0"), _against_rate(points, after, looks, f"{prefix}f1")]


def _against_iterations(points: pd.DataFrame, looks: Mapping[float, Look], name: str) -> Drawn:
    sentences, lines = [], []
    with svg.drawing():
        axes = new_axes("iterations M", "undetermined, %")
        for leak, look in looks.items():
            medians = pd.DataFrame(points.loc[points["leak"] == leak, "undetermined"].tolist()).median()
            marked_line(axes, medians.index + 1, medians, look)
            lines.append(pd.DataFrame({"variant": leak_name(leak), "iterations": medians.index + 1, "median": medians}))
            sentences.append(f"leak {plain(leak)} {', '.join(significant(value) for value in medians)}")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        caption = "Median over decays, magnitudes and inputs."
        label = f"Undetermined after 1, 2, ... iterations, %: {'; '.join(sentences)}."
        numbers = pd.concat(lines, ignore_index=True)
        return finished(axes, name, "Undetermined after M iterations", caption, label, numbers, _by_name(looks))


def _against_rate(points: pd.DataFrame, after: int, looks: Mapping[float, Look], name: str) -> Drawn:
    sentences = []
    with svg.drawing():
        axes = new_axes("firing rate, %", f"undetermined after M = {after}, %")
        for leak, look in looks.items():
            own = points[points["leak"] == leak]
            axes.scatter(
                own["firing_rate"], own["rest"], color=look.placeholder, marker=look.marker, s=20, alpha=0.8,
                linewidths=0,
            )  # fmt: skip
            spans = [
                f"{number(own[name].min(), 1)} to {number(own[name].max(), 1)} %" for name in ("rest", "firing_rate")
            ]
            sentences.append(f"leak {plain(leak)}, {' at rates of '.join(spans)}")
        axes.set_xlim(left=0)
        caption = "One point a neuron of the grid: a leak, decay, magnitude and input."
        label = f"Undetermined against firing rate: {'; '.join(sentences)}."
        numbers = points[[*_FACTORS, "firing_rate", "rest"]].assign(variant=points["leak"].map(leak_name))
        return finished(axes, name, "Undetermined against firing rate", caption, label, numbers, _by_name(looks))


def _by_name(looks: Mapping[float, Look]) -> dict[str, Look]:
    return {leak_name(leak): look for leak, look in looks.items()}


def maps(points: pd.DataFrame, after: int, prefix: str) -> list[Drawn]:
    """Undetermined % after `after` iterations, and certified iterations, over leak and decay."""
    panels = "A column of panels a refractory magnitude, a row an input; the range is that of the firing rate."
    return [
        _heatmaps(
            points, "rest", _percentage, f"{prefix}m0", f"Undetermined after {after} iterations, %",
            f"{panels} Stronger colour: more positions are undetermined.",
        ),
        _heatmaps(
            points, "iterations", lambda value: number(value, 0), f"{prefix}m1", "Iterations until certain",
            f"{panels} Certified mode, the slowest chunk. Stronger colour: more iterations.",
        ),
    ]  # fmt: skip


def _percentage(value: float) -> str:
    """`0`, `0.04`, `3.1`, `42`: short enough for a cell."""
    return "0" if value == 0 else number(value, 0 if value >= 9.95 else 1 if value >= 0.095 else 2)


def _heatmaps(
    points: pd.DataFrame, column: str, shown: Callable[[float], str], name: str, title: str, caption: str
) -> Drawn:
    magnitudes = sorted(points["refractory"].unique())
    inputs = sorted({*zip(points["input_mean"], points["input_scale"], strict=True)})
    highest = float(points[column].max())
    size = (_PANEL[0] * len(magnitudes), _PANEL[1] * len(inputs))
    with svg.drawing():
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(inputs), len(magnitudes), sharex=True, sharey=True, squeeze=False)
        for row, (mean, scale) in zip(grid, inputs, strict=True):
            for axes, magnitude in zip(row, magnitudes, strict=True):
                own = points[(points["input_mean"] == mean) & (points["input_scale"] == scale)]
                own = own[own["refractory"] == magnitude]
                _heatmap(axes, own.pivot(index="leak", columns="decay", values=column), highest, shown)
                rates = own["firing_rate"]
                fires = f"fires {number(rates.min(), 0)} to {number(rates.max(), 0)} %"
                head = f"magnitude {plain(magnitude)}, " if axes in grid[0] else ""
                axes.set_title(f"{head}{fires}", size=8.5, color=svg.INK if head else svg.MUTED)
            row[0].set_ylabel(f"input {plain(mean)} ± {plain(scale)}\nleak")
        for axes in grid[-1]:
            axes.set_xlabel("decay")
        drawn = svg.render(figure, name, f"{title}: {_in_words(points, column, shown)}")
        return Drawn(title, caption, drawn, points[[*_FACTORS, "firing_rate", column]])


def _heatmap(axes: Axes, values: pd.DataFrame, highest: float, shown: Callable[[float], str]) -> None:
    """A cell a leak (upwards) and decay; opacity follows the root of the value, so that small ones differ too."""
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for y, (_, row) in enumerate(values.iterrows()):
        for x, value in enumerate(row):
            opacity = _DARKEST * math.sqrt(value / highest) if highest else 0.0
            cell = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=(*to_rgb(_HUE), opacity), edgecolor=svg.PAGE, lw=1)
            axes.add_patch(cell)
            axes.text(x, y, shown(value), ha="center", va="center", size=8)
    axes.set_xticks(range(values.shape[1]), [plain(decay) for decay in values.columns.to_numpy()])
    axes.set_yticks(range(values.shape[0]), [plain(leak) for leak in values.index.to_numpy()])
    axes.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(-0.5, values.shape[0] - 0.5))


def _in_words(points: pd.DataFrame, column: str, shown: Callable[[float], str]) -> str:
    """Medians by leak, for those who cannot see the cells."""
    medians = points.groupby("leak")[column].median()
    return "; ".join(f"leak {plain(float(str(leak)))} median {shown(value)}" for leak, value in medians.items()) + "."
