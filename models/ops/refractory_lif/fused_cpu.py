"""The fused CPU solver: one pass over time forward, one backward with the gradients of all five inputs (numba).

Rows (one per example and channel) are independent, their recurrences are not short: each step waits for the one
before. So a thread walks several rows side by side, which hides that latency, and threads share the rows out. The
arithmetic of the forward pass is the reference's, operation for operation, so that both round alike.

All kernels live in this one file because numba's on-disk cache watches no other.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from models.ops.surrogate import SURROGATES
from models.ops.threads import share_threads_with_numba

_CODES = {name: code for code, name in enumerate(SURROGATES)}
_PIECEWISE_QUADRATIC, _ARCTAN, _SIGMOID, _RECTANGULAR, _FAST_SIGMOID = range(len(SURROGATES))


@njit(inline="always")
def _of_row(parameters, row):
    """(leak, threshold, refractory, decay) of a row, from the parameters [4, H]."""
    channel = row % parameters.shape[1]
    return parameters[0, channel], parameters[1, channel], parameters[2, channel], parameters[3, channel]


@njit(inline="always")
def _advance(x, spikes, potential, row, t, state, parameters):
    """One step of one row; state = (membrane potential after reset, refractory current)."""
    leak, threshold, refractory, decay = parameters
    after_reset, refractory_current = state
    u = leak * after_reset + x[row, t] - refractory_current
    s = x.dtype.type(u >= threshold)  # no branch: spikes cannot be predicted
    potential[row, t] = u
    spikes[row, t] = s
    return u - threshold * s, decay * refractory_current + refractory * s


@njit
def _forward_group(x, parameters, spikes, potential, first):
    """Four rows from `first` on, side by side. At the end of x the last row stands in for missing ones."""
    rows, length = x.shape
    zero = x.dtype.type(0)
    a, b, c, d = first, min(first + 1, rows - 1), min(first + 2, rows - 1), min(first + 3, rows - 1)
    of_a, of_b = _of_row(parameters, a), _of_row(parameters, b)
    of_c, of_d = _of_row(parameters, c), _of_row(parameters, d)
    state_a = state_b = state_c = state_d = (zero, zero)
    for t in range(length):
        state_a = _advance(x, spikes, potential, a, t, state_a, of_a)
        state_b = _advance(x, spikes, potential, b, t, state_b, of_b)
        state_c = _advance(x, spikes, potential, c, t, state_c, of_c)
        state_d = _advance(x, spikes, potential, d, t, state_d, of_d)


@njit(parallel=True, cache=True)
def _forward_kernel(x, parameters, spikes, potential):
    for group in prange((x.shape[0] + 3) // 4):
        _forward_group(x, parameters, spikes, potential, 4 * group)


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
def _retreat(grad, spikes, potential, grad_x, row, t, adjoints, parameters, code, width, detach):
    """One step of one row, backwards. Returns the new adjoints and what the step adds to the five sums.

    adjoints = (of u_{t+1}, of eta_{t+1}, nu_t), where nu is the adjoint of eta filtered once more by `decay`: with it
    the gradient of `decay` needs no stored refractory current.
    """
    leak, threshold, refractory, decay = parameters
    one = grad.dtype.type(1)
    per_threshold, per_width = one / threshold, one / width
    adjoint_u, adjoint_eta, nu = adjoints
    u, s, adjoint_s = potential[row, t], spikes[row, t], grad[row, t]
    if not detach:
        adjoint_s += refractory * adjoint_eta - leak * threshold * adjoint_u
    adjoint_z = adjoint_s * _density((u * per_threshold - one) * per_width, code, one) * per_width
    now = adjoint_z * per_threshold + leak * adjoint_u
    grad_x[row, t] = now
    sums = (adjoint_u * (u - threshold * s), adjoint_z * u, adjoint_u * s, adjoint_eta * s, nu * s)
    return (now, decay * adjoint_eta - now, decay * nu + adjoint_eta), sums


@njit(inline="always")
def _add(totals, terms):
    """Sums over time are kept in float64: thousands of float32 terms would lose digits."""
    return (
        totals[0] + terms[0],
        totals[1] + terms[1],
        totals[2] + terms[2],
        totals[3] + terms[3],
        totals[4] + terms[4],
    )


@njit(inline="always")
def _store_parameter_gradients(grad_parameters, row, totals, parameters):
    leak, threshold, refractory, _ = parameters
    by_leak, by_z, by_reset, by_refractory, by_decay = totals
    grad_parameters[0, row] = by_leak
    grad_parameters[1, row] = -by_z / (threshold * threshold) - leak * by_reset
    grad_parameters[2, row] = by_refractory
    grad_parameters[3, row] = refractory * by_decay


@njit
def _backward_group(grad, spikes, potential, parameters, code, width, detach, grad_x, grad_parameters, first):
    """Two rows from `first` on, side by side."""
    rows, length = grad.shape
    zero = grad.dtype.type(0)
    a, b = first, min(first + 1, rows - 1)
    of_a, of_b = _of_row(parameters, a), _of_row(parameters, b)
    adjoints_a = adjoints_b = (zero, zero, zero)
    totals_a = totals_b = (0.0, 0.0, 0.0, 0.0, 0.0)
    for t in range(length - 1, -1, -1):
        adjoints_a, terms_a = _retreat(grad, spikes, potential, grad_x, a, t, adjoints_a, of_a, code, width, detach)
        adjoints_b, terms_b = _retreat(grad, spikes, potential, grad_x, b, t, adjoints_b, of_b, code, width, detach)
        totals_a, totals_b = _add(totals_a, terms_a), _add(totals_b, terms_b)
    _store_parameter_gradients(grad_parameters, a, totals_a, of_a)
    _store_parameter_gradients(grad_parameters, b, totals_b, of_b)


@njit(parallel=True, cache=True)
def _backward_kernel(grad, spikes, potential, parameters, code, width, detach, grad_x, grad_parameters):
    for group in prange((grad.shape[0] + 1) // 2):
        _backward_group(grad, spikes, potential, parameters, code, width, detach, grad_x, grad_parameters, 2 * group)


def _rows(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().view(-1, tensor.shape[-1]).numpy()


@torch.library.custom_op("spike_ssm::refractory_lif_fused", mutates_args=(), device_types="cpu")
def solve_fused(
    x: Tensor,
    leak: Tensor,
    threshold: Tensor,
    refractory: Tensor,
    decay: Tensor,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor]:
    """Spikes and potentials [B, H, L] of x [B, H, L], float32 or float64; the parameters are [H], of x's dtype."""
    spikes, potential = x.new_empty(x.shape), x.new_empty(x.shape)
    if x.numel():
        share_threads_with_numba()
        parameters = torch.stack((leak, threshold, refractory, decay)).numpy()
        _forward_kernel(_rows(x), parameters, _rows(spikes), _rows(potential))
    return spikes, potential


