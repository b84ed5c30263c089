"""The scan's CPU kernels (numba).

Time goes in chunks of CHUNK steps. Within a chunk everything is a product with one of four small matrices of the
channel: from inputs to the states' increments (`inward`), from the states before the chunk to outputs (`outward`), from
inputs to outputs (`within`), and from one chunk's states to the next one's (`kept`, diagonal). So a row (an example's
channel) is a matrix of chunks by steps as it lies in memory, and nearly all of the work is products of it, in vector
registers, with nothing between the input and the output that outgrows the caches. A scan step by step needs half as
many operations again, and transposed data.

The adjoint of a scan is a scan with transposed matrices that runs the other way; its states are the adjoints of these.

A state is its real part and, where it is complex, its imaginary part: `planes` real numbers, 1 or 2. `columns` are
these numbers of all states of both directions, and zeros up to whole blocks: first come a direction's real parts, then
its imaginary ones. Matrices are flat.

Rows are counted channel by channel, so that those of a group share matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from spike_ssm.models.ops.compiled import kernel, parallel_kernel
from spike_ssm.models.ops.simd import BLOCK
from spike_ssm.models.ops.simd_recurrence import ROWS, carry_complex, carry_real, multiply
from spike_ssm.models.ops.threads import share_threads_with_numba

CHUNK = BLOCK
GROUP = 16
"""Rows that one thread computes before it takes others."""
STRETCH = 32
"""Chunks whose states are gone through at a time, because they fit into the first cache."""


@kernel
def _powers(dt_a, powers):
    """Powers 0 to CHUNK of one channel's e^(dt_a), [CHUNK + 1, 2, N]: real and imaginary parts; dt_a [2, N]."""
    for n in range(dt_a.shape[1]):
        decay, angle = np.exp(dt_a[0, n]), dt_a[1, n]
        base, power = complex(decay * np.cos(angle), decay * np.sin(angle)), complex(1.0, 0.0)
        for p in range(CHUNK + 1):
            powers[p, 0, n] = power.real
            powers[p, 1, n] = power.imag
            power *= base


@kernel(inline="always")
def _enters(t, direction):
    """Steps from step t of a chunk to where the states are that it adds to."""
    return CHUNK - 1 - t if direction == 0 else t


@kernel(inline="always")
def _leaves(t, direction):
    """Steps from the states outside a chunk to its step t."""
    return t + 1 if direction == 0 else CHUNK - 1 - t


@kernel
def _fill(array, value):
    for i in range(array.size):
        array[i] = value


@kernel
def _matrices(powers, weights, skip, planes, inward, outward, within, kept):
    """Fill one channel's matrices from its powers and weights [directions, 2, N]."""
    directions, _, states = weights.shape
    columns = inward.size // CHUNK
    lags = np.zeros((2, CHUNK))
    lags[0, 0] = skip
    _fill(inward, 0)
    _fill(outward, 0)
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


@parallel_kernel
def _prepare_kernel(dt_a, weights, skip, planes, powers, inward, outward, within, kept):
    for h in prange(len(dt_a)):
        _powers(dt_a[h], powers[h])
        _matrices(powers[h], weights[:, h], skip[h], planes, inward[h], outward[h], within[h], kept[h])


@kernel
def _multiply(a, b, rows, columns, terms, product):
    """Product [rows, columns] of a [rows, terms] and b [terms, columns]."""
    for first in range(0, rows, STRETCH):
        for column in range(0, columns, BLOCK):
            for row in range(first, min(first + STRETCH, rows), ROWS):
                at = row * columns + column
                multiply(a, row * terms, terms, 1, b, column, columns, product, at, columns, terms, 0)  # type: ignore[call-arg]


@kernel
def _multiply_transposed(a, b, rows, columns, terms, product):
    """Product [rows, columns] of the transpose of a [terms, rows] and b [terms, columns]."""
    for first in range(0, terms, STRETCH):
        few = min(STRETCH, terms - first)
        for column in range(0, columns, BLOCK):
            for row in range(0, rows, ROWS):
                begin, at = first * columns + column, row * columns + column
                multiply(a, first * rows + row, 1, rows, b, begin, columns, product, at, columns, few, first)  # type: ignore[call-arg]


@kernel
def _states(x, inward, kept, directions, planes, adjoint, z, seen, sums):
    """States z [chunks, columns] that enter each chunk of inputs x [chunks, CHUNK], from before it or from after it.

    seen: None, or the states [chunks, columns] whose adjoints z are; the gradient of `kept` is then added to sums.
    """
    columns, chunks, states = inward.size // CHUNK, x.size // CHUNK, kept.size // 2
    _multiply(x, inward, chunks, columns, CHUNK, z)
    for direction in range(directions):
        state = np.zeros(2 * states, x.dtype)
        start, stride = direction * planes * states, columns
        if (direction == 1) != adjoint:  # the last chunk comes first
            start, stride = start + (chunks - 1) * columns, -columns
        if planes == 2:
            carry_complex(z, start, stride, chunks, states, kept, state, seen, sums)
        else:
            carry_real(z, start, stride, chunks, states, kept, state, seen, sums)


