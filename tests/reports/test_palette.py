"""Looks are told apart: no two of a figure are alike, and colours differ for every kind of colour vision."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.reports.figures.chosen import MOST
from spike_ssm.reports.render.palette import DARK, DARK_PAGE, LIGHT, LIGHT_PAGE, MOST_APART, looks

Numbers = npt.NDArray[np.float64]
VISION = {  # Machado et al. 2009, severity 1, on linear RGB
    "usual": np.eye(3),
    "protanopia": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deuteranopia": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritanopia": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}
XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])


@given(st.sets(st.text("abc_/", min_size=1), min_size=1, max_size=MOST_APART), st.booleans())
def test_no_two_looks_of_a_figure_are_alike(names: set[str], has_baseline: bool) -> None:
    variants = sorted(names)
    baseline = variants[len(variants) // 2] if has_baseline else None
    found = looks(variants, baseline)
    assert len({(look.colour, look.dashes) for look in found.values()}) == len(variants)
    assert len({(look.colour, look.marker) for look in found.values()}) == len(variants)
    assert [variant for variant, look in found.items() if look.colour == 0] == ([baseline] if baseline else [])


@pytest.mark.parametrize("amount", [9, 10])
def test_few_looks_repeat_neither_colour_nor_dashes_nor_marker(amount: int) -> None:
    found = looks([str(place) for place in range(amount)], "0").values()
    for part in ("colour", "dashes", "marker", "outline"):
        assert len({getattr(look, part) for look in found}) == amount, part


def test_a_figure_draws_no_more_than_can_be_told_apart() -> None:
    assert MOST <= MOST_APART


def linear(colour: str) -> Numbers:
    coded = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def lab(light: Numbers) -> Numbers:
    x, y, z = np.cbrt(XYZ @ np.clip(light, 0.009, 1) / XYZ.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_any_two_colours_differ_for_every_kind_of_colour_vision(colours: tuple[str, ...], vision: str) -> None:
    seen = {colour: lab(VISION[vision] @ linear(colour)) for colour in colours}
    assert min(np.linalg.norm(seen[one] - seen[other]) for one, other in combinations(colours, 2)) > 18


@pytest.mark.parametrize(("colours", "page"), [(LIGHT, LIGHT_PAGE), (DARK, DARK_PAGE)], ids=["light", "dark"])
def test_every_colour_stands_out_from_the_page(colours: tuple[str, ...], page: str) -> None:
    background = float(XYZ[1] @ linear(page[len("--page: ") :][:7]))
    for colour in colours:
        darker, lighter = sorted((background, float(XYZ[1] @ linear(colour))))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, colour
