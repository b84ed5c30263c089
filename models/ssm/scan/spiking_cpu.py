"""The CPU's kernels (numba) of a scan and the neuron that it drives: what the neuron is given is never in memory.

A group of rows is scanned into a tile that stays in the second cache, where the neuron's kernels walk all rows side by
side. The backward scans again to know what the neuron was given. All numbers are those of the scan and the neuron one
after the other, bit for bit.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, kernel
from spike_ssm.models.ops.refractory_lif import fused_cpu
from spike_ssm.models.ops.refractory_lif.fused_cpu import TILE, backward_group, forward_groups, numbers_of
from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ssm.scan.matrices_cpu import CHUNK, prepared
from spike_ssm.models.ssm.scan.scan_cpu import (
    LANES,
    Gradients,
    back_group,
    chunks_of,
    groups_of_rows,
    inputs_of,
    load_gradients,
    packed,
    room,
    rows_of_group,
    scan_rows,
    scratch,
    store_rows,
)

assert LANES == fused_cpu.LANES


@kernel
def _drive(inputs, matrices, layout, first, end):
    """What the neurons of rows are given, [rows, chunks, CHUNK], garbage beyond their length."""
    x = inputs[0]
    batch, _, length = x.shape
    source, z = scratch(length, matrices, x.dtype)
    drive = np.empty(room(end - first, length), x.dtype)
    row = first
    while row < end:
        count = packed(row, end, batch, length)
        into = drive[(row - first) * chunks_of(length) * CHUNK :]
        scan_rows(inputs, matrices, layout, row, count, source, z, into)
        row += count
    return drive


@kernel
def _of_rows(parameters, batch, first, end):
    """Parameters [4, rows] of the neurons of rows."""
    found = np.empty((4, end - first), parameters.dtype)
    for row in range(first, end):
        for k in range(4):
            found[k, row - first] = parameters[k, row // batch]
    return found


@Threaded
def _forward_kernel(inputs, matrices, layout, parameters, reset, raises, spikes, states, first, end):
    batch, channels, length = spikes.shape
    nothing, rows = np.empty((0, 0), spikes.dtype), rows_of_group(length)
    for group in range(first, end):
        start, stop = rows * group, min(rows * (group + 1), batch * channels)
        drive, of_rows = _drive(inputs, matrices, layout, start, stop), _of_rows(parameters, batch, start, stop)
        given = drive[: (stop - start) * chunks_of(length) * CHUNK].reshape(stop - start, chunks_of(length) * CHUNK)
        for lane in range(0, stop - start, 2 * LANES):  # a tile's spikes come where what was given was
            count = min(2, (stop - start - lane + LANES - 1) // LANES)
            forward_groups(given, of_rows, reset, raises, given, nothing, states[group], lane, count)
        store_rows(drive, start, stop, batch, length, spikes)


@Threaded
def _backward_kernel(
    grad, inputs, states, weights, layout, powers, matrices, parameters, reset, raises, code, width, detach,
    grad_x, gradients, by_parameters, first, end,
):  # fmt: skip
    batch, channels, length = grad_x.shape
    rows, steps = rows_of_group(length), chunks_of(length) * CHUNK
    for group in range(first, end):
        start, stop = rows * group, min(rows * (group + 1), batch * channels)
        drive, grads = _drive(inputs, matrices, layout, start, stop), load_gradients(grad, start, stop)
        given, size = _of_rows(parameters, batch, start, stop), (stop - start) * steps
        by_drive, driven = grads[:size].reshape(stop - start, steps), drive[:size].reshape(stop - start, steps)
        for lane in range(0, stop - start, LANES):
            backward_group(
                by_drive, driven, states[group], given, reset, raises, code, width, detach,
                by_drive, by_parameters[group], lane,
            )  # fmt: skip
        back_group(grads, inputs, weights, layout, powers, matrices, grad_x, gradients, start, stop, group)


def forward(
    x: Tensor, affine: Tensor | None, lengths: Tensor | None, dt_a: Tensor, weights: Tensor, skip: Tensor,
    parameters: Tensor, rules: Rules,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Spikes [B, H, L] and states; see spiking.py."""
    spikes, states = torch.empty_like(x), states_like(x)
    _, layout, _, matrices = prepared(dt_a, weights, skip)
    _forward_kernel(
        *groups_of_rows(x), inputs_of(x, affine, lengths), matrices, layout, parameters.numpy(force=True),
        *numbers_of(rules)[:2], spikes.numpy(), states.numpy(),
    )  # fmt: skip
    return spikes, states


def states_like(x: Tensor) -> Tensor:
    """Zeros for the states of the neurons [groups, S, 2, rows]: one after every `TILE` steps."""
    (batch, channels, length), rows = x.shape, rows_of_group.py_func(x.shape[2])
    steps = chunks_of.py_func(length) * CHUNK
    return x.new_zeros(-(-batch * channels // rows), -(-steps // TILE), 2, rows)


def backward(
    grad: Tensor, x: Tensor, affine: Tensor | None, lengths: Tensor | None, states: Tensor, dt_a: Tensor,
    weights: Tensor, skip: Tensor, parameters: Tensor, rules: Rules,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of x, affine, dt_a, weights, skip and parameters; see spiking.py."""
    batch, channels, _ = x.shape
    grad_x, gradients = torch.empty_like(x), Gradients(x, dt_a, weights, skip)
    by_parameters = x.new_zeros(states.shape[0], 4, states.shape[3])
    reset, raises, code, width, detach = numbers_of(rules)
    _backward_kernel(
        *groups_of_rows(x), grad.numpy(force=True), inputs_of(x, affine, lengths), states.numpy(),
        *prepared(dt_a, weights, skip), parameters.numpy(force=True),
        reset, raises, code, skip.numpy(force=True).dtype.type(width), detach,
        grad_x.numpy(), gradients.arrays, by_parameters.numpy(),
    )  # fmt: skip
    per_row = by_parameters.transpose(0, 1).reshape(4, -1)[:, : batch * channels]
    return grad_x, *gradients.total(), per_row.view(4, channels, batch).sum(2)
