"""The small matrices that a chunk of the scan is computed with on a CPU (numba), and what their gradients are of.

Within a chunk of CHUNK steps everything is a product with one of four matrices of the channel: from inputs to the
states' increments (`inward`), from the states that enter the chunk to outputs (`outward`), from inputs to outputs
(`within`), and from the states that enter one chunk to those that enter the next (`kept`, diagonal). Their numbers are
powers of e^(dt_a), weighted or not.

A state is its real part and, where it is complex, its imaginary part: `planes` real numbers, 1 or 2. `columns` are
these numbers of all states of both directions, and zeros up to whole blocks: first come a direction's real parts, then
its imaginary ones. Matrices are flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from spike_ssm.models.ops.compiled import WORTH, Threaded, array_of, kernel, parts_of
from spike_ssm.models.ops.simd import BLOCK

CHUNK = BLOCK
FEW = 16
"""Channels for whose matrices one thread is enough."""


@kernel
def part(numbers, parts):
    """Fill parts [2, N] from numbers [N, planes]; imaginary parts are 0 where there are none."""
    states, planes = numbers.shape
    for n in range(states):
        parts[0, n] = numbers[n, 0]
        parts[1, n] = numbers[n, 1] if planes == 2 else 0


@kernel
def join(parts, numbers):
    """Fill numbers [N, planes] with the sums of parts [some, 2, N]."""
    states, planes = numbers.shape
    for n in range(states):
        for plane in range(planes):
            total = 0.0
            for k in range(len(parts)):
                total += parts[k, plane, n]
            numbers[n, plane] = total


@kernel
def powers_of(dt_a, powers):
    """Fill powers [count, 2, N], real and imaginary parts, with those from 0 on of one channel's e^(dt_a), [2, N]."""
    for n in range(dt_a.shape[1]):
        decay, angle = np.exp(dt_a[0, n]), dt_a[1, n]
        powers[0, 0, n], powers[0, 1, n] = 1, 0
        if len(powers) > 1:
            powers[1, 0, n], powers[1, 1, n] = decay * np.cos(angle), decay * np.sin(angle)
    for p in range(2, len(powers)):
        for n in range(dt_a.shape[1]):
            powers[p, 0, n] = powers[p - 1, 0, n] * powers[1, 0, n] - powers[p - 1, 1, n] * powers[1, 1, n]
            powers[p, 1, n] = powers[p - 1, 0, n] * powers[1, 1, n] + powers[p - 1, 1, n] * powers[1, 0, n]


@kernel(inline="always")
def _enters(t, direction):
    """Steps from step t of a chunk to where the states are that it adds to."""
    return CHUNK - 1 - t if direction == 0 else t


@kernel(inline="always")
def _leaves(t, direction):
    """Steps from the states outside a chunk to its step t."""
    return t + 1 if direction == 0 else CHUNK - 1 - t


@kernel
def fill(array, value):
    """Set all numbers of a flat array to `value`."""
    for i in range(array.size):
        array[i] = value


@kernel
def _matrices(powers, weights, skip, planes, inward, outward, within, kept):
    """Fill one channel's matrices from its powers and weights [directions, 2, N]."""
    directions, _, states = weights.shape
    columns = inward.size // CHUNK
    lags = np.zeros((2, CHUNK))
    lags[0, 0] = skip
    fill(inward, 0)
    fill(outward, 0)
    for n in range(states):
        kept[n] = powers[CHUNK, 0, n]
        kept[states + n] = powers[CHUNK, 1, n]
    for direction in range(directions):
        for n in range(states):
            column = direction * planes * states + n
            # one of each conjugate pair stands for both
            real, imaginary = planes * weights[direction, 0, n], planes * weights[direction, 1, n]
            for t in range(CHUNK):
                entered, left = powers[_enters(t, direction)], powers[_leaves(t, direction)]
                inward[t * columns + column] = entered[0, n]
                outward[column * CHUNK + t] = real * left[0, n] - imaginary * left[1, n]
                if planes == 2:
                    inward[t * columns + column + states] = entered[1, n]
                    outward[(column + states) * CHUNK + t] = -(real * left[1, n] + imaginary * left[0, n])
                lags[direction, t] += real * powers[t, 0, n] - imaginary * powers[t, 1, n]
    for j in range(CHUNK):
        for t in range(CHUNK):
            within[j * CHUNK + t] = lags[0, t - j] if t >= j else lags[1, j - t - 1]


@Threaded
def _prepare_kernel(dt_a, numbers, skip, weights, powers, inward, outward, within, kept, first, end):
    _, states, planes = dt_a.shape
    exponents = np.empty((2, states))
    for h in range(first, end):
        part(dt_a[h], exponents)
        powers_of(exponents, powers[h])
        for direction in range(len(weights)):
            part(numbers[direction, h], weights[direction, h])
        _matrices(powers[h], weights[:, h], skip[h], planes, inward[h], outward[h], within[h], kept[h])


@kernel
def _transpose(matrix, columns, transposed):
    rows = matrix.size // columns
    for i in range(rows):
        for j in range(columns):
            transposed[j * rows + i] = matrix[i * columns + j]


