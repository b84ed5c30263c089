"""The scan's CPU kernels (numba).

Time goes in chunks, and within a chunk all is products with the small matrices of matrices_cpu.py. So a row (an
example's channel) is a matrix of chunks by steps as it lies in memory, and nearly all of the work is products of it, in
vector registers, with nothing between the input and the output that outgrows the caches. A scan step by step needs half
as many operations again, and transposed data.

The adjoint of a scan is a scan with transposed matrices that runs the other way; its states are the adjoints of these.

Rows are counted channel by channel, so that those of a group share matrices.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, groups_of, kernel
from spike_ssm.models.ops.simd import BLOCK
from spike_ssm.models.ops.simd_recurrence import ROWS, carry_complex, carry_real, multiply
from spike_ssm.models.ssm.scan.matrices_cpu import CHUNK, chain, fill, prepared, total, transposed

GROUP = 16
"""Rows that one thread computes before it takes others."""
STRETCH = 32
"""Chunks whose states are gone through at a time, because they fit into the first cache."""


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
def _states(x, inward, kept, layout, adjoint, z, seen, sums):
    """States z [chunks, columns] that enter each chunk of inputs x [chunks, CHUNK], from before it or from after it.

    layout: directions and planes. seen: None, or the states [chunks, columns] whose adjoints z are; the gradient of
    `kept` is then added to sums.
    """
    directions, planes = layout
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
def padded(length):
    """Steps of the chunks that a sequence takes, in whole blocks of a product."""
    return (length + CHUNK * ROWS - 1) // (CHUNK * ROWS) * CHUNK * ROWS


@kernel
def copy(source, target, steps):
    """Copy the first steps of a row."""
    for t in range(steps):
        target[t] = source[t]


@kernel
def scratch(length, matrices, dtype):
    """Steps of a row, of which those beyond its length stay 0, and the states of its chunks."""
    steps = padded(length)
    return np.zeros(steps, dtype), np.empty(steps * matrices[0].shape[1] // CHUNK**2, dtype)


@kernel
def scan_row(x, z, matrices, h, layout, y):
    """Outputs y of a row x of channel h, both in whole chunks, and the states z on the way."""
    inward, outward, within, kept = matrices
    _states(x, inward[h], kept[h], layout, False, z, None, None)
    _outputs(x, z, outward[h], within[h], layout[0] * layout[1] * (kept.shape[1] // 2), y)


@kernel
def _forward_group(x, matrices, layout, y, group):
    batch, channels, length = x.shape
    source, z = scratch(length, matrices, x.dtype)
    target = np.empty_like(source)
    for row in range(GROUP * group, min(GROUP * (group + 1), batch * channels)):
        h, b = row // batch, row % batch
        copy(x[b, h], source, length)
        scan_row(source, z, matrices, h, layout, target)
        copy(target, y[b, h], length)


@Threaded
def _forward_kernel(x, matrices, layout, y, first, end):
    for group in range(first, end):
        _forward_group(x, matrices, layout, y, group)


@kernel
def _add(source, target):
    """Add an array to one in double precision, because thousands of float32 terms would lose digits."""
    for i in range(source.size):
        target[i] += source[i]


@kernel
def _back_row(x, grad, matrices, back, h, layout, z, e, one, sums, grad_x):
    """Gradient of a row x of channel h; those of the channel's matrices are added to sums, by way of `one`."""
    inward, _, _, kept = matrices
    columns, chunks = inward.shape[1] // CHUNK, x.size // CHUNK
    fill(one[3], 0)
    _states(x, inward[h], kept[h], layout, False, z, None, None)
    _states(grad, back[0], back[3], layout, True, e, z, one[3])
    _outputs(grad, e, back[1], back[2], layout[0] * layout[1] * (kept.shape[1] // 2), grad_x)
    _multiply_transposed(x, e, CHUNK, columns, chunks, one[0])
    _multiply_transposed(grad, z, CHUNK, columns, chunks, one[1])
    _multiply_transposed(x, grad, CHUNK, CHUNK, chunks, one[2])
    for k in range(4):
        _add(one[k], sums[k])


@kernel
def back_group(grads, x, weights, layout, powers, matrices, grad_x, by_dt_a, by_weights, by_skip, group):
    """Gradients of a group's rows of x, and what they add to those of the parameters.

    grads: of the rows' outputs, [GROUP, steps], 0 beyond their length. The parameters' gradients have a part more in
    front, one for each group that holds rows of a channel.
    """
    batch, channels, length = x.shape
    (source, z), target = scratch(length, matrices, x.dtype), np.empty(padded(length), x.dtype)
    e = np.empty_like(z)
    one = (
        np.empty(matrices[0].shape[1], x.dtype),
        np.empty(matrices[1].shape[1], x.dtype),
        np.empty(matrices[2].shape[1], x.dtype),
        np.empty(matrices[3].shape[1], x.dtype),
    )
    row, end = GROUP * group, min(GROUP * (group + 1), batch * channels)
    while row < end:  # all rows of one channel
        h = row // batch
        back = transposed(matrices[0][h], matrices[1][h], matrices[2][h], matrices[3][h])
        sums = np.zeros(one[0].size), np.zeros(one[1].size), np.zeros(one[2].size), np.zeros(one[3].size)
        while row < min((h + 1) * batch, end):
            b = row % batch
            copy(x[b, h], source, length)
            _back_row(source, grads[row % GROUP], matrices, back, h, layout, z, e, one, sums, target)
            copy(target, grad_x[b, h], length)
            row += 1
        part = group - h * batch // GROUP
        by_skip[part, h] = chain(powers[h], weights[:, h], layout[1], *sums, by_dt_a[part, h], by_weights[part, :, h])


@kernel
def load_group(array, group):
    """A group's rows of an array [B, H, L], [GROUP, steps], 0 beyond their length."""
    batch, channels, length = array.shape
    rows = np.zeros((GROUP, padded(length)), array.dtype)
    for row in range(GROUP * group, min(GROUP * (group + 1), batch * channels)):
        copy(array[row % batch, row // batch], rows[row % GROUP], length)
    return rows


@Threaded
def _backward_kernel(grad, x, weights, layout, powers, matrices, grad_x, by_dt_a, by_weights, by_skip, first, end):
    for group in range(first, end):
        grads = load_group(grad, group)
        back_group(grads, x, weights, layout, powers, matrices, grad_x, by_dt_a, by_weights, by_skip, group)


class Gradients:
    """Gradients of dt_a, weights and skip in the making, and the arrays that kernels add them to."""

    def __init__(self, batch: int, dt_a: Tensor, weights: Tensor, skip: Tensor) -> None:
        self._like = dt_a, weights, skip
        parts = (batch + GROUP - 2) // GROUP + 1  # groups that the rows of a channel may be in
        directions, channels, states = weights.shape
        shapes = (channels, 2, states), (directions, channels, 2, states), (channels,)
        self.arrays = tuple(np.zeros((parts, *shape)) for shape in shapes)

    def total(self) -> tuple[Tensor, ...]:
        """The gradients, once kernels have filled the arrays."""
        return total(self.arrays, self._like)


def forward(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> Tensor:
    """Output [B, H, L]; see operator.py."""
    y = torch.empty_like(x)
    _, layout, _, matrices = prepared(dt_a, weights, skip)
    _forward_kernel(*groups_of(x, GROUP), x.numpy(force=True), matrices, layout, y.numpy())
    return y


def backward(grad: Tensor, x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> tuple[Tensor, ...]:
    """Gradients of x, dt_a, weights and skip; see operator.py."""
    grad_x, gradients = torch.empty_like(x), Gradients(len(x), dt_a, weights, skip)
    _backward_kernel(
        *groups_of(x, GROUP),
        grad.numpy(force=True),
        x.numpy(force=True),
        *prepared(dt_a, weights, skip),
        grad_x.numpy(),
        *gradients.arrays,
    )
    return grad_x, *gradients.total()
