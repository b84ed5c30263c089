"""The scan's CPU kernels (numba).

Time goes in chunks, and within a chunk all is products with the small matrices of matrices_cpu.py. So a row (an
example's channel) is a matrix of chunks by steps as it lies in memory, and nearly all of the work is products of it, in
vector registers, with nothing between the input and the output that outgrows the caches. A scan step by step needs half
as many operations again, and transposed data.

The adjoint of a scan is a scan with transposed matrices that runs the other way; its states are the adjoints of these.

Rows are counted channel by channel, so that those of a group share matrices. Short rows of a channel are packed: their
chunks are one matrix, and only the states are carried from chunk to chunk of one row.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, groups_of, kernel, reduction
from spike_ssm.models.ops.simd import BLOCK
from spike_ssm.models.ops.simd_recurrence import ROWS, carry_complex, carry_real, multiply
from spike_ssm.models.ssm.scan.matrices_cpu import CHUNK, chain, fill, prepared, total, transposed

LANES = BLOCK
"""Rows whose neurons go through time side by side."""
WORTH = 4096
"""Steps of the rows of a group, at least, and at most 4 LANES of rows: what is done once a group takes its time."""
STRETCH = 32
"""Chunks whose states are gone through at a time, because they fit into the first cache."""
PACK = 2 * STRETCH
"""Chunks of the rows that make up one matrix, at most, if a row has no more."""

_U = np.uintp  # a negative index would count from the end, which costs a branch


@kernel
def chunks_of(length):
    """Chunks of a row, whose steps beyond its length are 0."""
    return (length + CHUNK - 1) // CHUNK


@kernel
def rows_of_group(length):
    """Rows that one thread computes before it takes others."""
    return LANES * min(4, max(1, WORTH // (LANES * length)))


@kernel
def multiply_rows(a, b, rows, columns, terms, product):
    """Product [rows, columns] of a [rows, terms] and b [terms, columns], and garbage up to whole blocks of rows."""
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
def _states(x, rows, chunks, inward, kept, layout, adjoint, z, seen, sums):
    """States z [rows, chunks, columns] that enter each chunk of rows x [rows, chunks, CHUNK], or enter it from after.

    layout: directions and planes. seen: None, or the states whose adjoints z are; the gradient of `kept` is then added
    to sums.
    """
    directions, planes = layout
    columns, states = inward.size // CHUNK, kept.size // 2
    multiply_rows(x, inward, rows * chunks, columns, CHUNK, z)
    state = np.empty(2 * states, x.dtype)
    for row in range(rows):
        for direction in range(directions):
            fill(state, 0)
            start, stride = row * chunks * columns + direction * planes * states, columns
            if (direction == 1) != adjoint:  # the last chunk comes first
                start, stride = start + (chunks - 1) * columns, -columns
            if planes == 2:
                carry_complex(z, start, stride, chunks, states, kept, state, seen, sums)
            else:
                carry_real(z, start, stride, chunks, states, kept, state, seen, sums)


@kernel
def outputs(x, z, chunks, outward, within, numbers, y):
    """Outputs y [chunks, CHUNK] of inputs x [chunks, CHUNK] and the first `numbers` columns of states z."""
    columns = outward.size // CHUNK
    for chunk in range(0, chunks, ROWS):
        first = chunk * CHUNK
        multiply(x, first, CHUNK, 1, within, 0, CHUNK, y, first, CHUNK, CHUNK, 0)  # type: ignore[call-arg]
        multiply(z, chunk * columns, columns, 1, outward, 0, CHUNK, y, first, CHUNK, numbers, 1)


@kernel
def packed(row, end, batch, length):
    """How many of the rows from `row` on, all of one channel, make up one matrix."""
    same = (row // batch + 1) * batch - row
    return min(same, end - row, max(1, PACK // chunks_of(length)))


@kernel
def room(rows, length):
    """Steps of so many rows one after the other, and those that products write beyond them."""
    return (rows * chunks_of(length) + ROWS - 1) * CHUNK


@kernel
def scratch(length, matrices, dtype):
    """Rows of one matrix, and the states of their chunks."""
    steps = room(max(1, PACK // chunks_of(length)), length)
    return np.empty(steps, dtype), np.empty(steps // CHUNK * (matrices[0].shape[1] // CHUNK), dtype)


@kernel
def _load_row(x, scale, shift, steps, target, first):
    """Load the first `steps` steps of a row, scaled and shifted, and zeros up to a whole chunk of the row."""
    for t in range(steps):
        target[_U(first + t)] = x[_U(t)] * scale + shift
    for t in range(steps, chunks_of(x.size) * CHUNK):
        target[_U(first + t)] = 0


@kernel
def load_inputs(inputs, row, count, source):
    """Load rows of one channel."""
    x, affine, lengths = inputs
    batch, _, length = x.shape
    h = row // batch
    for k in range(count):
        b = (row + k) % batch
        _load_row(x[b, h], affine[0, h], affine[1, h], lengths[b], source, k * chunks_of(length) * CHUNK)


@kernel
def scan_rows(inputs, matrices, layout, row, count, source, z, y):
    """Outputs y [count, chunks, CHUNK] of packed rows, and what they are scanned from and the states on the way."""
    batch, _, length = inputs[0].shape
    inward, outward, within, kept = matrices
    h, chunks = row // batch, chunks_of(length)
    load_inputs(inputs, row, count, source)
    _states(source, count, chunks, inward[h], kept[h], layout, False, z, None, None)
    outputs(source, z, count * chunks, outward[h], within[h], layout[0] * layout[1] * (kept.shape[1] // 2), y)


@kernel
def store_rows(rows, first, end, batch, length, target):
    """Store rows [rows, chunks, CHUNK] in a target [B, H, L]."""
    steps = chunks_of(length) * CHUNK
    for row in range(first, end):
        into, start = target[row % batch, row // batch], (row - first) * steps
        for t in range(length):
            into[_U(t)] = rows[_U(start + t)]


@Threaded
def _forward_kernel(inputs, matrices, layout, y, first, end):
    batch, channels, length = y.shape
    source, z = scratch(length, matrices, y.dtype)
    target = np.empty_like(source)
    row, end = first * rows_of_group(length), min(end * rows_of_group(length), batch * channels)
    while row < end:
        count = packed(row, end, batch, length)
        scan_rows(inputs, matrices, layout, row, count, source, z, target)
        store_rows(target, row, row + count, batch, length, y)
        row += count


@kernel
def _add(source, target):
    """Add an array to one in double precision, because thousands of float32 terms would lose digits."""
    for i in range(source.size):
        target[i] += source[i]


@kernel
def _gradients_like(matrices, dtype):
    inward, outward, within, kept = matrices
    return (
        np.zeros(inward.shape[1], dtype),
        np.zeros(outward.shape[1], dtype),
        np.zeros(within.shape[1], dtype),
        np.zeros(kept.shape[1], dtype),
    )


@kernel
def _back_rows(source, grads, count, chunks, matrices, back, h, layout, work, one, sums, target):
    """Gradients of packed rows; those of the channel's matrices are added to sums, by way of `one`."""
    inward, _, _, kept = matrices
    columns, (z, e) = inward.shape[1] // CHUNK, work
    fill(one[3], 0)
    _states(source, count, chunks, inward[h], kept[h], layout, False, z, None, None)
    _states(grads, count, chunks, back[0], back[3], layout, True, e, z, one[3])
    outputs(grads, e, count * chunks, back[1], back[2], layout[0] * layout[1] * (kept.shape[1] // 2), target)
    _multiply_transposed(source, e, CHUNK, columns, count * chunks, one[0])
    _multiply_transposed(grads, z, CHUNK, columns, count * chunks, one[1])
    _multiply_transposed(source, grads, CHUNK, CHUNK, count * chunks, one[2])
    for k in range(4):
        _add(one[k], sums[k])


@reduction
def _store_gradient(gradient, x, scale, grad_x):
    """Store a row's gradient, chained on through the scale. Returns the gradients of the scale and of the shift."""
    by_scale, by_shift = x.dtype.type(0), x.dtype.type(0)
    for t in range(_U(x.size)):
        grad_x[t] = gradient[t] * scale
        by_scale += gradient[t] * x[t]
        by_shift += gradient[t]
    return by_scale, by_shift


@kernel
def _store_gradients(inputs, row, count, target, grad_x, by_affine):
    """Store the gradients of rows of one channel, and add to those [2] of its scale and shift."""
    x, affine, lengths = inputs
    batch, _, length = x.shape
    h, steps = row // batch, chunks_of(length) * CHUNK
    for k in range(count):
        b = (row + k) % batch
        real, given = lengths[b], target[k * steps : (k + 1) * steps]
        by_scale, by_shift = _store_gradient(given, x[b, h, :real], affine[0, h], grad_x[b, h, :real])
        by_affine[0] += by_scale
        by_affine[1] += by_shift
        for t in range(real, length):
            grad_x[b, h, t] = 0


@kernel
def back_group(grads, inputs, weights, layout, powers, matrices, grad_x, gradients, first, end, group):
    """Gradients of a group's rows, from `first` on, and what they add to those of the parameters.

    grads: of the rows' outputs, [rows, chunks, CHUNK], 0 beyond their length. The parameters' gradients have a part
    more in front, one for each group that holds rows of a channel.
    """
    batch, _, length = grad_x.shape
    by_affine, by_dt_a, by_weights, by_skip = gradients
    steps, (source, z) = chunks_of(length) * CHUNK, scratch(length, matrices, grad_x.dtype)
    target, e, one = np.empty_like(source), np.empty_like(z), _gradients_like(matrices, grad_x.dtype)
    row = first
    while row < end:  # all rows of one channel
        h = row // batch
        part = group - h * batch // rows_of_group(length)
        back = transposed(matrices[0][h], matrices[1][h], matrices[2][h], matrices[3][h])
        sums = _gradients_like(matrices, np.float64)
        while row < min((h + 1) * batch, end):
            count = packed(row, end, batch, length)
            load_inputs(inputs, row, count, source)
            given = grads[(row - first) * steps :]
            _back_rows(source, given, count, steps // CHUNK, matrices, back, h, layout, (z, e), one, sums, target)
            _store_gradients(inputs, row, count, target, grad_x, by_affine[part, :, h])
            row += count
        by_skip[part, h] = chain(powers[h], weights[:, h], layout[1], *sums, by_dt_a[part, h], by_weights[part, :, h])


@kernel
def load_gradients(grad, first, end):
    """Gradients of the outputs [B, H, L] of rows, [rows, chunks, CHUNK], 0 beyond their length."""
    batch, _, length = grad.shape
    steps = chunks_of(length) * CHUNK
    rows = np.empty(room(end - first, length), grad.dtype)
    one, zero = grad.dtype.type(1), grad.dtype.type(0)
    for row in range(first, end):
        _load_row(grad[row % batch, row // batch], one, zero, length, rows, (row - first) * steps)
    return rows


@Threaded
def _backward_kernel(grad, inputs, weights, layout, powers, matrices, grad_x, gradients, first, end):
    batch, channels, length = grad_x.shape
    rows = rows_of_group(length)
    for group in range(first, end):
        start, stop = rows * group, min(rows * (group + 1), batch * channels)
        grads = load_gradients(grad, start, stop)
        back_group(grads, inputs, weights, layout, powers, matrices, grad_x, gradients, start, stop, group)


def groups_of_rows(x: Tensor) -> tuple[int, int]:
    """Groups of rows of x [B, H, L], and how many one thread has to have to be worth starting."""
    return groups_of(x, rows_of_group.py_func(x.shape[2]))


def inputs_of(x: Tensor, affine: Tensor | None, lengths: Tensor | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What kernels take of the inputs x [B, H, L], of their scales and shifts [2, H] and of the lengths [B]."""
    batch, channels, length = x.shape
    if affine is None:
        affine = torch.stack((x.new_ones(channels), x.new_zeros(channels)))
    if lengths is None:
        lengths = torch.full((batch,), length)
    return x.numpy(force=True), affine.numpy(force=True), lengths.numpy()


class Gradients:
    """Gradients of affine, dt_a, weights and skip in the making, and the arrays that kernels add them to."""

    def __init__(self, x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> None:
        self._like = dt_a, weights, skip
        rows = rows_of_group.py_func(x.shape[2])
        parts = (len(x) + rows - 2) // rows + 1  # groups that the rows of a channel may be in
        directions, channels, states = weights.shape
        shapes = (2, channels), (channels, 2, states), (directions, channels, 2, states), (channels,)
        self.arrays = tuple(np.zeros((parts, *shape)) for shape in shapes)

    def total(self) -> tuple[Tensor, ...]:
        """The gradients, once kernels have filled the arrays."""
        by_affine, *others = self.arrays
        return torch.from_numpy(by_affine.sum(0)).to(self._like[2].dtype), *total(others, self._like)


def forward(
    x: Tensor, affine: Tensor | None, lengths: Tensor | None, dt_a: Tensor, weights: Tensor, skip: Tensor
) -> Tensor:
    """Output [B, H, L]; see operator.py."""
    y = torch.empty_like(x)
    _, layout, _, matrices = prepared(dt_a, weights, skip)
    _forward_kernel(*groups_of_rows(x), inputs_of(x, affine, lengths), matrices, layout, y.numpy())
    return y


def backward(
    grad: Tensor,
    x: Tensor,
    affine: Tensor | None,
    lengths: Tensor | None,
    dt_a: Tensor,
    weights: Tensor,
    skip: Tensor,
) -> tuple[Tensor, ...]:
    """Gradients of x, affine, dt_a, weights and skip; see operator.py."""
    grad_x, gradients = torch.empty_like(x), Gradients(x, dt_a, weights, skip)
    _backward_kernel(
        *groups_of_rows(x),
        grad.numpy(force=True),
        inputs_of(x, affine, lengths),
        *prepared(dt_a, weights, skip),
        grad_x.numpy(),
        gradients.arrays,
    )
    return grad_x, *gradients.total()
