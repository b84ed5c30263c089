"""Accuracy against the level of one corruption: a panel a variant, with the baseline beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, new_panels
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number
from spike_ssm.reports.sections.robustness.corruptions import FULL_PRECISION, Corruption
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, t_interval

MOST_VARIANTS = 9
_COLUMNS = 3


def curve_figure(
    corruption: Corruption,
    curves: pd.DataFrame,
    looks: Mapping[str, Look],
    baseline: str | None,
    shortcut: float,
    name: str,
) -> Drawn:
    """`curves` are the rows of one corruption: `variant`, `seed`, `level` and `accuracy`, a fraction, or NaN."""
    shown = curves.dropna(subset=["accuracy"])
    having = list(dict.fromkeys(shown["variant"]))
    variants, marks = having[:MOST_VARIANTS], _marks(sorted(set(shown["level"])), corruption.bits)
    means = {variant: _over_seeds(shown[shown["variant"] == variant], marks) for variant in having}
    with svg.drawing():
        figure, panels = new_panels(variants, _COLUMNS, 1.25, corruption.axis, "test accuracy, %")
        for variant, axes in zip(variants, panels, strict=True):
            if baseline in means and variant != baseline:
                axes.plot(means[baseline].index, means[baseline]["mean"], color=svg.MUTED, lw=0.9, zorder=1)
            axes.axhline(shortcut * 100, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
            _curve(axes, means[variant], looks[variant])
            _few_seeds(axes, shown[shown["variant"] == variant], marks, looks[variant])
            axes.set_ylim(_limits([curve["mean"] for curve in means.values()], shortcut * 100))
            if corruption.bits:
                axes.set_xticks(list(marks.values()), [_bits(level) for level in marks])
        caption = (
            f"Mean over seeds; band: 95 % t-interval over seeds, from {VERDICT_SEEDS} on, cut where it leaves the "
            "panel; dots: fewer seeds. Dashed: the shortcut, uncorrupted."
        )
        caption += f" Grey line: {baseline}." if baseline in means else ""
        caption += (
            f" Drawn: the first {len(variants)} of {len(having)} variants." if len(variants) < len(having) else ""
        )
        caption += _without(curves, having)
        numbers = shown[shown["variant"].isin(variants)][["variant", "seed", "level", "accuracy"]]
        return Drawn(corruption.title, caption, svg.render(figure, name, _label(corruption, means)), numbers)


def _marks(levels: list[float], bits: bool) -> dict[float, float]:
    """Place of each level on the axis: bits one step apart, from full precision to the fewest."""
    return {level: float(place) for place, level in enumerate(reversed(levels))} if bits else {x: x for x in levels}


def _bits(level: float) -> str:
    return "full" if level == FULL_PRECISION else f"{level:g}"


def _over_seeds(own: pd.DataFrame, marks: Mapping[float, float]) -> pd.DataFrame:
    """Mean and half interval, %, by place on the axis."""
    table = own.pivot_table(index="level", columns="seed", values="accuracy") * 100
    found = {
        marks[float(level)]: t_interval(values) for level, values in zip(table.index, table.to_numpy(), strict=True)
    }
    rows = {place: {"mean": each.mean, "half": each.half} for place, each in sorted(found.items())}
    return pd.DataFrame.from_dict(rows, orient="index")


def _limits(means: Sequence[pd.Series[float]], shortcut: float) -> tuple[float, float]:
    """Limits of the axis of accuracy, %: what the means need, and room on both sides for intervals."""
    values = [*pd.concat(means), *([shortcut] if math.isfinite(shortcut) else [])]
    room = max(3.0, 0.4 * (max(values) - min(values)))
    return max(0.0, min(values) - room), min(100.0, max(values) + room)


def _curve(axes: Axes, curve: pd.DataFrame, look: Look) -> None:
    banded, colour = curve.dropna(), look.placeholder
    axes.fill_between(
        banded.index, banded["mean"] - banded["half"], banded["mean"] + banded["half"], color=colour, alpha=0.15, lw=0
    )
    axes.plot(curve.index, curve["mean"], color=colour, lw=1.3, dashes=look.dashes)
    axes.plot(curve.index, curve["mean"], ls="", marker=look.marker, ms=3.5, mfc=colour, mec=colour)


def _few_seeds(axes: Axes, own: pd.DataFrame, marks: Mapping[float, float], look: Look) -> None:
    """A dot a seed where there are too few for a band."""
    few = own[own.groupby("level")["seed"].transform("nunique") < VERDICT_SEEDS]
    axes.plot(few["level"].map(marks), few["accuracy"] * 100, "o", ms=2, mew=0, color=look.placeholder, alpha=0.6)


def _without(curves: pd.DataFrame, having: list[str]) -> str:
    """The end of a caption that names the variants that the corruption has no meaning for, and why."""
    absent = curves[~curves["variant"].isin(having)].drop_duplicates("variant")
    reasons = [f"{variant} ({reason})" for variant, reason in zip(absent["variant"], absent["reason"], strict=True)]
    return f" Not drawn: {', '.join(reasons)}." if reasons else ""


def _label(corruption: Corruption, means: Mapping[str, pd.DataFrame]) -> str:
    ends = [
        f"{variant} {number(curve['mean'].iloc[0], 1)} % to {number(curve['mean'].iloc[-1], 1)} %"
        for variant, curve in means.items()
    ]
    return f"Test accuracy against {corruption.axis}, at the axis's ends: {'; '.join(ends)}."
