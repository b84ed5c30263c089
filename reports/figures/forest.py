"""Differences on one axis, of variants and of settings: what is shown, what is open, and how far it may be."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import MarkerType

from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, shortened
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import listing, number
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.statistics.controls import POINT
from spike_ssm.reports.statistics.factors import MainEffect
from spike_ssm.reports.statistics.resolution import corrected_interval
from spike_ssm.reports.statistics.seeds import MARGIN, Comparison, Verdict, by_seed

MOST = 48
"""Rows that fit a printed page and stay readable on a phone."""

_WIDTH, _ROW, _REST = 4.5, 0.19, 0.7  # inches
_LETTER = 0.068  # inches of a label's letter, about
_LONGEST_NAME = 28
_BAND = f"the band is ±\N{NO-BREAK SPACE}{POINT}, which counts as equal"


def forest(
    runs: pd.DataFrame,
    comparisons: Comparisons,
    looks: Mapping[str, Look],
    name: str,
    controls: Collection[str] = (),
) -> Drawn | None:
    """Differences in test accuracy from the baseline, in points, a row a variant; None where nothing is compared.

    runs: what was compared, finished runs of one task. name: of the figure's elements, once a page.
    """
    compared = {variant: each for variant, each in comparisons.accuracy.items() if each.difference.n}
    if not compared:
        return None
    seeds = by_seed(runs, "test_accuracy")
    rows = _rows(_chosen(compared), compared, controls)
    shown = [variant for variant in rows if variant is not None]
    with svg.drawing():
        axes = _axes(rows, controls)
        for variant in shown:
            differences = (seeds[variant] - seeds[comparisons.baseline]).dropna() * 100
            look = looks[variant]
            _draw(axes, rows.index(variant), compared[variant], differences, look.placeholder, look.marker)
        title = f"Differences in accuracy from {comparisons.baseline}"
        label = "; ".join(f"{variant} {_in_words(compared[variant])}" for variant in shown)
        figure = axes.get_figure(root=True)
        assert figure is not None
        baseline = shortened(str(comparisons.baseline), _LONGEST_NAME)
        figure.supxlabel(f"accuracy minus that of {baseline}, points", size=9)
        caption = _caption(compared, str(comparisons.baseline)) + _remark(len(shown), len(compared))
        drawn = svg.render(figure, name, f"{title}, points: {label}.")
        return Drawn(title, caption, drawn, pd.DataFrame([_numbers("variant", name, compared[name]) for name in shown]))


def effect_forest(effects: Sequence[MainEffect], name: str) -> Drawn | None:
    """Main effects on test accuracy, in points, a row a level; None where the sweep is no grid of several axes.

    name: of the figure's elements, once a page.
    """
    if not effects:
        return None
    rows = {f"{each.factor} {each.level}": each.comparison for each in effects}
    references = listing(list(dict.fromkeys(f"{each.factor} {each.reference}" for each in effects)))
    with svg.drawing():
        axes = _axes(list(rows), ())
        for place, comparison in enumerate(rows.values()):
            _draw(axes, place, comparison, pd.Series(dtype=float), svg.INK, "o")
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.supxlabel("accuracy minus that at the reference, points", size=9)
        label = "; ".join(f"{row} {_in_words(comparison)}" for row, comparison in rows.items())
        seen = (
            "Filled markers are effects that are shown, hollow ones are not: lines are 95 % intervals, corrected as "
            f"the tests are, and {_BAND}."
            if _tells(rows)
            else f"Markers are means of too few seeds to show an effect, and {_BAND}."
        )
        return Drawn(
            "Main effects on accuracy",
            f"Each setting averaged over all others, against {references}. {seen}",
            svg.render(figure, name, f"Main effects on accuracy, points: {label}."),
            pd.DataFrame([_numbers("effect", row, comparison) for row, comparison in rows.items()]),
        )


def _chosen(compared: Mapping[str, Comparison]) -> list[str]:
    """All variants, or of more than `MOST` those with a verdict and then the largest differences."""
    order = sorted(compared, key=lambda name: (compared[name].verdict.decided, abs(compared[name].difference.mean)))
    return order[-MOST:]


def _rows(chosen: Sequence[str], compared: Mapping[str, Comparison], controls: Collection[str]) -> list[str | None]:
    """The variants from the top down, the most accurate first; controls come last, below their heading (None)."""
    order = sorted(chosen, key=lambda variant: -compared[variant].difference.mean)
    asked, others = ([name for name in order if (name in controls) is which] for which in (False, True))
    return [*asked, *([None] if asked and others else []), *others]


def _axes(rows: Sequence[str | None], controls: Collection[str]) -> Axes:
    """Empty rows with their names, the line at zero and the band that counts as equal."""
    names = ["controls:" if name is None else shortened(name, _LONGEST_NAME) for name in rows]
    figure = Figure(figsize=(_WIDTH, _REST + _ROW * len(rows)))
    axes = svg.framed(figure, left=0.2 + _LETTER * max(map(len, names))).add_subplot()
    axes.grid(visible=False)
    axes.axvspan(-MARGIN * 100, MARGIN * 100, color=svg.FAINT, lw=0, zorder=0)
    axes.axvline(0, color=svg.INK, lw=0.9, zorder=1)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    for name, label in zip(rows, axes.get_yticklabels(), strict=True):
        if name is None or name in controls:
            label.set(color=svg.MUTED, style="italic")
    return axes


def _draw(
    axes: Axes, place: int, comparison: Comparison, seeds: pd.Series[float], colour: str, marker: MarkerType
) -> None:
    """The mean, filled where a test decides, its interval where there is one, and the seeds below it."""
    decided, interval = comparison.verdict.decided, corrected_interval(comparison)
    axes.plot(seeds, [place + 0.3] * len(seeds), ls="", marker="o", ms=2.4, mew=0, color=colour, alpha=0.7)
    if math.isfinite(interval.half):
        axes.hlines(place, interval.low * 100, interval.high * 100, color=colour, lw=1.8 if decided else 0.9, zorder=2)
    axes.plot(
        interval.mean * 100,
        place,
        marker=marker,
        ms=5.5,
        mec=colour,
        mfc=colour if decided else svg.PAGE,
        zorder=3,
    )


def _numbers(of: str, name: str, comparison: Comparison) -> dict[str, object]:
    """A row of the figure, in points: p is of the test alone, p_holm and the interval are corrected."""
    interval = corrected_interval(comparison)
    row: dict[str, object] = {of: name, "difference_points": interval.mean * 100}
    row |= {"lowest_of_interval_points": interval.low * 100, "highest_of_interval_points": interval.high * 100}
    row |= {"p": comparison.p, "p_holm": comparison.adjusted_p, "seeds": comparison.difference.n}
    return row | {"verdict": comparison.verdict.value}


def _in_words(comparison: Comparison) -> str:
    word = comparison.verdict.value if comparison.verdict.decided else "no difference shown"
    return f"{number(comparison.difference.mean * 100, signed=True)}, {word}"


def _caption(compared: Mapping[str, Comparison], baseline: str) -> str:
    """What to see, in one sentence."""
    if not _tells(compared):
        return f"Dots are seeds, too few to tell a variant from {baseline}, markers are their means, and {_BAND}."
    return (
        f"Filled markers are told from {baseline}, hollow ones are not: lines are 95 % intervals, corrected as the "
        f"tests are, dots are seeds, and {_BAND}."
    )


def _tells(compared: Mapping[str, Comparison]) -> bool:
    """Whether there are seeds enough for any verdict."""
    return any(each.verdict not in (Verdict.TOO_FEW, Verdict.NO_SPREAD) for each in compared.values())


def _remark(drawn: int, there: int) -> str:
    return "" if drawn == there else f" Drawn: {drawn} of {there}, those told from it and the largest differences."
