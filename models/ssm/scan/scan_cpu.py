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
    """Powers 0 to CHUNK of one channel's e^(dt_a), [CHUNK + 1, 2, N] of real and imaginary parts; dt_a [N, planes]."""
    states, planes = dt_a.shape
    for n in range(states):
        decay = np.exp(np.float64(dt_a[n, 0]))
        angle = np.float64(dt_a[n, 1]) if planes == 2 else 0.0
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
def _matrices(powers, weights, skip, inward, outward, within, kept):
    """Fill one channel's matrices from its powers and weights [directions, N, planes]."""
    directions, states, planes = weights.shape
    columns = inward.size // CHUNK
    lags = np.zeros((2, CHUNK))
    lags[0, 0] = skip
    inward[:] = 0
    outward[:] = 0
    for n in range(states):
        kept[n] = powers[CHUNK, 0, n]
        kept[states + n] = powers[CHUNK, 1, n]
    for direction in range(directions):
        for n in range(states):
            column = direction * planes * states + n
            # one of each conjugate pair stands for both
            real = planes * np.float64(weights[direction, n, 0])
            imaginary = planes * np.float64(weights[direction, n, 1]) if planes == 2 else 0.0
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
def _prepare_kernel(dt_a, weights, skip, powers, inward, outward, within, kept):
    for h in prange(len(dt_a)):
        _powers(dt_a[h], powers[h])
        _matrices(powers[h], weights[:, h], skip[h], inward[h], outward[h], within[h], kept[h])


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


