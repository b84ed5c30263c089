"""What the figures with a panel a layer share: which layers and variants are drawn, and their lines over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from spike_ssm.reports.render.palette import Look

MOST_LAYERS = 6
"""Layers drawn, spread over all."""

MOST_VARIANTS = 8
"""Variants drawn in a panel, the first ones: as many markers and dashes are told apart."""

SEEDS = "means over seeds, with bands from the lowest to the highest seed"
"""What a line and its band are, for a caption."""

Numbers = npt.NDArray[np.float64]


def recorded(entries: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The `entries`, one a variant, seed and layer, that hold all these columns."""
    return entries if entries.empty else entries.dropna(subset=list(columns))


def limited(entries: pd.DataFrame, variants: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """What is drawn of the entries, and the end of a caption that says what is not, of these variants and of layers."""
    if entries.empty:
        return entries, ""
    chosen, layers = list(dict.fromkeys(entries["variant"]))[:MOST_VARIANTS], sorted(set(entries["layer"]))
    places = np.linspace(0, len(layers) - 1, min(len(layers), MOST_LAYERS)).round().astype(int)
    drawn = [layers[place] for place in places]
    remark = not_drawn(entries, chosen, variants)
    if len(drawn) < len(layers):
        remark += f" Drawn: {len(drawn)} of {len(layers)} layers."
    return entries[entries["variant"].isin(chosen) & entries["layer"].isin(drawn)], remark


def not_drawn(held: pd.DataFrame, chosen: Sequence[str], variants: Sequence[str]) -> str:
    """The end of a caption on variants: those left out for want of room, and those whose runs hold no such record."""
    having = held["variant"].nunique()
    remark = f" Drawn: the first {len(chosen)} of {having} variants." if len(chosen) < having else ""
    lacking = [variant for variant in variants if variant not in set(held["variant"])]
    return remark + (f" Without such a record: {', '.join(lacking)}." if lacking else "")


def by_layer_and_variant(entries: pd.DataFrame) -> Iterator[tuple[int, str, pd.DataFrame]]:
    """Layer, variant and its entries there, one a seed."""
    for variant, of_variant in entries.groupby("variant", sort=False):
        for layer in sorted(set(of_variant["layer"])):
            yield layer, str(variant), of_variant[of_variant["layer"] == layer]


def draw_line(axes: Axes, x: Numbers, seeds: Numbers, look: Look) -> None:
    """Mean and range over `seeds`, [seeds, points], against `x`."""
    colour = look.placeholder
    if len(seeds) > 1:
        axes.fill_between(x, np.nanmin(seeds, axis=0), np.nanmax(seeds, axis=0), color=colour, alpha=0.12, lw=0)
    marker = look.marker if len(x) == 1 else ""  # a single bin would draw no line at all
    axes.plot(x, np.nanmean(seeds, axis=0), color=colour, lw=1.2, dashes=look.dashes, marker=marker)


def percentages(counts: pd.Series) -> Numbers:
    """Counts a seed, each a list over the same bins, as shares of their sum in %, [seeds, bins]."""
    table = np.array(counts.tolist(), dtype=float)
    shares: Numbers = 100 * table / table.sum(axis=1, keepdims=True)
    return shares


def over_seeds(variant: str, layer: int, at: Mapping[str, Numbers], seeds: Mapping[str, Numbers]) -> pd.DataFrame:
    """A line in numbers: mean, lowest and highest of each of `seeds`, [seeds, points], at each point of `at`."""
    columns = {
        f"{name}_{which}": found(values, axis=0)
        for name, values in seeds.items()
        for which, found in (("mean", np.nanmean), ("lowest", np.nanmin), ("highest", np.nanmax))
    }
    count = len(next(iter(seeds.values())))
    return pd.DataFrame({"variant": variant, "layer": layer, **at, **columns, "seeds": count})
