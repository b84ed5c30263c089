"""The figures of the speed section: times and speed-ups against the sequence length, both logarithmic."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.ticker import FuncFormatter, NullLocator

from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, finished, logarithmic, marked_line, new_axes
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number, significant


def speed_figures(numbers: pd.DataFrame, looks: Mapping[str, Look], prefix: str) -> list[Drawn]:
    """Milliseconds of an iteration and speed-up over the loop against L, one line a method."""
    remarks = " Band: lowest to highest seed." if numbers["seeds"].max() > 1 else ""
    remarks += " Some were taken while others used the machine." if numbers["machine_shared"].any() else ""
    return [
        _against_length(
            numbers, "ms", looks, f"{prefix}f0", "Training iteration", "ms per iteration",
            f"Forward and backward of the neuron alone; lower is faster.{remarks}",
        ),
        _against_length(
            numbers, "times_loop", looks, f"{prefix}f1", "Speed-up over the loop", "times as fast as the loop",
            f"At the same length, measured side by side; the line at 1 is the loop.{remarks}",
        ),
    ]  # fmt: skip


def _against_length(
    numbers: pd.DataFrame, column: str, looks: Mapping[str, Look], name: str, title: str, label: str, caption: str
) -> Drawn:
    sentences = []
    with svg.drawing():
        axes = new_axes("sequence length L", label)
        axes.set_xscale("log")
        if column == "times_loop":
            axes.axhline(1, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
        for method, look in looks.items():
            own = numbers[numbers["method"] == method].sort_values("length")
            low, high = own[f"{column}_low"], own[f"{column}_high"]
            axes.fill_between(own["length"], low, high, color=look.placeholder, alpha=0.12, lw=0)
            marked_line(axes, own["length"], own[column], look)
            sentences.append(f"{method} {', '.join(significant(value) for value in own[column])}")
        axes.set_xticks(sorted(set(numbers["length"])))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda length, _: f"{length:,.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        logarithmic(axes)
        lengths = ", ".join(number(length, 0) for length in sorted(set(numbers["length"])))
        text = f"{title} at L = {lengths}: {'; '.join(sentences)}."
        drawn = numbers[["method", "length", column, f"{column}_low", f"{column}_high", "seeds"]]
        return finished(axes, name, title, caption, text, drawn.rename(columns={"method": "variant"}), looks)
