"""The gated mixing's CPU kernels (numba).

The steps of all examples, one example's after the other's, are columns of one matrix, and go in tiles of them: what is
between input and output, twice as much as the output and more, is computed for a tile at a time and stays in the
caches. Nothing of it is kept; the backward computes it again, which takes less long than to write and read it.

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
"""Columns of a tile: small enough for the caches, and an odd number of blocks, since rows an even number of cache
lines apart would compete for a part of them."""
PARTS, PART = 16, 1024
"""The most parts whose gradients of the parameters are summed apart, and the fewest steps of one of several."""
STRIP = 32
"""Rows of a product that are gone through at a time, because they fit into the first cache."""


@kernel
def _whole(count, unit):
    """The least multiple of unit that is no less than count."""
    return (count + unit - 1) // unit * unit


@kernel
def _multiply(a, b, rows, columns, terms, product, adds):
    """Product [rows, columns] of a [rows, terms] and b [terms, columns], in whole blocks; adds: as for `multiply`."""
    for first in range(0, rows, STRIP):
        for column in range(0, columns, BLOCK):
            for row in range(first, min(first + STRIP, rows), ROWS):
                at = row * columns + column
                multiply(a, row * terms, terms, 1, b, column, columns, product, at, columns, terms, adds)


@kernel
def _piece(column, end, length):
    """Example and step of a column, and how many columns before the end are of the same example from there on."""
    return column // length, column % length, min(length - column % length, end - column)


@kernel
def _load(source, first, end, rows):
    """Fill rows [C, tile] with columns first to end of source [B, C, L], and with 0 beyond."""
    _, channels, length = source.shape
    flat, column = source.reshape(-1), first
    while column < end:
        b, t, steps = _piece(column, end, length)
        for channel in range(channels):
            start = (b * channels + channel) * length + t
            here, row = flat[start : start + steps], rows[channel, column - first : column - first + steps]
            for i in range(steps):
                row[i] = here[i]
        column += steps
    for channel in range(channels):
        for i in range(end - first, rows.shape[1]):
            rows[channel, i] = 0


@kernel
def _store(rows, first, end, added, target):
    """Fill columns first to end of target [B, C, L] with rows [C, tile], plus those of `added` where it is not empty."""
    _, channels, length = target.shape
    flat, flat_added, column = target.reshape(-1), added.reshape(-1), first
    while column < end:
        b, t, steps = _piece(column, end, length)
        for channel in range(channels):
            start = (b * channels + channel) * length + t
            here, row = flat[start : start + steps], rows[channel, column - first : column - first + steps]
            if flat_added.size:
                more = flat_added[start : start + steps]
                for i in range(steps):
                    here[i] = row[i] + more[i]
            else:
                for i in range(steps):
                    here[i] = row[i]
        column += steps


@kernel
def _with_bias(weight, bias):
    """The bias and the weight as one flat matrix of 1 + N columns and whole rows of a product."""
    outputs, inputs = weight.shape
    joined = np.zeros((_whole(outputs, ROWS), 1 + inputs), weight.dtype)
    for m in range(outputs):
        joined[m, 0] = bias[m]
        for n in range(inputs):
            joined[m, 1 + n] = weight[m, n]
    return joined.reshape(-1)


@kernel
def _turned(weight):
    """The transposed weight as a flat matrix of 2H columns and whole rows of a product."""
    outputs, inputs = weight.shape
    turned = np.zeros((_whole(inputs, ROWS), outputs), weight.dtype)
    for m in range(outputs):
        for n in range(inputs):
            turned[n, m] = weight[m, n]
    return turned.reshape(-1)


@kernel
def _inputs(inputs, tile, dtype):
    """A tile of inputs after one of ones, in whole blocks of rows."""
    x = np.zeros((1 + _whole(inputs, BLOCK), tile), dtype)
    x[0] = 1
    return x


@Threaded
def _forward_kernel(x, weight, bias, residual, tile, y, first, end):
    outputs, inputs = weight.shape
    channels, steps = outputs // 2, x.shape[0] * x.shape[2]
    joined, tile_x = _with_bias(weight, bias), _inputs(inputs, tile, x.dtype)
    z = np.empty((_whole(outputs, ROWS), tile), x.dtype)
    for begin in range(first * tile, min(end * tile, steps), tile):
        until = min(begin + tile, steps)
        _load(x, begin, until, tile_x[1 : 1 + inputs])
        _multiply(joined, tile_x.reshape(-1), z.shape[0], tile, 1 + inputs, z.reshape(-1), 0)
        for h in range(channels):
            for i in range(tile):
                z[h, i] *= sigmoid(z[channels + h, i])
        _store(z[:channels], begin, until, residual, y)


@kernel
def _back_through_gate(z, grad):
    """Replace z [2H, tile] and more rows by its gradient for grad [H, tile] of the gate's output."""
    channels = grad.shape[0]
    for h in range(channels):
        for i in range(z.shape[1]):
            z1, z2, g = z[h, i], z[channels + h, i], grad[h, i]
            z[h, i], z[channels + h, i] = g * sigmoid(z2), g * z1 * slope(z2)


