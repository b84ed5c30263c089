"""Drawings: a figure with its caption, and the axes that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spike_ssm.reports.render import svg
from spike_ssm.reports.render.palette import Look

_SIZE = (4.5, 3.1)  # inches; 324 units wide, so that text stays readable on a phone


@dataclass(frozen=True)
class Drawn:
    """A figure of the page."""

    title: str
    caption: str
    svg: Markup


def new_axes(x: str, y: str) -> Axes:
    """Axes of a figure of their own, with these labels."""
    axes = svg.framed(Figure(figsize=_SIZE)).add_subplot()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(visible=False, axis="x")
    return axes


def finished(axes: Axes, name: str, title: str, caption: str, label: str) -> Drawn:
    """The figure of `axes`. name: of its elements, once a page; label: what it shows, in words."""
    if axes.get_xlabel().startswith(("epoch", "layer")):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure = axes.get_figure(root=True)
    assert figure is not None
    return Drawn(title, caption, svg.render(figure, name, label))


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