@parallel_kernel
def _forward_kernel(x, inward, outward, within, kept, directions, planes, y):
    batch, channels, length = x.shape
    numbers = directions * planes * (kept.shape[1] // 2)
    rows, steps = batch * channels, _padded(length)
    for group in prange((rows + GROUP - 1) // GROUP):
        source, target = np.zeros(steps, x.dtype), np.empty(steps, x.dtype)
        z = np.empty(steps // CHUNK * (inward.shape[1] // CHUNK), x.dtype)
        for row in range(GROUP * group, min(GROUP * (group + 1), rows)):
            h, b = row // batch, row % batch
            _copy(x[b, h], source, length)
            _states(source, inward[h], kept[h], directions, planes, False, z, None, None)
            _outputs(source, z, outward[h], within[h], numbers, target)
            _copy(target, y[b, h], length)


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
    back[3][:states] = kept[:states]
    back[3][states:] = -kept[states:]
    return back


@kernel
def _chain(powers, weights, by_inward, by_outward, by_within, by_kept, by_dt_a, by_weights):
    """Chain a channel's gradients of its matrices on to those of dt_a [N, planes] and weights [directions, N, planes].

    by_inward and by_outward are both [CHUNK, columns]. Returns the gradient of the skip. A complex number's gradient
    has that of its real part as real part.
    """
    directions, states, planes = weights.shape
    columns = by_inward.size // CHUNK
    lags = np.zeros((2, CHUNK))
    for j in range(CHUNK):
        for t in range(CHUNK):
            if t >= j:
                lags[0, t - j] += by_within[j * CHUNK + t]
            else:
                lags[1, j - t - 1] += by_within[j * CHUNK + t]
    by_a, zeros = np.zeros((2, states)), np.zeros(states)
    last = powers[CHUNK]
    for n in range(states):  # p a^p conjugated: the derivative of a^p by its exponent
        by_a[0, n] = CHUNK * (by_kept[n] * last[0, n] + by_kept[states + n] * last[1, n])
        by_a[1, n] = CHUNK * (by_kept[states + n] * last[0, n] - by_kept[n] * last[1, n])
    for direction in range(directions):
        weight, by_w = np.zeros((2, states)), np.zeros((2, states))
        weight[:planes] = weights[direction].T
        for t in range(CHUNK):
            real = t * columns + direction * planes * states
            imaginary, end = real + states, real + 2 * states
            into, out = by_inward[real:imaginary], by_outward[real:imaginary]
            into_im = by_inward[imaginary:end] if planes == 2 else zeros
            out_im = by_outward[imaginary:end] if planes == 2 else zeros
            before, after, lag = _enters(t, direction), _leaves(t, direction), lags[direction, t]
            entered, left, lagged = powers[before], powers[after], powers[t]
            for n in range(states):
                by_a[0, n] += before * (into[n] * entered[0, n] + into_im[n] * entered[1, n])
                by_a[1, n] += before * (into_im[n] * entered[0, n] - into[n] * entered[1, n])
                out_w = planes * (out[n] * left[0, n] - out_im[n] * left[1, n])
                out_w_im = -planes * (out_im[n] * left[0, n] + out[n] * left[1, n])
                lag_w, lag_w_im = planes * lag * lagged[0, n], -planes * lag * lagged[1, n]
                by_w[0, n] += out_w + lag_w
                by_w[1, n] += out_w_im + lag_w_im
                out_w, out_w_im = after * out_w + t * lag_w, after * out_w_im + t * lag_w_im
                by_a[0, n] += out_w * weight[0, n] + out_w_im * weight[1, n]
                by_a[1, n] += out_w_im * weight[0, n] - out_w * weight[1, n]
        by_weights[direction] = by_w[:planes].T
    by_dt_a[:] = by_a[:planes].T
    return lags[0, 0]


@parallel_kernel
def _backward_kernel(grad, x, weights, powers, inward, outward, within, kept, grad_x, by_dt_a, by_weights, by_skip):
    batch, channels, length = x.shape
    directions, _, states, planes = weights.shape
    numbers, columns = directions * planes * states, inward.shape[1] // CHUNK
    rows, steps = batch * channels, _padded(length)
    for group in prange((rows + GROUP - 1) // GROUP):
        source, gradient, target = np.zeros(steps, x.dtype), np.zeros(steps, x.dtype), np.empty(steps, x.dtype)
        z, e = np.empty(steps // CHUNK * columns, x.dtype), np.empty(steps // CHUNK * columns, x.dtype)
        one = np.empty(CHUNK * columns, x.dtype), np.empty(CHUNK * columns, x.dtype), np.empty(CHUNK**2, x.dtype)
        one_kept = np.empty(2 * states, x.dtype)
        first, end = GROUP * group, min(GROUP * (group + 1), rows)
        while first < end:  # all rows of one channel
            h = first // batch
            following = min((h + 1) * batch, end)
            back_in, back_out, back_within, back_kept = _transposed(inward[h], outward[h], within[h], kept[h])
            # of one row in the precision of x, of all in double
            totals = np.zeros(CHUNK * columns), np.zeros(CHUNK * columns), np.zeros(CHUNK**2)
            total_kept = np.zeros(2 * states)
            for row in range(first, following):
                b = row % batch
                _copy(x[b, h], source, length)
                _copy(grad[b, h], gradient, length)
                one_kept[:] = 0
                _states(source, inward[h], kept[h], directions, planes, False, z, None, None)
                _states(gradient, back_in, back_kept, directions, planes, True, e, z, one_kept)
                _outputs(gradient, e, back_out, back_within, numbers, target)
                _copy(target, grad_x[b, h], length)
                _multiply_transposed(source, e, CHUNK, columns, steps // CHUNK, one[0])
                _multiply_transposed(gradient, z, CHUNK, columns, steps // CHUNK, one[1])
                _multiply_transposed(source, gradient, CHUNK, CHUNK, steps // CHUNK, one[2])
                for k in range(3):
                    totals[k][:] += one[k]
                total_kept += one_kept
            part = group - h * batch // GROUP
            by_skip[part, h] = _chain(
                powers[h], weights[:, h], *totals, total_kept, by_dt_a[part, h], by_weights[part, :, h]
            )
            first = following


def _planes(values: Tensor) -> np.ndarray:
    """Numbers [..., N, planes]: real parts and, of complex numbers, imaginary ones."""
    values = values.detach().resolve_conj()
    return (torch.view_as_real(values) if values.is_complex() else values[..., None]).contiguous().numpy()


def _prepared(dt_a: Tensor, weights: Tensor, skip: Tensor) -> tuple[np.ndarray, ...]:
    """Powers and matrices of all channels: powers, inward, outward, within, kept, [H, ...] each."""
    a, w = _planes(dt_a), _planes(weights)
    channels, states, planes = a.shape
    columns = -(-len(w) * states * planes // BLOCK) * BLOCK
    powers = np.empty((channels, CHUNK + 1, 2, states))
    sizes = (CHUNK * columns, CHUNK * columns, CHUNK * CHUNK, 2 * states)
    found = [np.empty((channels, size), a.dtype) for size in sizes]
    _prepare_kernel(a, w, skip.numpy(force=True), powers, *found)
    return powers, *found


def forward(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> Tensor:
    """Output [B, H, L]; see operator.py."""
    y = torch.empty_like(x)
    share_threads_with_numba()
    _, *matrices = _prepared(dt_a, weights, skip)
    _forward_kernel(x.numpy(force=True), *matrices, len(weights), 1 + dt_a.is_complex(), y.numpy())
    return y


def backward(grad: Tensor, x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> tuple[Tensor, ...]:
    """Gradients of x, dt_a, weights and skip; see operator.py."""
    grad_x = torch.empty_like(x)
    share_threads_with_numba()
    of_weights = _planes(weights)
    directions, channels, *numbers = of_weights.shape
    parts = (len(x) + GROUP - 2) // GROUP + 1  # groups that may share the rows of a channel
    by_dt_a = np.zeros((parts, channels, *numbers))
    by_weights, by_skip = np.zeros((parts, directions, channels, *numbers)), np.zeros((parts, channels))
    _backward_kernel(
        grad.numpy(force=True), x.numpy(force=True), of_weights, *_prepared(dt_a, weights, skip),
        grad_x.numpy(), by_dt_a, by_weights, by_skip,
    )  # fmt: skip

    def total(values: np.ndarray, like: Tensor) -> Tensor:
        found = torch.from_numpy(values.sum(0)).to(skip.dtype)
        if like.is_complex():
            return torch.view_as_complex(found)
        return found.view(like.shape)

    return grad_x, total(by_dt_a, dt_a), total(by_weights, weights), total(by_skip, skip)
