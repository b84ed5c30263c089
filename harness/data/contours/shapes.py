"""Parameters of the published sets of Pathfinder images, and tables of the shapes that are drawn.

A contour is a row of dashes, called paddles. A paddle hangs on a pivot, a pixel one margin behind its tail, and points
in one of a few directions: to the pixels on the circle round the pivot on which its head lies. All that depends on a
direction is in the tables, so that contours grow and are drawn with integers alone. Lengths are in pixels, places are
pixels (row, column), and a unit vector is a direction of length 1.

Making the tables takes operations that every machine rounds alike, with two exceptions, whose last bits depend on the C
library: the angle and the cosine of a turn, and the sine and the cosine of a whole degree. What is made of them is
rounded, to 16 bits or 9 digits, so another machine would grow other contours only where a value lies within about
1e-15 of a rounding boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.settings import check_limits
from spike_ssm.results.errors import UserError

Integers = npt.NDArray[np.integer]
Reals = npt.NDArray[np.float64]
Inside = Callable[[Reals, Reals], npt.NDArray[np.bool_]]
"""Whether a shape covers each of the points, whose rows and columns broadcast."""

STRAIGHT = 2**16
"""The weight of going straight on."""

WHITE = 255

EVERY_WAY = (-180, 179)
"""All directions, in whole degrees from that of the columns towards that of the rows."""

SAMPLES = 8
"""Points per side of a pixel at which a shape's share of the pixel is measured."""

LIMITS = {
    "size": (8, 512),
    "padding": (0, 128),
    "antialias": (1, 16),
    "seed_distance": (1, 128),
    "paddle_length": (1, 32),
    "paddle_thickness": (0.1, 16),
    "marker_radius": (0.5, 32),
    "contour_length": (1, 64),
    "continuity": (0, 10),
    "distractor_length": (1, 64),
    "distractors": (0, 100),
    "contour_contrast": (0.1, 10),
    "paddle_contrast": (0.1, 10),
    "unevenness": (0, float("inf")),
}
"""Lowest and highest value allowed of each parameter; margins are from 1 to 16."""


@dataclass(frozen=True)
class Snakes:
    """The parameters of a set of images, by their names in the published generator. Raises `UserError`.

    size: height and width in pixels; padding: pixels along the border that stay empty. antialias: points per side of a
    pixel of the grid on which dashes are drawn there, both ends included: they are 1 / antialias longer than
    paddle_length. margins: one is drawn for each image; within a contour, paddles are 2 margins apart, and no pixel
    lies wholly up to a margin from two others. seed_distance: pixels from the first contour's start to the second's
    and half its least distance from the border. paddle_length, paddle_thickness, marker_radius: pixels. contour_length,
    distractor_length: paddles; distractors: contours besides the two, fewer where there is no room. openings: first and
    last direction, in degrees as in `EVERY_WAY`, in which the first contour and a distractor may start.
    continuity: a turn of 90 degrees / continuity is the first that does not occur. contour_contrast x paddle_contrast:
    brightness of a pixel that a paddle covers, cut off at 1; distractors are as bright (ours: the published code leaves
    their paddle contrast out, by which they could be told). unevenness (ours): pixels that one start may be further
    than the other from either end, so that the markers' distance tells nothing; as published: any.
    """

    size: int
    padding: int
    antialias: int
    margins: tuple[int, ...]
    seed_distance: int
    paddle_length: int
    paddle_thickness: float
    marker_radius: float
    contour_length: int
    continuity: float
    distractor_length: int
    distractors: int
    contour_contrast: float
    paddle_contrast: float
    openings: tuple[int, int] = EVERY_WAY
    unevenness: float = float("inf")

    def __post_init__(self) -> None:
        """Check every value."""
        check_limits(self, LIMITS, "Pathfinder's ")
        if not self.margins or not all(1 <= margin <= 16 for margin in self.margins):
            raise UserError(
                f"Pathfinder's margins={self.margins} are not allowed: give one or more, each from 1 to 16."
            )
        if not EVERY_WAY[0] <= self.openings[0] <= self.openings[1] <= EVERY_WAY[1]:
            raise UserError(
                f"Pathfinder's openings={self.openings} are not allowed: give the first and the last of degrees from "
                f"{EVERY_WAY[0]} to {EVERY_WAY[1]}."
            )
        if 4 * self.seed_distance >= self.size:
            raise UserError(
                f"Pathfinder's seed_distance={self.seed_distance} is not allowed: contours start twice as far from the "
                f"border, so for size={self.size} it must be at most {(self.size - 1) // 4}."
            )


