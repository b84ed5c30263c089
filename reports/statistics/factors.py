"""Main effects of a grid: what one setting does, averaged over the others. The first look at a sweep of several axes.

A difference between two cells of a grid rests on a run a seed each; a main effect rests on all cells at once, so a grid
of 3 x 4 shows what no pair of its cells can. It is an average: a setting that helps here and hurts there may average
to nothing, for which the cells are there. Yates 1937, The Design and Analysis of Factorial Experiments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from spike_ssm.reports.statistics.matched import numbered
from spike_ssm.reports.statistics.pooled import mean_spread, pooled, spread
from spike_ssm.reports.statistics.seeds import Comparison, by_seed, compare, corrected
from spike_ssm.results.schema import PlannedRun

Cell = tuple[str, ...]
"""A combination: one level of each factor."""


@dataclass(frozen=True)
class Grid:
    """Factors with their levels, all of whose combinations are there, and the variant of each combination."""

    levels: Mapping[str, tuple[str, ...]]
    variants: Mapping[Cell, str]

    def at(self, factor: str, *levels: str) -> list[str]:
        """The variants of the combinations with one of these levels."""
        place = list(self.levels).index(factor)
        return [name for cell, name in self.variants.items() if cell[place] in levels]

    def over(self, factor: str) -> int:
        """How many combinations of the other factors there are."""
        return len(self.variants) // len(self.levels[factor])


@dataclass(frozen=True)
class MainEffect:
    """A measure (a fraction) at a level of a factor minus that at its reference, averaged over the other factors."""

    factor: str
    level: str
    reference: str
    over: int  # combinations of the other factors
    comparison: Comparison


def main_effects(
    runs: pd.DataFrame, planned: Sequence[PlannedRun], baseline: str | None, measure: str = "test_accuracy"
) -> list[MainEffect]:
    """Main effects of a task's finished `runs` on a measure, corrected as one family; none below two factors.

    measure: a column of `runs` in fractions. A factor's reference is the baseline's level where the grid has it, else
    its first. Seeds without every combination are left out. Their spread is the one that all variants share, or else
    the mean one of the combinations that are compared.
    """
    values = by_seed(runs, measure).dropna(axis="columns", how="all")
    there = [run for run in planned if run.variant in values]
    grid = complete(there)
    if len(grid.levels) < 2:
        return []
    home = _cells(there).get(str(baseline), {})
    references = {
        factor: home[factor] if home.get(factor) in levels else levels[0] for factor, levels in grid.levels.items()
    }
    pairs = [
        (factor, level) for factor, levels in grid.levels.items() for level in levels if level != references[factor]
    ]
    whole, shared = values[list(grid.variants.values())].dropna(), spread(values)
    found = compare(
        {
            (factor, level): _mean(whole, grid.at(factor, level)) - _mean(whole, grid.at(factor, references[factor]))
            for factor, level in pairs
        }
    )
    for factor, level in pairs:
        alike = shared is not None and shared.is_shared
        compared = shared if alike else mean_spread(whole[grid.at(factor, level, references[factor])])
        found |= pooled({(factor, level): found[factor, level]}, compared, grid.over(factor))
    tested = corrected(found)
    return [MainEffect(*pair, references[pair[0]], grid.over(pair[0]), tested[pair]) for pair in pairs]


def _mean(values: pd.DataFrame, variants: list[str]) -> pd.Series[float]:
    return values[variants].mean(axis="columns")


def complete(planned: Sequence[PlannedRun]) -> Grid:
    """The complete grid that is left when levels with missing combinations go, one by one, the emptiest first.

    A factor is an axis of the sweep but the task. An axis whose labels are all a word and a number (`plain_1`,
    `plain_10`, `reset_1`) is two: the word, and the number that follows it. Factors with one level left are none.
    """
    cells = _cells(planned)
    names = list(next(iter(cells.values()), {}))
    levels = [dict.fromkeys(cell[name] for cell in cells.values()) for name in names]
    there = {tuple(cell.values()): variant for variant, cell in cells.items()}
    while cells and not all(cell in there for cell in product(*levels)):
        wanted = list(product(*levels))
        filled = {
            (place, level): sum(cell in there for cell in wanted if cell[place] == level) * len(each)
            for place, each in enumerate(levels)
            for level in each
        }
        place, level = min(filled, key=lambda key: filled[key])
        del levels[place][level]
    varied = [place for place, each in enumerate(levels) if len(each) > 1]
    variants = {tuple(cell[place] for place in varied): there[cell] for cell in product(*levels)} if varied else {}
    return Grid({names[place]: tuple(levels[place]) for place in varied}, variants)


def _cells(planned: Sequence[PlannedRun]) -> dict[str, dict[str, str]]:
    """Variant -> factor -> level, in the order of `planned`."""
    cells = {run.variant: {axis: label for axis, label in run.axes.items() if axis != "task"} for run in planned}
    for axis in list(next(iter(cells.values()), {})):
        parts = {cell[axis]: numbered(cell[axis]) for cell in cells.values()}
        if all(part and part[0] for part in parts.values()) and len({part[0] for part in parts.values() if part}) > 1:
            for cell in cells.values():
                cell[axis], cell[f"number after {axis}"] = parts[cell[axis]] or ("", "")
    return cells
