"""The serial neurons' CPU kernels (numba): LANES rows advance side by side, a tile of TILE steps after the other.

Rows (one per example and channel) are independent. As in refractory_lif/fused_cpu.py, a tile is transposed into the L1
cache, walked by the neuron's own step, and transposed back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, groups_of, kernel
from spike_ssm.models.ops.refractory_lif.fused_cpu import (
    LANES,
    PLANE,
    TILE,
    WIDTH,
    densities,
    load,
    rows_of,
    store,
    tape_of,
)
from spike_ssm.models.ops.serial.brf_cpu import resonate, resonate_back
from spike_ssm.models.ops.serial.dynamics import DYNAMICS
from spike_ssm.models.ops.serial.tape_cpu import (
    BY_FIRST,
    DENSITY,
    FIRST,
    FORWARD_PLANES,
    GRAD,
    MOST_PARAMETERS,
    PER_THRESHOLD,
    PLANES,
    POTENTIAL,
    RECIPROCAL,
    SPIKE,
    SUMS,
    U,
    X,
    lanes_of,
)
from spike_ssm.models.ops.serial.tc_lif_cpu import charge, charge_back
from spike_ssm.models.ops.surrogate import SURROGATES

_BRF, _TC_LIF = range(len(DYNAMICS))


@kernel
def _walk(tape, lanes, steps, neuron):
    """Walk all steps of a tile."""
    if neuron == _BRF:
        for t in range(steps):
            resonate(tape, lanes, U(t) * WIDTH)
    else:
        for t in range(steps):
            charge(tape, lanes, U(t) * WIDTH)


@kernel
def _walk_back(tape, lanes, steps, neuron):
    """The adjoint of `_walk`."""
    if neuron == _BRF:
        for t in range(steps - 1, -1, -1):
            resonate_back(tape, lanes, U(t) * WIDTH)
    else:
        for t in range(steps - 1, -1, -1):
            charge_back(tape, lanes, U(t) * WIDTH)


@kernel
def _keep_states(tape, states, number, first, steps):
    """Keep the states after `steps` steps, and put them where the next tile starts."""
    end = U(steps) * WIDTH
    for k in range(states.shape[1]):
        plane = FIRST + U(k) * PLANE
        for lane in range(WIDTH):
            tape[plane + lane] = tape[plane + end + lane]
        for lane in range(min(LANES, states.shape[2] - first)):
            states[number, k, first + lane] = tape[plane + U(lane)]


@kernel
def _go_back(tape, states, number, first, steps):
    """Put the states after tile `number` where the one after it starts, and its adjoints where the one before ends."""
    end = U(steps) * WIDTH
    for k in range(states.shape[1]):
        plane, by_plane = FIRST + U(k) * PLANE, BY_FIRST + U(k) * PLANE
        for lane in range(WIDTH):
            row = min(first + np.int64(lane), states.shape[2] - 1)
            tape[plane + lane] = states[number, k, row] if number >= 0 else 0
            tape[by_plane + end + lane] = tape[by_plane + lane]


@kernel
def _forward_group(x, parameters, neuron, spikes, potential, states, first):
    """Compute a group of LANES rows from row `first` on."""
    rows, length = x.shape
    lanes, tape = lanes_of(parameters, first, rows, True), tape_of(FORWARD_PLANES, x.dtype)
    for start in range(0, length, TILE):
        steps = min(TILE, length - start)
        load(x, tape, X, first, start, steps)
        _walk(tape, lanes, steps, neuron)
        store(tape, SPIKE, spikes, first, start, steps)
        if potential.size > 0:
            store(tape, POTENTIAL, potential, first, start, steps)
        _keep_states(tape, states, start // TILE, first, steps)


@kernel
def _backward_group(grad, x, states, parameters, neuron, code, width, detach, grad_x, grad_parameters, first):
    """Compute the gradients of a group of LANES rows from row `first` on."""
    rows, length = x.shape
    lanes, tape = lanes_of(parameters, first, rows, detach), tape_of(PLANES, x.dtype)
    for i in range(min(TILE, length) * LANES):
        tape[RECIPROCAL + U(i)] = lanes[PER_THRESHOLD + U(i % LANES)]
    totals = np.zeros(MOST_PARAMETERS * LANES, np.float64)  # thousands of float32 terms would lose digits
    for start in range((length - 1) // TILE * TILE, -1, -TILE):
        steps = min(TILE, length - start)
        size = U(steps) * WIDTH
        _go_back(tape, states, start // TILE - 1, first, steps)
        load(x, tape, X, first, start, steps)
        load(grad, tape, GRAD, first, start, steps)
        _walk(tape, lanes, steps, neuron)
        densities(
            tape[POTENTIAL : POTENTIAL + size],
            tape[RECIPROCAL : RECIPROCAL + size],
            tape[DENSITY : DENSITY + size],
            code,
            width / width / width,
        )
        _walk_back(tape, lanes, steps, neuron)
        store(tape, GRAD, grad_x, first, start, steps)
        totals += lanes[SUMS:]
        lanes[SUMS:] = 0
    for k in range(parameters.shape[0]):
        for lane in range(min(LANES, rows - first)):
            grad_parameters[k, first + lane] = totals[k * LANES + lane]


@Threaded
def _forward_kernel(x, parameters, neuron, spikes, potential, states, first, end):
    for group in range(first, end):
        _forward_group(x, parameters, neuron, spikes, potential, states, LANES * group)


@Threaded
def _backward_kernel(grad, x, states, parameters, neuron, code, width, detach, grad_x, grad_parameters, first, end):
    for group in range(first, end):
        _backward_group(
            grad, x, states, parameters, neuron, code, width, detach, grad_x, grad_parameters, LANES * group
        )


def forward(x: Tensor, parameters: Tensor, neuron: str, spikes: Tensor, potential: Tensor, states: Tensor) -> None:
    """Fill spikes [B, H, L], potentials (likewise, or none if not kept) and states [S, K, B * H]; see fused.py."""
    _forward_kernel(
        *groups_of(x, LANES),
        rows_of(x),
        parameters.numpy(force=True),
        tuple(DYNAMICS).index(neuron),
        rows_of(spikes),
        rows_of(potential),
        states.numpy(),
    )


def backward(
    grad: Tensor,
    x: Tensor,
    states: Tensor,
    parameters: Tensor,
    neuron: str,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of x [B, H, L] and, per row, of the parameters [P, B * H]; see fused.py."""
    grad_x, per_row = torch.empty_like(x), x.new_empty(len(parameters), x.shape[0] * x.shape[1])
    plain = parameters.numpy(force=True)
    _backward_kernel(
        *groups_of(x, LANES),
        rows_of(grad),
        rows_of(x),
        states.numpy(),
        plain,
        tuple(DYNAMICS).index(neuron),
        tuple(SURROGATES).index(surrogate),
        plain.dtype.type(surrogate_width),
        detach_reset,
        rows_of(grad_x),
        per_row.numpy(),
    )
    return grad_x, per_row
