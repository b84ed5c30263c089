"""Images of Pathfinder and Path-X: do two dots lie on one dashed contour, or on two?

The task is from Linsley et al. 2018, its sequences from Tay et al. 2021 (Long Range Arena). Images are made by the
procedure of the published generator (drewlinsley/pathfinder, `snakes2.py`):

1. Two contours grow by turns, a paddle each. The first starts in a random direction of its openings at a random place
   at least two seed distances from the border; the second starts a seed distance away, in any direction.
2. A contour grows from its pivot, a margin beyond its head: the next head is drawn from the pixels on the circle round
   the pivot, weighted by cos^2(min(turn x continuity, 90 degrees)), none of them within a margin of an occupied pixel.
   A paddle that finds no room is drawn again, at most twice; a dead end restarts both contours.
3. Distractors, shorter contours, grow by the same rule from random free places, as far as there is room. One that finds
   none, or whose direction, a random degree, is no opening, is drawn again, at most four times.
4. The label is 1 or 0 with equal chance. A marker lies on the start of one of the two contours, one on the end of the
   same contour (1) or of the other (0). All is antialiased; the brighter stays; grey levels have 8 bits.

Ours are the random numbers and all this leaves open. Paddles, first ones too, point to pixels on a circle, where heads
are rounded to the nearest pixel, not down. A pixel is occupied or not, where the published code has shades, and no
paddle may touch another contour's, where it leaves the newest ones unwatched. Distractors are as many as there, on
average. A pixel is as bright as the share of it that is covered. Markers never touch each other, and they are white,
where the published code, patched to run with today's SciPy, leaves them all but black.

An image is the same bytes whatever the number of threads and however the images are divided over calls; over machines
too, as far as `harness.data.contours.shapes` says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.contours.shapes import Integers, Plan, Shapes, Snakes, plan_for, shapes_for, units
from spike_ssm.harness.data.threads import share_threads_with_numba
from spike_ssm.results.errors import UserError

RESTARTS = 20_000
"""Dead ends after which a pair of contours is given up. The hardest published set (128 pixels, 14 paddles) takes about
370: the chance that one of 200,000 images is given up is below 1 in 10^6."""

PADDLE_RETRIES, DISTRACTOR_RETRIES = 2, 4
"""Number of further draws of a paddle, and of a distractor, that finds no room. Published."""

TURN = 360
"""Number of whole degrees from which a first paddle's direction is drawn. Published."""

PLACES = 1_000
"""Number of random places tried for a distractor's first paddle, before it is drawn again."""


@dataclass(frozen=True)
class Images:
    """Images and how they were made. Places are (row, column) in pixels, those of pixels at their centres.

    images: [n, size, size] uint8. labels: [n] uint8, 1 where the markers are on one contour. margins: [n] uint8, the
    margin drawn for each. markers: [n, 2, 2] int16, the one on a start, the one on an end. Contours 0 and 1 are those
    with markers, the others distractors. paddles: [n, contours] number of each. centres [n, contours, longest, 2]
    and orientations [n, contours, longest], float32, of the paddles in the order in which they grew; orientations are
    angles from tail to head, in radians from the direction of the columns to that of the rows. NaN after the last.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    margins: npt.NDArray[np.uint8]
    markers: npt.NDArray[np.int16]
    paddles: npt.NDArray[np.int64]
    centres: npt.NDArray[np.float32]
    orientations: npt.NDArray[np.float32]


def generate(snakes: Snakes, seed: int, first: int, count: int) -> Images:
    """Images `first` to `first + count - 1` of the endless set that `seed` [0 to 2^63 - 1] gives.

    Each is drawn from the parameters, the seed and its number alone. Raises `UserError` when the contours do not fit.
    """
    share_threads_with_numba()
    images = np.zeros((count, snakes.size, snakes.size), np.uint8)
    labels, margins = np.zeros(count, np.uint8), np.zeros(count, np.uint8)
    markers = np.zeros((count, 2, 2), np.int16)
    contours, longest = 2 + snakes.distractors, max(snakes.contour_length, snakes.distractor_length)
    places = np.full((count, contours, longest, 3), -1, np.int16)
    pointing = np.zeros((count, contours, longest, 2))
    failed = np.zeros(1, np.bool_)
    for choice, margin in enumerate(snakes.margins):
        tables = shapes_for(snakes, margin)
        chosen = np.zeros(count, np.bool_)
        _make(np.uint64(seed), first, choice, plan_for(snakes), tables, chosen, images, labels, markers, places, failed)
        margins[chosen] = margin
        pointing[chosen] = units(tables.heads)[places[chosen, ..., 2]]
    if failed[0]:
        raise UserError(
            f"Two Pathfinder contours found no room in {RESTARTS} tries: enlarge the canvas or shorten the contours of "
            f"{snakes}."
        )
    present = places[..., 2] >= 0
    middles = margins[:, None, None, None] + snakes.paddle_length / 2
    return Images(
        *(images, labels, margins, markers),
        paddles=present.sum(axis=2),
        centres=np.where(present[..., None], places[..., :2] + middles * pointing, np.nan).astype(np.float32),
        orientations=np.where(present, np.arctan2(pointing[..., 0], pointing[..., 1]), np.nan).astype(np.float32),
    )


# The kernels are all in this file, because numba's cache does not notice a change in another one

GAMMA = np.uint64(0x9E3779B97F4A7C15)
Stream = npt.NDArray[np.uint64]  # one word: the state of an image's random numbers


@numba.njit(cache=True)
def _mix(z: np.uint64) -> np.uint64:
    """SplitMix64's scrambling (Steele et al. 2014): z = s + k * GAMMA gives the k-th word of stream s."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def _draw(stream: Stream, choices: int) -> int:
    """A random number from 0 to `choices` - 1; chances differ by at most 1 in 2^32."""
    stream[0] += GAMMA
    return int(np.int64((_mix(stream[0]) >> np.uint64(32)) * np.uint64(choices) >> np.uint64(32)))