@torch.library.custom_op("spike_ssm::refractory_lif_fused_backward", mutates_args=(), device_types="cpu")
def _backward(
    grad: Tensor,
    spikes: Tensor,
    potential: Tensor,
    leak: Tensor,
    threshold: Tensor,
    refractory: Tensor,
    decay: Tensor,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grad_x = potential.new_empty(potential.shape)
    per_row = potential.new_zeros(4, *potential.shape[:2])
    if potential.numel():
        share_threads_with_numba()
        parameters = torch.stack((leak, threshold, refractory, decay)).numpy()
        _backward_kernel(
            _rows(grad),
            _rows(spikes),
            _rows(potential),
            parameters,
            _CODES[surrogate],
            parameters.dtype.type(surrogate_width),
            detach_reset,
            _rows(grad_x),
            per_row.view(4, -1).numpy(),
        )
    by_leak, by_threshold, by_refractory, by_decay = (row.clone() for row in per_row.sum(1))
    return grad_x, by_leak, by_threshold, by_refractory, by_decay


@solve_fused.register_fake
def _(x, leak, threshold, refractory, decay, surrogate, surrogate_width, detach_reset):
    return x.new_empty(x.shape), x.new_empty(x.shape)


@_backward.register_fake
def _(grad, spikes, potential, leak, threshold, refractory, decay, surrogate, surrogate_width, detach_reset):
    return (potential.new_empty(potential.shape), *(leak.new_empty(leak.shape) for _ in range(4)))


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*output, *inputs[1:5])
    ctx.surrogate_and_reset = inputs[5:]
    ctx.mark_non_differentiable(output[1])


def _run_backward(ctx, grad_spikes, _grad_potential):
    return (*_backward(grad_spikes, *ctx.saved_tensors, *ctx.surrogate_and_reset), None, None, None)


solve_fused.register_autograd(_run_backward, setup_context=_setup_context)