HARD = {
    32: Snakes(32, 1, 2, (1,), 7, 2, 0.5, 1.5, 14, 1.0, 4, 5, 2.0, 0.75, openings=(-150, -121)),
    64: Snakes(64, 1, 2, (1,), 12, 5, 1.0, 2.5, 14, 1.8, 4, 5, 0.8, 1.0, openings=(-180, -85)),
    128: Snakes(128, 1, 2, (2, 3), 20, 5, 1.5, 3.0, 14, 1.8, 4, 8, 0.9, 1.0),
    256: Snakes(256, 22, 2, (3,), 27, 5, 2.0, 5.0, 14, 1.8, 4, 7, 1.0, 1.0),
}
"""The published parameters of Long Range Arena's hard sets by size, from the docstrings of its `pathfinder.py`; what
they leave out - the padding and seed distance of 256, paddle lengths from 64 on - are the generator's defaults.

Openings are those of the generator as we ran it (OpenCV 3.4 and 5.0, Pillow 9.3 and 13.0, alike). It looks for places
by dilating what is occupied with those pixels that a paddle's mask fills wholly. Of thin paddles they are few, and
where none of them lies towards one of the borders, the pixels there dilate to minus infinity, which it takes for no
place at all. We leave out that it also refuses 1 degree of the 96 at 64 pixels, and 6 of 360 at 128 with margin 2."""

LENGTHS = {6: "curv_baseline", 9: "curv_contour_length_9", 14: "curv_contour_length_14"}
"""Contour length in paddles -> the published sets' folder: easy, intermediate, hard."""

DISTRACTOR_PADDLES = {32: 20, 64: 22, 128: 35, 256: 30}
"""Size -> paddles of all distractors together, before their number is rounded down."""


def parameters(size: int, contour_length: int = 14) -> Snakes:
    """The published parameters. Raises `UserError` if there are none.

    The sources state contours of 14 paddles; for 6 and 9 we take the same, with their formulas for the distractors:
    a third as long, rounded down, and as many as their paddles suffice for.
    """
    if size not in HARD or contour_length not in LENGTHS:
        raise UserError(
            f"There are no published Pathfinder images of size={size} with contour_length={contour_length}: the sizes "
            f"are {', '.join(map(str, HARD))}, and the lengths {', '.join(map(str, LENGTHS))}."
        )
    length = contour_length // 3
    distractors = DISTRACTOR_PADDLES[size] // length
    return replace(HARD[size], contour_length=contour_length, distractor_length=length, distractors=distractors)


class Plan(NamedTuple):
    """The numbers by which contours grow. inset: pixels from the border to the first one's start. apart: the least
    distance of a start and an end. margins: number of them. The others: see `Snakes`.
    """

    size: int
    padding: int
    inset: int
    contour_length: int
    distractor_length: int
    margins: int
    apart: float
    unevenness: float


def plan_for(snakes: Snakes) -> Plan:
    """The numbers for such contours; markers stay a pixel apart."""
    return Plan(
        size=snakes.size,
        padding=snakes.padding,
        inset=2 * snakes.seed_distance,
        contour_length=snakes.contour_length,
        distractor_length=snakes.distractor_length,
        margins=len(snakes.margins),
        apart=float(2 * snakes.marker_radius + 1),
        unevenness=float(snakes.unevenness),
    )


class Shapes(NamedTuple):
    """Tables of the paddles of one margin, as pixels relative to the pivot.

    Of each direction d: `heads` [D, 2] and `tails` [D, 2] are its two tips, `strides` [D, 2] the next paddle's pivot,
    `footprints` [D, F, 2] the pixels it keeps others away from, `paddles` [D, I, 3] those it lights and their grey
    levels, `weights` [D, D] how readily every direction follows. `openings` [O] are the directions of the whole degrees
    in which a contour may start. `near` [N, 2] are the pixels up to a margin away,
    `seeds` [S, 2] those a seed distance away, `marker` [M, 3] those a marker lights.
    """

    heads: Integers
    tails: Integers
    strides: Integers
    footprints: Integers
    paddles: Integers
    weights: Integers
    openings: Integers
    near: Integers
    seeds: Integers
    marker: Integers


def shapes_for(snakes: Snakes, margin: int) -> Shapes:
    """The tables for paddles of one of the margins.

    The published code rounds strides up, by which contours are closer to the upper left. It refuses a paddle where its
    mask, a margin round the thick line, and that of others nearly fill a pixel: those half a pixel inside of its edge.
    """
    room = margin + (snakes.paddle_thickness - 1) / 2
    end, extra = margin + snakes.paddle_length, 0.5 / snakes.antialias
    heads, contrast = circle(end), snakes.contour_contrast * snakes.paddle_contrast
    bars = [bar(unit, margin - extra, end + extra, snakes.paddle_thickness) for unit in units(heads)]
    reach = end + extra + snakes.paddle_thickness
    return Shapes(
        heads=heads,
        tails=_round(margin * units(heads)),
        strides=np.ceil((end + margin) * units(heads)).astype(np.int64),
        footprints=stack([footprint(unit, margin, end, room) for unit in units(heads)]),
        paddles=stack([ink(each, reach, contrast) for each in bars]),
        weights=turning(heads, snakes.continuity),
        openings=nearest(heads, np.arange(snakes.openings[0], snakes.openings[1] + 1)),
        near=disc(margin),
        seeds=circle(snakes.seed_distance),
        marker=ink(dot(snakes.marker_radius), snakes.marker_radius),
    )


