"""The gated mixing's CPU kernels (numba).

The steps of all examples, one example's after the other's, are columns of one matrix, and go in tiles of them: what is
between input and output, twice as much as the output and more, is computed for a tile at a time and stays in the
caches. Nothing of it is kept; the backward computes it again, a fourth product where torch has three, which is made up
for by less memory written and read: not quite at hundreds of channels, where products take nearly all of the time.

A tile's products are those of simd_recurrence.py, whose numbers are chains in a fixed order: the bias is the weight of
an input of ones before the others.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import WORTH, Threaded, kernel
from spike_ssm.models.ops.sigmoid import sigmoid, slope
from spike_ssm.models.ops.simd import BLOCK, load_transposed
from spike_ssm.models.ops.simd_recurrence import ROWS, multiply

TILE = 80
"""Columns of a tile: small enough for the caches, and an odd number of blocks, since rows that lie an even number of
cache lines apart compete for a part of a cache."""
STRIP, STRETCH = 64, 144
"""Rows of a product, and terms of its sums, that are gone through at a time: about as many as the first cache holds."""
PARTS, PART = 16, 1024
"""The most parts whose gradients of weight and bias are summed apart, and the fewest steps of one of several."""


@kernel
def _multiply(a, b, columns, adds, product):
    """Columns of the product of a [rows, terms] and b; all in whole blocks, and adds as for `multiply`."""
    rows, terms = a.shape
    flat_a, flat_b, flat = a.reshape(-1), b.reshape(-1), product.reshape(-1)
    width_b, width = b.shape[1], product.shape[1]
    for k in range(0, terms, STRETCH):
        few, how = min(STRETCH, terms - k), k if adds == 0 else adds
        for first in range(0, rows, STRIP):
            for column in range(0, columns, BLOCK):
                for row in range(first, min(first + STRIP, rows), ROWS):
                    at_a, at_b, at = row * terms + k, k * width_b + column, row * width + column
                    multiply(flat_a, at_a, terms, 1, flat_b, at_b, width_b, flat, at, width, few, how)  # type: ignore[call-arg]


@kernel
def _piece(column, end, length):
    """Example and step of a column, and how many columns before the end are of the same example from there on."""
    return column // length, column % length, min(length - column % length, end - column)


@kernel
def _load(source, shape, first, end, before, rows):
    """Fill rows [before + C, tile], after some, with columns first to end of source, of shape [B, C, L], and then 0."""
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
        for i in range(end - first, rows.shape[1]):
            rows[before + channel, i] = 0


@kernel
def _store(rows, first, end, added, shape, target):
    """Fill columns first to end of target, of shape [B, C, L], with rows, plus those of `added` if it is not empty."""
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
def _inputs(inputs, tile, dtype):
    """A tile of inputs after one of ones, in whole blocks of rows."""
    x = np.zeros((1 + (inputs + BLOCK - 1) // BLOCK * BLOCK, tile), dtype)
    for i in range(tile):
        x[0, i] = 1
    return x


@kernel
def _halves(rows, channels):
    """The first rows, as many as there are channels, and as many that follow, each as one flat array."""
    return rows[:channels].reshape(-1), rows[channels : 2 * channels].reshape(-1)


@kernel
def _gate(z1, z2):
    """Multiply z1 by the sigmoid of z2."""
    for i in range(z1.size):
        z1[i] *= sigmoid(z2[i])


@kernel
def _back_through_gate(grad, z1, z2, sum1, sum2):
    """Replace z1 and z2 by their gradients for grad of what the gate gives, and add these to the sums."""
    for i in range(z1.size):
        value, at = z1[i], z2[i]
        grad1 = grad[i] * sigmoid(at)
        grad2 = grad[i] * value * slope(at)
        z1[i], z2[i] = grad1, grad2
        sum1[i] += grad1
        sum2[i] += grad2


@Threaded
def _forward_kernel(x, x_shape, joined, residual, y_shape, tile, y, first, end):
    steps, inputs = x_shape[0] * x_shape[2], x_shape[1]
    tile_x, z = _inputs(inputs, tile, x.dtype), np.empty((joined.shape[0], tile), x.dtype)
    z1, z2 = _halves(z, y_shape[1])
    for begin in range(first * tile, min(end * tile, steps), tile):
        until = min(begin + tile, steps)
        _load(x, x_shape, begin, until, 1, tile_x)
        _multiply(joined, tile_x, tile, 0, z)
        _gate(z1, z2)
        _store(z, begin, until, residual, y_shape, y)


@kernel
def _turn(x, turned):
    """Transpose all rows of x but the first, [1 + N, tile], to turned [tile, N and more]."""
    flat, width = turned.reshape(-1), turned.shape[1]
    for n in range(0, x.shape[0] - 1, BLOCK):
        for t in range(0, x.shape[1], BLOCK):
            load_transposed(x, 1 + n, t, flat, t * width + n, width)  # type: ignore[call-arg]


@Threaded
def _backward_kernel(grad, grad_shape, x, x_shape, weights, tile, grad_x, by_weight, by_bias, first, end):
    # All here rather than in parts, since numba compiles what a kernel calls once alone and once more with it.
    joined, turned_weight = weights
    tile_x, tile_grad = _inputs(x_shape[1], tile, x.dtype), np.empty((grad_shape[1], tile), x.dtype)
    z, tile_grad_x = np.empty((joined.shape[0], tile), x.dtype), np.empty((turned_weight.shape[0], tile), x.dtype)
    parts, _, columns = by_weight.shape
    turned_x = np.empty((tile, columns + BLOCK * (1 - columns // BLOCK % 2)), x.dtype)  # an odd number, see TILE
    steps, nothing = x_shape[0] * x_shape[2], x[:0]
    tiles = (steps + tile - 1) // tile
    z1, z2 = _halves(z, grad_shape[1])
    for part in range(first, end):
        sum1, sum2 = _halves(by_bias[part], grad_shape[1])
        for number in range(tiles * part // parts, tiles * (part + 1) // parts):
            begin, until = number * tile, min((number + 1) * tile, steps)
            _load(x, x_shape, begin, until, 1, tile_x)
            _load(grad, grad_shape, begin, until, 0, tile_grad)
            _multiply(joined, tile_x, tile, 0, z)
            _back_through_gate(tile_grad.reshape(-1), z1, z2, sum1, sum2)
            _multiply(turned_weight, z, tile, 0, tile_grad_x)
            _store(tile_grad_x, begin, until, nothing, x_shape, grad_x)
            _turn(tile_x, turned_x)
            _multiply(z, turned_x, columns, -1, by_weight[part])


def _whole(count: int, unit: int) -> int:
    """The least multiple of unit that is no less than count."""
    return -(-count // unit) * unit


def _joined(weight: Tensor, bias: Tensor) -> Tensor:
    """The bias and the weight as one matrix [2H, 1 + N] in whole rows of a product."""
    joined = weight.new_zeros(_whole(len(weight), ROWS), 1 + weight.shape[1])
    joined[: len(weight), 0], joined[: len(weight), 1:] = bias, weight
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
    tile = min(TILE, _whole(steps, BLOCK))
    added, _ = _flat(x.new_empty(0) if residual is None else residual)
    flat, shape = _flat(y)
    least = -(-WORTH // (inputs * tile))  # tiles
    _forward_kernel(-(-steps // tile), least, *_flat(x), _joined(weight, bias).numpy(), added, shape, tile, flat)
    return y


def backward(grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """Gradients of x, weight and bias; see operator.py."""
    grad_x, steps, (outputs, inputs) = torch.empty_like(x), len(x) * x.shape[2], weight.shape
    if grad.numel() == 0:
        return grad_x.zero_(), torch.zeros_like(weight), torch.zeros_like(bias)
    tile, parts = min(TILE, _whole(steps, BLOCK)), max(1, min(PARTS, steps // PART))
    turned = weight.new_zeros(_whole(inputs, ROWS), outputs)
    turned[:inputs] = weight.mT
    weights = _joined(weight, bias).numpy(), turned.numpy()
    by_weight = np.zeros((parts, _whole(outputs, ROWS), _whole(inputs, BLOCK)), turned.numpy().dtype)
    by_bias = np.zeros((parts, outputs, tile), by_weight.dtype)
    least = -(-WORTH * parts // (inputs * steps))
    into, _ = _flat(grad_x)
    _backward_kernel(parts, least, *_flat(grad), *_flat(x), weights, tile, into, by_weight, by_bias)
    total = by_weight.sum(0, dtype=np.float64)[:outputs, :inputs], by_bias.sum((0, 2), dtype=np.float64)
    by_parameter = (torch.from_numpy(each).to(x.dtype, memory_format=torch.contiguous_format) for each in total)
    return grad_x, *by_parameter
