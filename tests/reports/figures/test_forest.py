"""The figure of differences: every variant once, what is told apart filled, and no line where there is no interval."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.figures.forest import MOST, forest
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.statistics.baseline import compare_with_baseline


def drawn(variants: int, seeds: int = 4, above: float = 0.0) -> Drawn | None:
    """Of a baseline and so many variants, the last of which lies `above` the others."""
    noise = np.random.default_rng(0)
    names = [f"v{place}" for place in range(variants + 1)]
    rows = [
        {"variant": name, "seed": seed, "firing_rate": 0.1}
        | {"test_accuracy": 0.5 + above * (name == names[-1]) + noise.normal(0, 0.004)}
        for name in names
        for seed in range(seeds)
    ]
    runs = pd.DataFrame(rows)
    return forest(runs, compare_with_baseline(runs, "v0"), palette.looks(names, "v0"), "d0")


def intervals(figure: Drawn) -> int:
    """Horizontal lines, which are drawn as one collection a row."""
    return len(re.findall(r'id="d0-LineCollection_\d+"', figure.svg))


@pytest.mark.parametrize("variants", [1, 9, 60])
def test_every_variant_has_a_row_up_to_so_many(variants: int) -> None:
    figure = drawn(variants, above=0.1)
    assert figure is not None
    names = re.findall(r">(v\d+)</text>", figure.svg)
    assert len(names) == len(set(names)) == intervals(figure) == min(variants, MOST)
    assert names[0] == f"v{variants}", "the most accurate first"
    assert f"v{variants} +9." in figure.svg or f"v{variants} +10." in figure.svg
    assert (f"Drawn: {MOST} of {variants}" in figure.caption) == (variants > MOST)


def test_below_three_seeds_there_are_dots_and_no_lines() -> None:
    figure = drawn(3, seeds=2)
    assert figure is not None
    assert intervals(figure) == 0
    assert figure.caption.startswith("Dots are seeds, too few to tell a variant from v0")


def test_without_a_comparison_there_is_no_figure() -> None:
    assert drawn(0) is None


def test_what_is_told_apart_is_filled_and_the_rest_hollow() -> None:
    figure = drawn(2, above=0.1)
    assert figure is not None
    assert "v2 +10" in figure.svg or "v2 +9" in figure.svg
    assert re.search(r"v2 \+[\d.]+, higher; v1 .[\d.]+, no difference shown", figure.svg)
    filled = figure.svg.count("fill: var(--v2); stroke: var(--v2)")
    hollow = figure.svg.count("fill: var(--page); stroke: var(--v1)")
    assert filled >= 1
    assert hollow >= 1
