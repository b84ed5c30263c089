"""The page's figure: how far ours lie from the published figures, of the cells that may be set against them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure as Canvas

from spike_ssm.reports.pages.paper.cells import Cell
from spike_ssm.reports.pages.paper.definition import PaperTable
from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.text import number
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS

_WIDTH, _ROW = 4.5, 0.24  # inches


def difference_figure(table: PaperTable, cells: Mapping[tuple[str, str], Cell]) -> Drawn | None:
    """Ours minus published with our 95 % t-interval, one line a cell; None where no cell has a difference."""
    found = [(f"{model}, {column}", cell) for (model, column), cell in cells.items() if math.isfinite(cell.difference)]
    if not found:
        return None
    with svg.drawing():
        canvas = Canvas(figsize=(_WIDTH, 0.9 + _ROW * len(found)), layout="constrained")
        axes = canvas.add_subplot()
        axes.axvline(0, color=svg.MUTED, lw=0.9, dashes=(4, 2), zorder=1)
        for place, (_, cell) in enumerate(found):
            judged = cell.status.judged
            if math.isfinite(cell.ours.half):
                axes.errorbar(cell.difference, place, xerr=cell.ours.half, fmt="none", color=svg.INK, elinewidth=1.1)
            else:  # the lowest and the highest are all seeds that there are
                seeds = [cell.difference + end - cell.ours.mean for end in (cell.ours.least, cell.ours.most)]
                axes.plot(seeds, [place] * len(seeds), "o", ms=2.5, color=svg.INK)
            axes.plot(cell.difference, place, "o", ms=5, mec=svg.INK, mfc=svg.INK if judged else svg.PAGE)
        axes.set_yticks(range(len(found)), [name for name, _ in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("ours minus published")
        label = "; ".join(f"{name} {number(cell.difference, table.digits, signed=True)}" for name, cell in found)
        title = f"{table.title}: distance from the published figures"
        caption = (
            f"How far ours are from what was published: lines are 95 % intervals, dots the seeds where fewer than "
            f"{VERDICT_SEEDS} give none, and filled markers have a verdict."
        )
        drawn = svg.render(canvas, f"paper-{table.name}", f"{title}: {label}.")
        return Drawn(title, caption, drawn, _numbers(cells))


def _numbers(cells: Mapping[tuple[str, str], Cell]) -> pd.DataFrame:
    rows = [
        (model, column, cell.difference, cell.ours.half, cell.ours.n, cell.status.word)
        for (model, column), cell in cells.items()
        if math.isfinite(cell.difference)
    ]
    return pd.DataFrame(rows, columns=["model", "column", "difference", "half_interval", "seeds", "status"])