def disc(radius: float) -> Integers:
    """The pixels [n, 2] up to `radius` away."""
    side = np.arange(-int(radius), int(radius) + 1)
    pixels = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    within: Integers = pixels[(pixels**2).sum(axis=1) <= radius**2]
    return within


def circle(radius: int) -> Integers:
    """The pixels [n, 2] whose distance, rounded, is `radius`."""
    pixels = disc(radius + 0.5)
    ring: Integers = pixels[(pixels**2).sum(axis=1) >= (radius - 0.5) ** 2]
    return ring


def units(directions: Integers) -> Reals:
    """The unit vectors [D, 2] of `directions` [D, 2]."""
    lengths: Reals = np.sqrt((directions**2).sum(axis=1, keepdims=True))
    return directions / lengths


def turning(directions: Integers, continuity: float) -> Integers:
    """Weights [D, D] of turning from each direction to each: `STRAIGHT` cos^2(min(turn x continuity, 90 degrees))."""
    rows, columns = directions.T
    cross = np.abs(np.multiply.outer(rows, columns) - np.multiply.outer(columns, rows))
    dot = np.multiply.outer(rows, rows) + np.multiply.outer(columns, columns)
    turn = np.minimum(np.arctan2(cross, dot) * continuity, np.pi / 2)
    return _round(STRAIGHT * np.cos(turn) ** 2)


def nearest(directions: Integers, degrees: Integers) -> Integers:
    """The number of the direction [D, 2] that is nearest to each of `degrees` [n]; of two alike, the smaller."""
    angles = np.deg2rad(degrees)
    closeness = units(directions) @ np.stack([np.sin(angles), np.cos(angles)])
    found: Integers = np.round(closeness, 9).argmax(axis=0)
    return found


def footprint(unit: Reals, start: float, end: float, room: float) -> Integers:
    """The pixels [n, 2] up to `room` away from the line along `unit` from `start` to `end`."""
    pixels = disc(end + room)
    along, across = _along_and_across(unit, *pixels.T.astype(np.float64))
    beyond = np.maximum(np.maximum(start - along, along - end), 0)
    return pixels[beyond**2 + across**2 <= room**2]


def bar(unit: Reals, start: float, end: float, thickness: float) -> Inside:
    """A rectangle along `unit` from `start` to `end`."""

    def inside(rows: Reals, columns: Reals) -> npt.NDArray[np.bool_]:
        along, across = _along_and_across(unit, rows, columns)
        return (along >= start) & (along <= end) & (across <= thickness / 2)

    return inside


def dot(radius: float) -> Inside:
    """A filled circle round the pivot."""
    return lambda rows, columns: rows**2 + columns**2 <= radius**2


def ink(shape: Inside, reach: float, contrast: float = 1.0) -> Integers:
    """Row, column and grey level [n, 3] of the pixels lit by a shape whose points are up to `reach` away.

    The level is 255 x contrast x the share of the pixel that is covered, 255 at most.
    """
    last = int(np.ceil(reach))
    side = 2 * last + 1
    points = (np.arange(side * SAMPLES) + 0.5) / SAMPLES - last - 0.5
    share = shape(points[:, None], points).reshape(side, SAMPLES, side, SAMPLES).mean(axis=(1, 3))
    levels = _round(WHITE * np.minimum(contrast * share, 1))
    rows, columns = np.nonzero(levels)
    return np.column_stack([rows - last, columns - last, levels[rows, columns]])


def stack(lists: Sequence[Integers]) -> Integers:
    """Lists [n, k] of different lengths n as one array [lists, longest, k]; the shorter repeat their first entry."""
    longest = max(map(len, lists))
    return np.stack([np.concatenate([each, each[:1].repeat(longest - len(each), axis=0)]) for each in lists])


def _along_and_across(unit: Reals, rows: Reals, columns: Reals) -> tuple[Reals, Reals]:
    """How far points lie along a direction, and how far beside it."""
    return rows * unit[0] + columns * unit[1], np.abs(rows * unit[1] - columns * unit[0])


def _round(values: Reals) -> Integers:
    return np.rint(values).astype(np.int64)