@numba.njit(cache=True)
def _free(canvas: Integers, pixels: Integers, row: int, column: int, own: int) -> bool:
    """Whether all `pixels` [n, 2] round a place are on the canvas, and nobody's or the paddle's named `own`."""
    for k in range(len(pixels)):
        y, x = row + pixels[k, 0], column + pixels[k, 1]
        if not (0 <= y < len(canvas) and 0 <= x < len(canvas)) or (canvas[y, x] != 0 and canvas[y, x] != own):
            return False
    return True


@numba.njit(cache=True)
def _put(canvas: Integers, tables: Shapes, paddle: Integers, place: tuple[int, int, int], name: int) -> bool:
    """Write `place` (row, column, direction) to `paddle` [3] and its name to its footprint, if it has room.

    Paddles may share pixels with the one before them in their contour only, whose name is one less.
    """
    row, column, direction = place
    pixels = tables.footprints[direction]
    if not _free(canvas, pixels, row, column, name - 1):
        return False
    paddle[0], paddle[1], paddle[2] = place
    for k in range(len(pixels)):
        y, x = row + pixels[k, 0], column + pixels[k, 1]
        if canvas[y, x] == 0:
            canvas[y, x] = name
    return True


@numba.njit(cache=True)
def _extend(stream: Stream, canvas: Integers, tables: Shapes, last: Integers, new: Integers, name: int) -> bool:
    """Let the paddle `last` [3] be followed by `new` [3]; False at a dead end."""
    row, column = last[0] + tables.strides[last[2], 0], last[1] + tables.strides[last[2], 1]
    weights = tables.weights[last[2]].copy()
    for k in range(len(weights)):
        y, x = row + tables.heads[k, 0], column + tables.heads[k, 1]
        if weights[k] > 0 and not _free(canvas, tables.near, y, x, name - 1):
            weights[k] = 0
    total = weights.sum()
    for _ in range(1 + PADDLE_RETRIES if total > 0 else 0):
        left, direction = _draw(stream, total), 0
        while left >= weights[direction]:
            left -= weights[direction]
            direction += 1
        if _put(canvas, tables, new, (row, column, direction), name):
            return True
    return False


@numba.njit(cache=True)
def _pair(stream: Stream, canvas: Integers, plan: Plan, tables: Shapes, places: Integers) -> bool:
    """Grow two contours by turns on an empty canvas; False at a dead end. Contours have names `longest` + 1 apart."""
    canvas[:] = -1
    canvas[plan.padding : plan.size - plan.padding, plan.padding : plan.size - plan.padding] = 0
    row = plan.inset + _draw(stream, plan.size - 2 * plan.inset)
    column = plan.inset + _draw(stream, plan.size - 2 * plan.inset)
    for contour in range(2):
        if contour == 0:
            direction = tables.openings[_draw(stream, len(tables.openings))]
        else:
            direction = _draw(stream, len(tables.heads))
        name = 1 + contour * (places.shape[1] + 1)
        if not _put(canvas, tables, places[contour, 0], (row, column, direction), name):
            return False
        step = tables.seeds[_draw(stream, len(tables.seeds))]
        row, column = row + step[0], column + step[1]
    for k in range(1, plan.contour_length):
        for contour in range(2):
            name = 1 + contour * (places.shape[1] + 1) + k
            if not _extend(stream, canvas, tables, places[contour, k - 1], places[contour, k], name):
                return False
    return True