@kernel
def _back_part(grad, x, weights, begin, end, tile, grad_x, by_weight, by_bias):
    """Gradient of columns begin to end of x, and what they add to those of weight and bias.

    weights: of `_with_bias` and `_turned`. by_weight: [2H, N] in whole blocks. by_bias: [2H, BLOCK], to be summed.
    """
    joined, turned = weights
    outputs, channels, inputs = by_bias.shape[0], grad.shape[1], x.shape[1]
    tile_x, tile_grad = _inputs(inputs, tile, x.dtype), np.empty((channels, tile), x.dtype)
    z = np.empty((by_weight.shape[0], tile), x.dtype)
    columns = by_weight.shape[1]
    turned_x = np.empty(tile * columns, x.dtype)
    tile_grad_x = np.empty((_whole(inputs, ROWS), tile), x.dtype)
    nothing = grad_x[:0]
    blocks = z.reshape((z.shape[0], tile // BLOCK, BLOCK))
    for first in range(begin, end, tile):
        until = min(first + tile, end)
        _load(x, first, until, tile_x[1 : 1 + inputs])
        _load(grad, first, until, tile_grad)
        _multiply(joined, tile_x.reshape(-1), z.shape[0], tile, 1 + inputs, z.reshape(-1), 0)
        _back_through_gate(z, tile_grad)
        _multiply(turned, z.reshape(-1), tile_grad_x.shape[0], tile, outputs, tile_grad_x.reshape(-1), 0)
        _store(tile_grad_x[:inputs], first, until, nothing, grad_x)
        for n in range(0, columns, BLOCK):
            for t in range(0, tile, BLOCK):
                load_transposed(tile_x, 1 + n, t, turned_x, t * columns + n, columns)
        _multiply(z.reshape(-1), turned_x, by_weight.shape[0], columns, tile, by_weight.reshape(-1), -1)
        for m in range(outputs):
            for k in range(blocks.shape[1]):
                for i in range(BLOCK):
                    by_bias[m, i] += blocks[m, k, i]


@Threaded
def _backward_kernel(grad, x, weight, bias, tile, grad_x, by_weight, by_bias, first, end):
    weights = _with_bias(weight, bias), _turned(weight)
    steps, parts = x.shape[0] * x.shape[2], by_weight.shape[0]
    tiles = (steps + tile - 1) // tile
    for part in range(first, end):
        begin, until = tiles * part // parts * tile, min(tiles * (part + 1) // parts * tile, steps)
        _back_part(grad, x, weights, begin, until, tile, grad_x, by_weight[part], by_bias[part])


def _tile(steps: int) -> int:
    """Columns of a tile where there are so many."""
    return min(TILE, -(-steps // BLOCK) * BLOCK)


def forward(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None) -> Tensor:
    """Output [B, H, L]; see operator.py."""
    batch, inputs, length = x.shape
    y = x.new_empty(batch, len(weight) // 2, length)
    if y.numel() == 0:
        return y
    tile = _tile(batch * length)
    groups, least = -(-batch * length // tile), -(-WORTH // (inputs * tile))
    added = x.new_empty(0, 0, 0) if residual is None else residual
    arrays = (each.numpy(force=True) for each in (x, weight.contiguous(), bias, added))
    _forward_kernel(groups, least, *arrays, tile, y.numpy())
    return y


def backward(grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias; see operator.py."""
    batch, inputs, length = x.shape
    grad_x, steps, outputs = torch.empty_like(x), batch * length, len(weight)
    if grad.numel() == 0:
        return grad_x.zero_(), torch.zeros_like(weight), torch.zeros_like(bias)
    parts = max(1, min(PARTS, steps // PART))
    by_weight = np.zeros((parts, _whole(outputs, ROWS), _whole(inputs, BLOCK)), bias.numpy(force=True).dtype)
    by_bias = np.zeros((parts, outputs, BLOCK), by_weight.dtype)
    arrays = (each.numpy(force=True) for each in (grad, x, weight.contiguous(), bias))
    _backward_kernel(
        parts, -(-WORTH * parts // (inputs * steps)), *arrays, _tile(steps), grad_x.numpy(), by_weight, by_bias
    )
    by_weight, by_bias = by_weight.sum(0), by_bias.sum((0, 2))
    return grad_x, torch.from_numpy(by_weight[:outputs, :inputs].copy()), torch.from_numpy(by_bias)
