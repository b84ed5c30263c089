"""The gated mixing's CPU kernels (numba).

The steps of all examples, one example's after the other's, go in tiles of TILE: what is between input and output, twice
as much as the output and more, is computed for a tile at a time and stays in the caches. Nothing of it is kept; the
backward computes it again, which takes less long than to write and read it.

A tile is computed with a step's channels next to each other, [steps, channels], so that an input that is not 0 adds one
row of weights to the step it is at. Spikes mostly are 0, so the product that the bias and the weights make with them,
and the one that makes the weight's gradient, take the inputs that are not; where half of them or more are not, the
products of simd_recurrence.py take all. Both are the same chain of sums, since 0 adds exactly nothing: the bias is the
weight of an input of ones before the others.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import WORTH, Threaded, kernel
from spike_ssm.models.ops.sigmoid import sigmoid, slope
from spike_ssm.models.ops.simd import BLOCK, load_transposed, lowest_bit
from spike_ssm.models.ops.simd_recurrence import ROWS, SUMS, accumulate, multiply

TILE = 64
"""Steps of a tile: as many as a word has bits."""
PITCH = TILE + BLOCK
"""Numbers from one row of a tile to the next: an odd number of blocks, since rows that lie an even number of cache
lines apart compete for a part of a cache."""
STRETCH = 144
"""Terms of a product's sums that are gone through at a time, because their rows fit into the first cache."""
PARTS, PART = 16, 1024
"""The most parts whose gradients of weight and bias are summed apart, and the fewest steps of one of several."""

_U = np.uint64


@kernel
def multiply_rows(a, start, pitch, rows, terms, b, pitch_b, columns, adds, product, pitch_c):
    """Product [rows, columns] of a [rows, terms] from `start` on, and b; adds as for `multiply`.

    All are flat, rows lie a pitch apart, and rows and columns are whole blocks.
    """
    for k in range(0, terms, STRETCH):
        few, how = min(STRETCH, terms - k), k if adds == 0 else adds
        for column in range(0, columns, BLOCK):
            for row in range(0, rows, ROWS):
                at_a, at_b, at = start + row * pitch + k, k * pitch_b + column, row * pitch_c + column
                multiply(a, at_a, pitch, 1, b, at_b, pitch_b, product, at, pitch_c, few, how)  # type: ignore[call-arg]


@kernel
def _piece(column, end, length):
    """Example and step of a column, and how many columns before the end are of the same example from there on."""
    return column // length, column % length, min(length - column % length, end - column)


@kernel
def _load(source, shape, first, end, before, rows):
    """Fill rows [before + C, TILE], after some, with steps first to end of source, of shape [B, C, L], and then 0."""
    _, channels, length = shape
    column = first
    while column < end:
        b, t, steps = _piece(column, end, length)
        for channel in range(channels):
            start, at = (b * channels + channel) * length + t, column - first
            here, row = source[start : start + steps], rows[before + channel, at : at + steps]
            for i in range(steps):
                row[i] = here[i]
        column += steps
    for channel in range(channels):
        for i in range(end - first, TILE):
            rows[before + channel, i] = 0


@kernel
def _store(rows, first, end, added, shape, target):
    """Fill steps first to end of target, of shape [B, C, L], with rows, plus those of `added` if it is not empty."""
    _, channels, length = shape
    column = first
    while column < end:
        b, t, steps = _piece(column, end, length)
        for channel in range(channels):
            start, at = (b * channels + channel) * length + t, column - first
            here, row = target[start : start + steps], rows[channel, at : at + steps]
            if added.size:
                more = added[start : start + steps]
                for i in range(steps):
                    here[i] = row[i] + more[i]
            else:
                for i in range(steps):
                    here[i] = row[i]
        column += steps


@kernel
def _turn(array, first, rows, columns, turned, start, pitch):
    """Transpose rows of an array from `first` on and its first columns, both in whole blocks, to flat `turned`."""
    for row in range(0, rows, BLOCK):
        for column in range(0, columns, BLOCK):
            load_transposed(array, first + row, column, turned, start + column * pitch + row, pitch)  # type: ignore[call-arg]


