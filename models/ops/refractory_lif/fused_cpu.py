"""The fused solver's CPU kernels (numba).

Rows (one per example and channel) are independent, their recurrences are serial. So LANES rows advance side by side,
a SIMD lane each: a tile of TILE steps is transposed into the L1 cache, walked, and transposed back. The arithmetic of
the forward pass is the reference's, operation for operation, so that both round alike.

All kernels live in this one file because numba's on-disk cache watches no other.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from models.ops.refractory_lif.fused import STEPS_PER_STATE, states_like
from models.ops.refractory_lif.parameters import RESETS, Rules
from models.ops.surrogate import SURROGATES
from models.ops.threads import share_threads_with_numba

LANES, TILE = 16, STEPS_PER_STATE["cpu"]

_PIECEWISE_QUADRATIC, _ARCTAN, _SIGMOID, _RECTANGULAR, _FAST_SIGMOID = range(len(SURROGATES))
_SOFT, _NONE, _HARD = range(len(RESETS))
_LEAK, _THRESHOLD, _REFRACTORY, _DECAY, _RESET, _MEMBRANE, _CURRENT = range(7)  # of `lanes`
_BY_LEAK, _BY_Z, _BY_RESET, _BY_REFRACTORY, _BY_DECAY, _ADJOINT_MEMBRANE, _ADJOINT_CURRENT = range(7)  # of `adjoints`


@njit(inline="always")
def _load(source, tile, first, start, steps):
    """tile[t, lane] of `steps` steps from `start`; lanes past the last row repeat it."""
    last = source.shape[0] - 1
    for lane in range(LANES):
        row = min(first + lane, last)
        for t in range(steps):
            tile[t, lane] = source[row, start + t]


@njit(inline="always")
def _store(tile, target, first, start, steps):
    for lane in range(min(LANES, target.shape[0] - first)):
        row = first + lane
        for t in range(steps):
            target[row, start + t] = tile[t, lane]


@njit(inline="always")
def _lanes(parameters, first, rows, reset):
    """[7, LANES]: each lane's four parameters, what a soft reset takes off, and the state at rest."""
    lanes = np.zeros((7, LANES), parameters.dtype)
    for lane in range(LANES):
        channel = min(first + lane, rows - 1) % parameters.shape[1]
        for k in range(4):
            lanes[k, lane] = parameters[k, channel]
        if reset == _SOFT:
            lanes[_RESET, lane] = lanes[_THRESHOLD, lane]
    return lanes


@njit(inline="always")
def _walk(x, potential, membrane, current, lanes, steps, reset, raises):
    """Advances the state in `lanes` through inputs x [steps, LANES], which become spikes in place.

    Keeps per step what is compared with the threshold, and the membrane potential and current before the step.
    """
    zero = x.dtype.type(0)
    for t in range(steps):
        for lane in range(LANES):
            before, eta = lanes[_MEMBRANE, lane], lanes[_CURRENT, lane]
            u = lanes[_LEAK, lane] * before + x[t, lane] - (zero if raises else eta)
            w = u - (eta if raises else zero)
            s = x.dtype.type(w >= lanes[_THRESHOLD, lane])  # no branch: spikes cannot be predicted
            lanes[_MEMBRANE, lane] = u - (u if reset == _HARD else lanes[_RESET, lane]) * s
            lanes[_CURRENT, lane] = lanes[_DECAY, lane] * eta + lanes[_REFRACTORY, lane] * s
            potential[t, lane], membrane[t, lane], current[t, lane] = w, before, eta
            x[t, lane] = s