@kernel
def _outputs(x, z, outward, within, numbers, y):
    """Outputs y [chunks, CHUNK] of inputs x [chunks, CHUNK] and the first `numbers` columns of states z."""
    columns = outward.size // CHUNK
    for chunk in range(0, x.size // CHUNK, ROWS):
        first = chunk * CHUNK
        multiply(x, first, CHUNK, 1, within, 0, CHUNK, y, first, CHUNK, CHUNK, 0)  # type: ignore[call-arg]
        multiply(z, chunk * columns, columns, 1, outward, 0, CHUNK, y, first, CHUNK, numbers, 1)


@kernel
def _copy(source, target, steps):
    for t in range(steps):
        target[t] = source[t]


@kernel
def _padded(length):
    """Steps of the chunks that a sequence takes, in whole blocks of a product."""
    return (length + CHUNK * ROWS - 1) // (CHUNK * ROWS) * CHUNK * ROWS


@kernel
def _forward_group(x, inward, outward, within, kept, directions, planes, y, group):
    batch, channels, length = x.shape
    steps, numbers = _padded(length), directions * planes * (kept.shape[1] // 2)
    source, target = np.zeros(steps, x.dtype), np.empty(steps, x.dtype)
    z = np.empty(steps // CHUNK * (inward.shape[1] // CHUNK), x.dtype)
    for row in range(GROUP * group, min(GROUP * (group + 1), batch * channels)):
        h, b = row // batch, row % batch
        _copy(x[b, h], source, length)
        _states(source, inward[h], kept[h], directions, planes, False, z, None, None)
        _outputs(source, z, outward[h], within[h], numbers, target)
        _copy(target, y[b, h], length)


@parallel_kernel
def _forward_kernel(x, inward, outward, within, kept, directions, planes, y):
    for group in prange((x.shape[0] * x.shape[1] + GROUP - 1) // GROUP):
        _forward_group(x, inward, outward, within, kept, directions, planes, y, group)


@kernel
def _transpose(matrix, columns, transposed):
    rows = matrix.size // columns
    for i in range(rows):
        for j in range(columns):
            transposed[j * rows + i] = matrix[i * columns + j]


@kernel
def _transposed(inward, outward, within, kept):
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
def _chain(powers, weights, planes, by_inward, by_outward, by_within, by_kept, by_dt_a, by_weights):
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
            _chain_weighted(
                powers[_leaves(t, direction)], _leaves(t, direction), planes, weight,
                by_outward[real:imaginary], by_outward[imaginary:end] if planes == 2 else zeros, by_dt_a, by_weight,
            )  # fmt: skip
            _fill(lag, lags[direction, t])
            _chain_weighted(powers[t], t, planes, weight, lag, zeros, by_dt_a, by_weight)
    return lags[0, 0]


@kernel
def _chain_power(power, p, real, imaginary, by_dt_a):
    """Chain gradients [N] of the parts of the powers a^p on to the exponents' gradients [2, N]."""
    for n in range(real.size):
        by_dt_a[0, n] += p * (real[n] * power[0, n] + imaginary[n] * power[1, n])
        by_dt_a[1, n] += p * (imaginary[n] * power[0, n] - real[n] * power[1, n])


@kernel
def _chain_weighted(power, p, planes, weight, real, imaginary, by_dt_a, by_weight):
    """Chain gradients [N] of planes * Re(weight a^p) and of -planes * Im(weight a^p) on, [2, N] each."""
    for n in range(real.size):
        by_real = planes * (real[n] * power[0, n] - imaginary[n] * power[1, n])
        by_imaginary = -planes * (imaginary[n] * power[0, n] + real[n] * power[1, n])
        by_weight[0, n] += by_real
        by_weight[1, n] += by_imaginary
        by_dt_a[0, n] += p * (by_real * weight[0, n] + by_imaginary * weight[1, n])
        by_dt_a[1, n] += p * (by_imaginary * weight[0, n] - by_real * weight[1, n])


@kernel
def _add(source, target):
    """Add an array to one in double precision, because thousands of float32 terms would lose digits."""
    for i in range(source.size):
        target[i] += source[i]


@kernel
def _backward_group(
    grad, x, weights, planes, powers, inward, outward, within, kept, grad_x, by_dt_a, by_weights, by_skip, group
):
    batch, channels, length = x.shape
    directions, _, _, states = weights.shape
    columns, steps = inward.shape[1] // CHUNK, _padded(length)
    chunks, numbers = steps // CHUNK, directions * planes * states
    source, gradient, target = np.zeros(steps, x.dtype), np.zeros(steps, x.dtype), np.empty(steps, x.dtype)
    z, e = np.empty(chunks * columns, x.dtype), np.empty(chunks * columns, x.dtype)
    by_inward, by_outward = np.empty(CHUNK * columns, x.dtype), np.empty(CHUNK * columns, x.dtype)
    by_within, by_kept = np.empty(CHUNK * CHUNK, x.dtype), np.empty(2 * states, x.dtype)
    row, end = GROUP * group, min(GROUP * (group + 1), batch * channels)
    while row < end:  # all rows of one channel
        h = row // batch
        back_in, back_out, back_within, back_kept = _transposed(inward[h], outward[h], within[h], kept[h])
        sums = np.zeros(CHUNK * columns), np.zeros(CHUNK * columns), np.zeros(CHUNK * CHUNK), np.zeros(2 * states)
        while row < min((h + 1) * batch, end):
            b = row % batch
            _copy(x[b, h], source, length)
            _copy(grad[b, h], gradient, length)
            _fill(by_kept, 0)
            _states(source, inward[h], kept[h], directions, planes, False, z, None, None)
            _states(gradient, back_in, back_kept, directions, planes, True, e, z, by_kept)
            _outputs(gradient, e, back_out, back_within, numbers, target)
            _copy(target, grad_x[b, h], length)
            _multiply_transposed(source, e, CHUNK, columns, chunks, by_inward)
            _multiply_transposed(gradient, z, CHUNK, columns, chunks, by_outward)
            _multiply_transposed(source, gradient, CHUNK, CHUNK, chunks, by_within)
            _add(by_inward, sums[0])
            _add(by_outward, sums[1])
            _add(by_within, sums[2])
            _add(by_kept, sums[3])
            row += 1
        part = group - h * batch // GROUP
        by_skip[part, h] = _chain(
            powers[h], weights[:, h], planes, sums[0], sums[1], sums[2], sums[3],
            by_dt_a[part, h], by_weights[part, :, h],
        )  # fmt: skip


@parallel_kernel
def _backward_kernel(
    grad, x, weights, planes, powers, inward, outward, within, kept, grad_x, by_dt_a, by_weights, by_skip
):
    for group in prange((x.shape[0] * x.shape[1] + GROUP - 1) // GROUP):
        _backward_group(
            grad, x, weights, planes, powers, inward, outward, within, kept, grad_x, by_dt_a, by_weights, by_skip, group
        )


def _parts(values: Tensor) -> np.ndarray:
    """Real and imaginary parts [..., 2, N] of numbers [..., N] in double precision."""
    values = values.detach().to(torch.complex128)
    return torch.stack((values.real, values.imag), -2).numpy()


def _prepared(dt_a: Tensor, weights: Tensor, skip: Tensor) -> tuple[Any, ...]:
    """Weights [directions, H, 2, N], planes, and powers, inward, outward, within and kept of all channels, [H, ...]."""
    channels, states = dt_a.shape
    planes, of_weights = 1 + dt_a.is_complex(), _parts(weights)
    columns = -(-len(weights) * states * planes // BLOCK) * BLOCK
    powers, of_skip = np.empty((channels, CHUNK + 1, 2, states)), skip.numpy(force=True)
    sizes = (CHUNK * columns, CHUNK * columns, CHUNK * CHUNK, 2 * states)
    matrices = [np.empty((channels, size), of_skip.dtype) for size in sizes]
    share_threads_with_numba()
    _prepare_kernel(_parts(dt_a), of_weights, of_skip, planes, powers, *matrices)
    return of_weights, planes, powers, *matrices


def forward(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> Tensor:
    """Output [B, H, L]; see operator.py."""
    y = torch.empty_like(x)
    _, planes, _, *matrices = _prepared(dt_a, weights, skip)
    _forward_kernel(x.numpy(force=True), *matrices, len(weights), planes, y.numpy())
    return y


def backward(grad: Tensor, x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> tuple[Tensor, ...]:
    """Gradients of x, dt_a, weights and skip; see operator.py."""
    grad_x, prepared = torch.empty_like(x), _prepared(dt_a, weights, skip)
    parts = (len(x) + GROUP - 2) // GROUP + 1  # groups that the rows of a channel may be in
    directions, channels, _, states = prepared[0].shape
    by_dt_a, by_skip = np.zeros((parts, channels, 2, states)), np.zeros((parts, channels))
    by_weights = np.zeros((parts, directions, channels, 2, states))
    _backward_kernel(
        grad.numpy(force=True), x.numpy(force=True), *prepared, grad_x.numpy(), by_dt_a, by_weights, by_skip
    )

    def total(gradient: np.ndarray, like: Tensor) -> Tensor:
        real, imaginary = torch.from_numpy(gradient.sum(0)).unbind(-2)
        return (torch.complex(real, imaginary) if like.is_complex() else real).to(like.dtype)

    return grad_x, total(by_dt_a, dt_a), total(by_weights, weights), torch.from_numpy(by_skip.sum(0)).to(skip.dtype)
