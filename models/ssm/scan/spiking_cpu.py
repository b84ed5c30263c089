"""The CPU's kernels (numba) of a scan and the neuron that it drives: what the neuron is given is never in memory.

A group of rows is scanned one by one into a tile that stays in the second cache, where the neuron's kernels walk all
rows side by side. The backward scans again to know what the neuron was given. All numbers are those of the scan and the
neuron one after the other, bit for bit.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, groups_of, kernel
from spike_ssm.models.ops.refractory_lif.fused_cpu import LANES, TILE, backward_group, forward_groups, numbers_of
from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ssm.scan.matrices_cpu import prepared
from spike_ssm.models.ssm.scan.scan_cpu import GROUP, Gradients, back_group, copy, load_group, padded, scan_row, scratch

assert (LANES, padded.py_func(1) % TILE) == (GROUP, 0)


@kernel
def _drive(x, matrices, layout, group):
    """What the neurons of a group's rows are given, [GROUP, steps], garbage beyond their length."""
    batch, channels, length = x.shape
    source, z = scratch(length, matrices, x.dtype)
    drive = np.zeros((GROUP, source.size), x.dtype)
    for row in range(GROUP * group, min(GROUP * (group + 1), batch * channels)):
        h, b = row // batch, row % batch
        copy(x[b, h], source, length)
        scan_row(source, z, matrices, h, layout, drive[row % GROUP])
    return drive


@kernel
def _of_rows(parameters, batch, group):
    """Parameters [4, GROUP] of the neurons of a group's rows; rows beyond the last repeat it."""
    found = np.empty((4, GROUP), parameters.dtype)
    for lane in range(GROUP):
        h = min((GROUP * group + lane) // batch, parameters.shape[1] - 1)
        for k in range(4):
            found[k, lane] = parameters[k, h]
    return found


@Threaded
def _forward_kernel(x, matrices, layout, parameters, reset, raises, spikes, states, first, end):
    batch, channels, length = x.shape
    nothing = np.empty((0, 0), x.dtype)
    for group in range(first, end):
        drive = _drive(x, matrices, layout, group)
        forward_groups(
            drive, _of_rows(parameters, batch, group), reset, raises, drive, nothing, states[group], 0, 1
        )  # a tile's spikes come where what was given was
        for row in range(GROUP * group, min(GROUP * (group + 1), batch * channels)):
            copy(drive[row % GROUP], spikes[row % batch, row // batch], length)


@Threaded
def _backward_kernel(
    grad, x, states, weights, layout, powers, matrices, parameters, reset, raises, code, width, detach,
    grad_x, by_dt_a, by_weights, by_skip, by_parameters, first, end,
):  # fmt: skip
    for group in range(first, end):
        drive, grads = _drive(x, matrices, layout, group), load_group(grad, group)
        backward_group(
            grads, drive, states[group], _of_rows(parameters, len(x), group), reset, raises, code, width, detach,
            grads, by_parameters[group], 0,
        )  # fmt: skip
        back_group(grads, x, weights, layout, powers, matrices, grad_x, by_dt_a, by_weights, by_skip, group)


def forward(
    x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor, parameters: Tensor, rules: Rules
) -> tuple[Tensor, Tensor]:
    """Spikes [B, H, L] and states; see spiking.py."""
    spikes, states = torch.empty_like(x), states_like(x)
    _, layout, _, matrices = prepared(dt_a, weights, skip)
    _forward_kernel(
        *groups_of(x, GROUP), x.numpy(force=True), matrices, layout, parameters.numpy(force=True),
        *numbers_of(rules)[:2], spikes.numpy(), states.numpy(),
    )  # fmt: skip
    return spikes, states


def states_like(x: Tensor) -> Tensor:
    """Uninitialised states of the neurons [groups, S, 2, GROUP]: one after every `TILE` steps."""
    rows, steps = x.shape[0] * x.shape[1], padded.py_func(x.shape[2])
    return x.new_empty(-(-rows // GROUP), steps // TILE, 2, GROUP)


def backward(
    grad: Tensor,
    x: Tensor,
    states: Tensor,
    dt_a: Tensor,
    weights: Tensor,
    skip: Tensor,
    parameters: Tensor,
    rules: Rules,
) -> tuple[Tensor, ...]:
    """Gradients of x, dt_a, weights, skip and parameters; see spiking.py."""
    batch, channels, _ = x.shape
    grad_x, gradients = torch.empty_like(x), Gradients(batch, dt_a, weights, skip)
    by_parameters = x.new_empty(len(states), 4, GROUP)
    reset, raises, code, width, detach = numbers_of(rules)
    _backward_kernel(
        *groups_of(x, GROUP), grad.numpy(force=True), x.numpy(force=True), states.numpy(),
        *prepared(dt_a, weights, skip), parameters.numpy(force=True),
        reset, raises, code, skip.numpy(force=True).dtype.type(width), detach,
        grad_x.numpy(), *gradients.arrays, by_parameters.numpy(),
    )  # fmt: skip
    per_row = by_parameters.transpose(0, 1).reshape(4, -1)[:, : batch * channels]
    return grad_x, *gradients.total(), per_row.view(4, channels, batch).sum(2)