@kernel
def _inputs(inputs, dtype):
    """A tile [1 + N, TILE] of inputs after one of ones, in whole blocks of rows, and which of its steps are not 0."""
    x = np.zeros((ROWS + (inputs + BLOCK - 1) // BLOCK * BLOCK, PITCH), dtype)
    for t in range(TILE):
        x[0, t] = 1
    return x, np.empty(1 + inputs, np.uint64), np.empty((TILE, (inputs + TILE - 1) // TILE), np.uint64)


@kernel
def _find(x, at_steps, at_inputs):
    """Fill the words of the steps at which each input is not 0, and of the inputs that are not at each step.

    Returns whether so few are not 0 that it takes less long to take them one by one.
    """
    inputs, found, none = at_steps.size - 1, 0, _U(0)
    at_inputs[:] = 0
    for n in range(1 + inputs):
        word = none
        for t in range(TILE):
            word |= _U(x[n, t] != 0) << _U(t)
        at_steps[n] = word
        while n > 0 and word != none:
            t = lowest_bit(word)
            at_inputs[t, (n - 1) // TILE] |= _U(1) << _U((n - 1) % TILE)
            word &= word - _U(1)
            found += 1
    return 2 * found < TILE * inputs


@kernel
def _mix(x, at_inputs, few, joined, turned, z):
    """Fill z [TILE, 2H] with the bias and the product of weights and inputs x [1 + N, TILE].

    few: whether inputs are taken one by one. turned: room for the inputs, step by step.
    """
    (inputs, pitch), columns = joined.shape, joined.shape[1] - BLOCK
    flat, flat_x, flat_z = joined.reshape(-1), x.reshape(-1), z.reshape(-1)
    if not few:
        width = turned.size // TILE
        _turn(x, 1, x.shape[0] - ROWS, TILE, turned, 1, width)
        for t in range(TILE):
            turned[t * width] = 1
        multiply_rows(turned, 0, width, TILE, inputs, flat, pitch, columns, 0, flat_z, pitch)
        return
    for t in range(TILE):
        for m in range(columns):
            z[t, m] = joined[0, m]
        for word in range(at_inputs.shape[1]):
            first, which = 1 + word * TILE, at_inputs[t, word]
            for m in range(0, columns, SUMS):
                row, into = first * pitch + m, t * pitch + m
                accumulate(flat, row, pitch, flat_x, first * PITCH + t, PITCH, which, flat_z, into, False)  # type: ignore[call-arg]


@kernel
def gate(z, channels):
    """Multiply the first channels of z [steps, 2H] by the sigmoids of as many that follow."""
    for t in range(z.shape[0]):
        values, gates = z[t, :channels], z[t, channels : 2 * channels]
        for h in range(channels):
            values[h] *= sigmoid(gates[h])


@kernel
def _back_through_gate(z, channels, grad):
    """Replace what the gate takes, [steps, 2H], by its gradient for grad [steps, H] of what it gives."""
    for t in range(TILE):
        values, gates, given = z[t, :channels], z[t, channels : 2 * channels], grad[t]
        for h in range(channels):
            z1, z2, g = values[h], gates[h], given[h]
            values[h], gates[h] = g * sigmoid(z2), g * z1 * slope(z2)


@kernel
def _room(joined, dtype):
    """Room for all inputs of a tile, step by step, and for what the gate takes, [TILE, 2H]."""
    inputs, pitch = joined.shape
    width = 1 + (inputs + BLOCK - 2) // BLOCK * BLOCK
    return np.empty(TILE * width, dtype), np.zeros((TILE, pitch), dtype)


@Threaded
def _forward_kernel(x, x_shape, joined, residual, y_shape, y, first, end):
    steps, inputs, channels = x_shape[0] * x_shape[2], x_shape[1], y_shape[1]
    tile_x, at_steps, at_inputs = _inputs(inputs, x.dtype)
    turned, z = _room(joined, x.dtype)
    whole = (channels + BLOCK - 1) // BLOCK * BLOCK
    rows = np.empty((whole, PITCH), x.dtype)
    for begin in range(first * TILE, min(end * TILE, steps), TILE):
        until = min(begin + TILE, steps)
        _load(x, x_shape, begin, until, 1, tile_x)
        few = _find(tile_x, at_steps, at_inputs)
        _mix(tile_x, at_inputs, few, joined, turned, z)
        gate(z, channels)
        _turn(z, 0, TILE, whole, rows.reshape(-1), 0, PITCH)
        _store(rows, begin, until, residual, y_shape, y)


@Threaded
def _backward_kernel(grad, grad_shape, x, x_shape, joined, weight, grad_x, by_joined, first, end):
    # All here rather than in parts, since numba compiles what a kernel calls once alone and once more with it.
    steps, inputs, channels, pitch = x_shape[0] * x_shape[2], x_shape[1], grad_shape[1], joined.shape[1]
    tile_x, at_steps, at_inputs = _inputs(inputs, x.dtype)
    turned, z = _room(joined, x.dtype)
    whole, whole_x, columns = (channels + BLOCK - 1) // BLOCK * BLOCK, weight.shape[1] - BLOCK, pitch - BLOCK
    rows, by_output = np.zeros((max(whole, whole_x), PITCH), x.dtype), np.empty((TILE, whole + BLOCK), x.dtype)
    by_x, nothing = np.empty((TILE, whole_x + BLOCK), x.dtype), x[:0]
    tiles, parts = (steps + TILE - 1) // TILE, by_joined.shape[0]
    flat_x, flat_z = tile_x.reshape(-1), z.reshape(-1)
    for part in range(first, end):
        sums = by_joined[part].reshape(-1)
        for number in range(tiles * part // parts, tiles * (part + 1) // parts):
            begin, until = number * TILE, min((number + 1) * TILE, steps)
            _load(x, x_shape, begin, until, 1, tile_x)
            _load(grad, grad_shape, begin, until, 0, rows)
            _turn(rows, 0, whole, TILE, by_output.reshape(-1), 0, whole + BLOCK)
            few = _find(tile_x, at_steps, at_inputs)
            _mix(tile_x, at_inputs, few, joined, turned, z)
            _back_through_gate(z, channels, by_output)
            flat, flat_by_x, width = weight.reshape(-1), by_x.reshape(-1), whole_x + BLOCK
            multiply_rows(flat_z, 0, pitch, TILE, 2 * channels, flat, width, whole_x, 0, flat_by_x, width)
            _turn(by_x, 0, TILE, whole_x, rows.reshape(-1), 0, PITCH)
            _store(rows, begin, until, nothing, x_shape, grad_x)
            if few:
                for n in range(1 + inputs):
                    for m in range(0, columns, SUMS):
                        at = n * pitch + m
                        accumulate(flat_z, m, pitch, flat_x, n * PITCH, 1, at_steps[n], sums, at, True)  # type: ignore[call-arg]
            else:
                multiply_rows(flat_x, 0, PITCH, len(by_joined[0]), TILE, flat_z, pitch, columns, -1, sums, pitch)


def _whole(count: int, unit: int) -> int:
    """The least multiple of unit that is no less than count."""
    return -(-count // unit) * unit


def joined_of(weight: Tensor, bias: Tensor) -> Tensor:
    """The bias and, transposed, the weight as one matrix [1 + N, 2H], in blocks of sums and one more, see PITCH."""
    outputs, inputs = weight.shape
    joined = weight.new_zeros(1 + inputs, _whole(outputs, SUMS) + BLOCK)
    joined[0, :outputs], joined[1:, :outputs] = bias, weight.mT
    return joined


def _flat(x: Tensor) -> tuple[np.ndarray, tuple[int, ...]]:
    """All numbers of x in a row, and its shape."""
    return x.detach().view(-1).numpy(), tuple(x.shape)


def forward(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None) -> Tensor:
    """Output [B, H, L]; see operator.py."""
    batch, inputs, length = x.shape
    y, steps = x.new_empty(batch, len(weight) // 2, length), batch * length
    if y.numel() == 0:
        return y
    added, _ = _flat(x.new_empty(0) if residual is None else residual)
    flat, shape = _flat(y)
    least = -(-WORTH // (inputs * TILE))  # tiles
    _forward_kernel(-(-steps // TILE), least, *_flat(x), joined_of(weight, bias).numpy(), added, shape, flat)
    return y


def backward(grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """Gradients of x, weight and bias; see operator.py."""
    grad_x, steps, (outputs, inputs) = torch.empty_like(x), len(x) * x.shape[2], weight.shape
    if grad.numel() == 0:
        return grad_x.zero_(), torch.zeros_like(weight), torch.zeros_like(bias)
    parts = max(1, min(PARTS, steps // PART))
    padded = weight.new_zeros(outputs, _whole(inputs, BLOCK) + BLOCK)
    padded[:, :inputs] = weight
    joined = joined_of(weight, bias).numpy()
    by_joined = np.zeros((parts, _whole(len(joined), ROWS), joined.shape[1]), joined.dtype)
    least = -(-WORTH * parts // (inputs * steps))
    into, _ = _flat(grad_x)
    _backward_kernel(parts, least, *_flat(grad), *_flat(x), joined, padded.numpy(), into, by_joined)
    total = torch.from_numpy(by_joined.sum(0, dtype=np.float64)).to(x.dtype)
    return grad_x, total[1 : 1 + inputs, :outputs].mT.contiguous(), total[0, :outputs].clone()