@numba.njit(cache=True)
def _tips(plan: Plan, tables: Shapes, places: Integers, tips: Integers) -> bool:
    """Write the two contours' tips [start or end, contour, 2]; False where they are too near or too unevenly far."""
    distances = np.empty((2, 2))
    for contour in range(2):
        first, last = places[contour, 0], places[contour, plan.contour_length - 1]
        tips[0, contour] = first[:2] + tables.tails[first[2]]
        tips[1, contour] = last[:2] + tables.heads[last[2]]
    for start in range(2):
        for end in range(2):
            distances[start, end] = np.sqrt(np.float64(((tips[0, start] - tips[1, end]) ** 2).sum()))
    uneven = np.abs(distances[:, 0] - distances[:, 1]).max()
    return bool(distances.min() >= plan.apart and uneven <= plan.unevenness)


@numba.njit(cache=True)
def _distract(stream: Stream, canvas: Integers, plan: Plan, tables: Shapes, paddles: Integers, name: int) -> None:
    """Grow a distractor [longest, 3] whose first paddle has `name`, if it finds room."""
    for _ in range(1 + DISTRACTOR_RETRIES):
        opening, grown = _draw(stream, TURN), 0
        if opening >= len(tables.openings):
            continue
        for _ in range(PLACES):
            row, column = _draw(stream, plan.size), _draw(stream, plan.size)
            if _put(canvas, tables, paddles[0], (row, column, tables.openings[opening]), name):
                grown = 1
                break
        while 0 < grown < plan.distractor_length:
            if not _extend(stream, canvas, tables, paddles[grown - 1], paddles[grown], name + grown):
                break
            grown += 1
        if grown == plan.distractor_length:
            return
        paddles[:] = -1
        for row in range(plan.size):
            for column in range(plan.size):
                if canvas[row, column] >= name:
                    canvas[row, column] = 0


@numba.njit(cache=True)
def _light(image: Integers, ink: Integers, row: int, column: int) -> None:
    """Draw `ink` [n, 3] round a place; the brighter level stays."""
    for k in range(len(ink)):
        y, x = row + ink[k, 0], column + ink[k, 1]
        if 0 <= y < len(image) and 0 <= x < len(image):
            image[y, x] = max(image[y, x], ink[k, 2])


@numba.njit(cache=True)
def _image(stream: Stream, plan: Plan, tables: Shapes, image: Integers, markers: Integers, places: Integers) -> int:
    """Fill in an image, its markers [2, 2] and places [contours, longest, 3]; its label, or -1 if it is given up."""
    label, start = _draw(stream, 2), _draw(stream, 2)
    canvas, tips = np.empty((plan.size, plan.size), np.int16), np.empty((2, 2, 2), np.int16)
    for _ in range(RESTARTS):
        if _pair(stream, canvas, plan, tables, places) and _tips(plan, tables, places, tips):
            break
    else:
        return -1
    for contour in range(2, len(places)):
        _distract(stream, canvas, plan, tables, places[contour], 1 + contour * (places.shape[1] + 1))
    for row, column, direction in places.reshape(-1, 3):
        if direction >= 0:
            _light(image, tables.paddles[direction], row, column)
    markers[0], markers[1] = tips[0, start], tips[1, start if label == 1 else 1 - start]
    for row, column in markers:
        _light(image, tables.marker, row, column)
    return label


@numba.njit(parallel=True, cache=True)
def _make(
    seed: np.uint64,
    first: int,
    choice: int,
    plan: Plan,
    tables: Shapes,
    chosen: npt.NDArray[np.bool_],
    images: Integers,
    labels: Integers,
    markers: Integers,
    places: Integers,
    failed: npt.NDArray[np.bool_],
) -> None:
    """Make those of the images from `first` on that draw the margin numbered `choice`; `chosen` [n] tells which.

    places [n, contours, longest, 3]: each paddle's pivot and direction. failed [1]: set if one has been given up.
    """
    for i in numba.prange(len(images)):
        stream = np.array([_mix(_mix(seed) + np.uint64(first + i) * GAMMA)])
        chosen[i] = _draw(stream, plan.margins) == choice
        if chosen[i] and not failed[0]:
            label = _image(stream, plan, tables, images[i], markers[i], places[i])
            labels[i] = max(label, 0)
            if label < 0:
                failed[0] = True