@njit
def _forward_group(x, parameters, reset, raises, spikes, potential, states, first):
    rows, length = x.shape
    lanes = _lanes(parameters, first, rows, reset)
    tiles = np.empty((4, TILE, LANES), x.dtype)
    for start in range(0, length, TILE):
        steps = min(TILE, length - start)
        _load(x, tiles[0], first, start, steps)
        _walk(tiles[0], tiles[1], tiles[2], tiles[3], lanes, steps, reset, raises)
        _store(tiles[0], spikes, first, start, steps)
        if potential.size > 0:
            _store(tiles[1], potential, first, start, steps)
        for lane in range(min(LANES, rows - first)):
            states[start // TILE, 0, first + lane] = lanes[_MEMBRANE, lane]
            states[start // TILE, 1, first + lane] = lanes[_CURRENT, lane]


@njit(parallel=True, cache=True)
def _forward_kernel(x, parameters, reset, raises, spikes, potential, states):
    for group in prange((x.shape[0] + LANES - 1) // LANES):
        _forward_group(x, parameters, reset, raises, spikes, potential, states, LANES * group)


@njit(inline="always")
def _density(z, code, one):
    """models.ops.surrogate.SURROGATES[...].density, for one number."""
    half = one / (one + one)
    if code == _PIECEWISE_QUADRATIC:
        return max(one - abs(z), one - one)
    if code == _RECTANGULAR:
        return half if abs(z) < one else one - one
    if code == _ARCTAN:
        scaled = z * type(z)(np.pi)
        return one / (one + scaled * scaled)
    if code == _SIGMOID:
        e = np.exp(-abs(z))
        return e / ((one + e) * (one + e))
    return half / ((one + abs(z)) * (one + abs(z)))


@njit(inline="always")
def _densities(potential, density, lanes, steps, code, width):
    """The surrogate's density at every step, by the normalised potential z."""
    one = width / width
    for t in range(steps):
        for lane in range(LANES):
            z = potential[t, lane] / lanes[_THRESHOLD, lane] - one
            density[t, lane] = _density(z / width, code, one) / width


@njit(inline="always")
def _walk_back(grad, spikes, potential, membrane, current, density, lanes, adjoints, steps, reset, raises, detach):
    """The adjoint of `_walk`: grad [steps, LANES], of the spikes, becomes that of x in place; `adjoints` adds up."""
    zero = grad.dtype.type(0)
    one = lanes.dtype.type(1)
    for t in range(steps - 1, -1, -1):
        for lane in range(LANES):
            w, s, eta = potential[t, lane], spikes[t, lane], current[t, lane]
            of_membrane, of_current = adjoints[_ADJOINT_MEMBRANE, lane], adjoints[_ADJOINT_CURRENT, lane]
            taken_off = w + (eta if raises else zero) if reset == _HARD else lanes[_RESET, lane]
            through_reset = lanes[_REFRACTORY, lane] * of_current - taken_off * of_membrane
            of_z = (grad[t, lane] + (zero if detach else through_reset)) * density[t, lane]
            of_w = of_z / lanes[_THRESHOLD, lane]
            of_u = of_w + of_membrane * (one - s if reset == _HARD else one)
            adjoints[_BY_LEAK, lane] += of_u * membrane[t, lane]
            adjoints[_BY_Z, lane] += of_z * w
            adjoints[_BY_RESET, lane] += of_membrane * s
            adjoints[_BY_REFRACTORY, lane] += of_current * s
            adjoints[_BY_DECAY, lane] += of_current * eta
            adjoints[_ADJOINT_MEMBRANE, lane] = lanes[_LEAK, lane] * of_u
            adjoints[_ADJOINT_CURRENT, lane] = lanes[_DECAY, lane] * of_current - (of_w if raises else of_u)
            grad[t, lane] = of_u


@njit
def _backward_group(grad, x, states, parameters, reset, raises, code, width, detach, grad_x, grad_parameters, first):
    rows, length = x.shape
    lanes = _lanes(parameters, first, rows, reset)
    adjoints = np.zeros((7, LANES), x.dtype)
    totals = np.zeros((5, LANES), np.float64)  # thousands of float32 terms would lose digits
    tiles = np.empty((6, TILE, LANES), x.dtype)
    for start in range((length - 1) // TILE * TILE, -1, -TILE):
        steps = min(TILE, length - start)
        for lane in range(LANES):
            row = min(first + lane, rows - 1)
            lanes[_MEMBRANE, lane] = states[start // TILE - 1, 0, row] if start > 0 else 0
            lanes[_CURRENT, lane] = states[start // TILE - 1, 1, row] if start > 0 else 0
        _load(x, tiles[0], first, start, steps)
        _load(grad, tiles[1], first, start, steps)
        _walk(tiles[0], tiles[2], tiles[3], tiles[4], lanes, steps, reset, raises)
        _densities(tiles[2], tiles[5], lanes, steps, code, width)
        _walk_back(
            tiles[1], tiles[0], tiles[2], tiles[3], tiles[4], tiles[5], lanes, adjoints, steps, reset, raises, detach
        )
        _store(tiles[1], grad_x, first, start, steps)
        for k in range(5):
            for lane in range(LANES):
                totals[k, lane] += adjoints[k, lane]
                adjoints[k, lane] = 0
    for lane in range(min(LANES, rows - first)):
        threshold, soft = lanes[_THRESHOLD, lane], reset == _SOFT
        by_reset = totals[_BY_RESET, lane] if soft else 0.0
        grad_parameters[0, first + lane] = totals[_BY_LEAK, lane]
        grad_parameters[1, first + lane] = -totals[_BY_Z, lane] / (threshold * threshold) - by_reset
        grad_parameters[2, first + lane] = totals[_BY_REFRACTORY, lane]
        grad_parameters[3, first + lane] = totals[_BY_DECAY, lane]


@njit(parallel=True, cache=True)
def _backward_kernel(grad, x, states, parameters, reset, raises, code, width, detach, grad_x, grad_parameters):
    for group in prange((x.shape[0] + LANES - 1) // LANES):
        _backward_group(
            grad, x, states, parameters, reset, raises, code, width, detach, grad_x, grad_parameters, LANES * group
        )


def _rows(tensor: Tensor) -> np.ndarray:
    return tensor.detach().view(-1, tensor.shape[-1]).numpy()


def forward(x: Tensor, parameters: Tensor, rules: Rules, keep_potential: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes, potentials and states; see fused.py."""
    spikes, states = torch.empty_like(x), states_like(x)
    potential = x.new_empty(x.shape if keep_potential else (0, *x.shape[1:]))
    share_threads_with_numba()
    _forward_kernel(
        _rows(x),
        parameters.detach().numpy(),
        RESETS.index(rules.reset),
        rules.raises_threshold,
        _rows(spikes),
        _rows(potential),
        states.numpy(),
    )
    return spikes, potential, states


def backward(grad: Tensor, x: Tensor, states: Tensor, parameters: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """Gradients of x and, per row, of the parameters; see fused.py."""
    grad_x, per_row = torch.empty_like(x), x.new_empty(4, x.shape[0] * x.shape[1])
    share_threads_with_numba()
    plain = parameters.detach().numpy()
    _backward_kernel(
        _rows(grad),
        _rows(x),
        states.numpy(),
        plain,
        RESETS.index(rules.reset),
        rules.raises_threshold,
        tuple(SURROGATES).index(rules.surrogate),
        plain.dtype.type(rules.surrogate_width),
        rules.detach_reset,
        _rows(grad_x),
        per_row.numpy(),
    )
    return grad_x, per_row