@kernel
def transposed(inward, outward, within, kept):
    """A channel's matrices of the adjoint, in the order in which they stand for these."""
    back = np.empty_like(inward), np.empty_like(outward), np.empty_like(within), np.empty_like(kept)
    _transpose(outward, CHUNK, back[0])
    _transpose(inward, inward.size // CHUNK, back[1])
    _transpose(within, CHUNK, back[2])
    states = kept.size // 2
    for n in range(states):
        back[3][n] = kept[n]
        back[3][states + n] = -kept[states + n]
    return back


@kernel
def chain(powers, weights, planes, by_inward, by_outward, by_within, by_kept, by_dt_a, by_weights):
    """Add a channel's gradients of its matrices, chained on, to those of dt_a [2, N] and weights [directions, 2, N].

    by_inward and by_outward are both [CHUNK, columns]. Returns the gradient of the skip. A complex number's gradient
    has that of its real part as real part; imaginary parts are garbage where numbers are real.
    """
    directions, _, states = weights.shape
    columns = by_inward.size // CHUNK
    lags = np.zeros((2, CHUNK))
    for j in range(CHUNK):
        for t in range(CHUNK):
            if t >= j:
                lags[0, t - j] += by_within[j * CHUNK + t]
            else:
                lags[1, j - t - 1] += by_within[j * CHUNK + t]
    last, by_turn = powers[CHUNK], by_kept[states:]
    for n in range(states):  # p a^p conjugated: the derivative of a^p by its exponent
        by_dt_a[0, n] += CHUNK * (by_kept[n] * last[0, n] + by_turn[n] * last[1, n])
        by_dt_a[1, n] += CHUNK * (by_turn[n] * last[0, n] - by_kept[n] * last[1, n])
    lag, zeros = np.empty(states), np.zeros(states)
    for direction in range(directions):
        weight, by_weight = weights[direction], by_weights[direction]
        for t in range(CHUNK):
            real = t * columns + direction * planes * states
            imaginary, end = real + states, real + 2 * states
            _chain_power(
                powers[_enters(t, direction)], _enters(t, direction),
                by_inward[real:imaginary], by_inward[imaginary:end] if planes == 2 else zeros, by_dt_a,
            )  # fmt: skip
            chain_weighted(
                powers[_leaves(t, direction)], _leaves(t, direction), planes, weight,
                by_outward[real:imaginary], by_outward[imaginary:end] if planes == 2 else zeros, by_dt_a, by_weight,
            )  # fmt: skip
            fill(lag, lags[direction, t])
            chain_weighted(powers[t], t, planes, weight, lag, zeros, by_dt_a, by_weight)
    return lags[0, 0]


@kernel
def _chain_power(power, p, real, imaginary, by_dt_a):
    """Chain gradients [N] of the parts of the powers a^p on to the exponents' gradients [2, N]."""
    for n in range(real.size):
        by_dt_a[0, n] += p * (real[n] * power[0, n] + imaginary[n] * power[1, n])
        by_dt_a[1, n] += p * (imaginary[n] * power[0, n] - real[n] * power[1, n])


@kernel
def chain_weighted(power, p, planes, weight, real, imaginary, by_dt_a, by_weight):
    """Chain gradients [N] of planes * Re(weight a^p) and of -planes * Im(weight a^p) on, [2, N] each."""
    for n in range(real.size):
        by_real = planes * (real[n] * power[0, n] - imaginary[n] * power[1, n])
        by_imaginary = -planes * (imaginary[n] * power[0, n] + real[n] * power[1, n])
        by_weight[0, n] += by_real
        by_weight[1, n] += by_imaginary
        by_dt_a[0, n] += p * (by_real * weight[0, n] + by_imaginary * weight[1, n])
        by_dt_a[1, n] += p * (by_imaginary * weight[0, n] - by_real * weight[1, n])


@Threaded
def _total_kernel(by_dt_a, by_weights, by_skip, dt_a, weights, skip, first, end):
    for h in range(first, end):
        join(by_dt_a[:, h], dt_a[h])
        for direction in range(len(weights)):
            join(by_weights[:, direction, h], weights[direction, h])
        skip[h] = by_skip[:, h].sum()


def prepared(dt_a: Tensor, weights: Tensor, skip: Tensor) -> tuple[Any, ...]:
    """What kernels take of a model.

    Returns its weights [directions, H, 2, N], the layout (directions and planes), and for all channels [H, ...] the
    powers and the matrices inward, outward, within and kept.
    """
    channels, states = dt_a.shape
    layout, of_skip = (len(weights), 1 + dt_a.is_complex()), array_of(skip)
    columns = -(-layout[0] * layout[1] * states // BLOCK) * BLOCK
    of_weights, powers = np.empty((layout[0], channels, 2, states)), np.empty((channels, CHUNK + 1, 2, states))
    sizes = (CHUNK * columns, CHUNK * columns, CHUNK * CHUNK, 2 * states)
    matrices = tuple(np.empty((channels, size), of_skip.dtype) for size in sizes)
    _prepare_kernel(channels, FEW, parts_of(dt_a), parts_of(weights), of_skip, of_weights, powers, *matrices)
    return of_weights, layout, powers, matrices


def total(arrays: Sequence[np.ndarray], like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of `like`, dt_a, weights and skip, summed over the first axis of what kernels have added them to.

    arrays: [some, H, 2, N], [some, directions, H, 2, N] and [some, H].
    """
    found = tuple(each.new_empty(each.shape) for each in like)
    channels = arrays[2].shape[1]
    dt_a, weights, skip = found
    _total_kernel(
        channels, -(-WORTH * channels // arrays[1].size), *arrays, parts_of(dt_a), parts_of(weights), skip.numpy()
    )
    return found
