"""Drawings: a figure with its caption, and the axes that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from spike_ssm.reports.render import svg
from spike_ssm.reports.render.palette import Look

_SIZE = (4.5, 3.1)  # inches; 324 units wide, so that text stays readable on a phone


@dataclass(frozen=True)
class Drawn:
    """A figure of the page."""

    title: str
    caption: str
    svg: Markup
    numbers: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)  # what is drawn, for its CSV
    legend: Mapping[str, Look] = field(default_factory=dict)  # of the file that stands alone; the page has its own


def new_axes(x: str, y: str) -> Axes:
    """Axes of a figure of their own, with these labels."""
    axes = svg.framed(Figure(figsize=_SIZE)).add_subplot()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(visible=False, axis="x")
    return axes


def finished(
    axes: Axes, name: str, title: str, caption: str, label: str, numbers: pd.DataFrame, looks: Mapping[str, Look]
) -> Drawn:
    """The figure of `axes`. name: of its elements, once a page; label: what it shows, in words.

    numbers: what is drawn, long, with a column `variant`; looks: those of its variants, among others.
    """
    if axes.get_xlabel().startswith(("epoch", "layer")):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure = axes.get_figure(root=True)
    assert figure is not None
    return Drawn(title, caption, svg.render(figure, name, label), numbers, legend_of(numbers, looks))


def of_parts(
    title: str, caption: str, drawn: Markup, numbers: Sequence[pd.DataFrame], looks: Mapping[str, Look]
) -> Drawn:
    """The rendered figure with the numbers of its parts, each long, with a column `variant`; looks: as `finished`."""
    whole = pd.concat(numbers, ignore_index=True)
    return Drawn(title, caption, drawn, whole, legend_of(whole, looks))


def legend_of(numbers: pd.DataFrame, looks: Mapping[str, Look]) -> dict[str, Look]:
    """The looks of the variants that the `numbers` of a figure are of."""
    return {str(variant): looks[str(variant)] for variant in dict.fromkeys(numbers["variant"])}


def marked_line(axes: Axes, x: pd.Series[float] | pd.Index[float], y: pd.Series[float], look: Look) -> None:
    """Draw one line with a marker at every point."""
    axes.plot(x, y, color=look.placeholder, lw=1.5, dashes=look.dashes, marker=look.marker, ms=6, mec=svg.PAGE, mew=0.5)


def logarithmic(axes: Axes, within_decade: Sequence[float] = (1.0,)) -> None:
    """Make the vertical axis logarithmic, with plain numbers at these multiples of the powers of ten."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=within_decade))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def new_panels(titles: Sequence[str], columns: int, height: float, x: str, y: str) -> tuple[Figure, list[Axes]]:
    """A figure and its panels in the order of `titles`, `columns` in a row and `height` inches each, on shared axes."""
    columns = min(len(titles), columns)
    rows = -(-len(titles) // columns)
    figure = svg.framed(Figure(figsize=(_SIZE[0], 0.65 + height * rows)), top=0.25, hspace=0.25, wspace=0.08)
    grid = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    panels, unused = grid[: len(titles)], grid[len(titles) :]
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(shortened(title, 54 // columns), loc="left", size=8.5)
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(12 // columns, integer=x.startswith("step")))
    for place, axes in enumerate(unused, len(titles)):
        axes.set_axis_off()
        grid[place - columns].tick_params(labelbottom=True)
    figure.supxlabel(x, size=9)
    figure.supylabel(y, size=9)
    return figure, panels


def panels_by_layer(layers: Iterable[int], x: str, y: str) -> tuple[Figure, dict[int, Axes]]:
    """A figure with a panel a layer, two in a row, and its panels; x and y are the labels of their shared axes."""
    layers = sorted(set(layers))
    height = 2.2 if len(layers) <= 2 else 1.6
    figure, panels = new_panels([f"layer {layer}" for layer in layers], 2, height, x, y)
    return figure, dict(zip(layers, panels, strict=True))


def shortened(name: str, most: int) -> str:
    """`name`, cut to `most` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Lowest to highest. Seaborn's own way to it is by percentiles, a third of a line's time."""
    seeds = np.asarray(values)
    return seeds.min(), seeds.max()


def draw_lines(axes: Axes, frame: pd.DataFrame, x: str, y: str, looks: Mapping[str, Look], *, markers: bool) -> None:
    """A line a variant: mean over seeds, and a band from the lowest to the highest."""
    variants = list(dict.fromkeys(frame["variant"]))
    chosen = {variant: looks[variant] for variant in variants}
    labels = axes.get_xlabel(), axes.get_ylabel()
    sns.lineplot(
        data=frame, x=x, y=y, hue="variant", style="variant", hue_order=variants, style_order=variants,
        palette={variant: look.placeholder for variant, look in chosen.items()},
        dashes={variant: look.dashes for variant, look in chosen.items()},
        markers={variant: look.marker for variant, look in chosen.items()} if markers else False,
        errorbar=_range, err_kws={"alpha": 0.12, "lw": 0}, lw=1.5, markersize=6, markeredgewidth=0.5,
        markeredgecolor=svg.PAGE, legend=False, ax=axes,
    )  # fmt: skip
    axes.set(xlabel=labels[0], ylabel=labels[1])
