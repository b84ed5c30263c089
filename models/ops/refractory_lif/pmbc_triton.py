"""PMBC's GPU kernels (Triton): certified mode, parallel over the steps of a chunk, and its backward.

A block is one warp and walks one row (an example's channel) chunk by chunk. The filters are scans of first-order
recurrences: membrane and refractory current are two states in turn, so leak = decay is no special case. In the
inhibition all terms are non-negative and their order is fixed: rounding is monotone and the bounds cannot cross.

The bounds are one sequence: with F(s) the spikes decided when s inhibits, 0, F(0), F(F(0)), ... are lower and upper
bound in turn, and they have met once two successive members are equal.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from spike_ssm.models.ops.refractory_lif.fused_triton import density, parameters_of
from spike_ssm.models.ops.refractory_lif.parameters import Rules

CHUNK = tl.constexpr(128)  # steps; a power of two
LAUNCH: dict[str, Any] = {"num_warps": 1, "num_stages": 1, "enable_fp_fusion": False}


@triton.jit
def _compose(kept_first, first, kept_second, second):
    """Composition of two maps y -> kept * y + added: the first, then the second."""
    return kept_first * kept_second, kept_second * first + second


@triton.jit
def _scan(x, kept, before, last_first: tl.constexpr):
    """Scan y_t = x_t + kept * y_(t-1) of a chunk [1, CHUNK], `before` preceding it; or from the last step on."""
    step = tl.arange(0, CHUNK)[None, :]
    edge = step == (CHUNK - 1 if last_first else 0)
    _, y = tl.associative_scan(
        (tl.zeros_like(x) + kept, x + tl.where(edge, kept * before, 0.0)), 1, _compose, reverse=last_first
    )
    return y


@triton.jit
def _at(chunk, step: tl.constexpr):
    """Value of a chunk at one step, exact: all else that is added is zero."""
    return tl.sum(tl.where(tl.arange(0, CHUNK)[None, :] == step, chunk, 0.0))


@triton.jit
def _inhibited(drive, s, leak, reset, refractory, decay, current, raises: tl.constexpr):
    """Membrane potential, refractory current, and what is compared with the threshold, when the spikes s inhibit."""
    step = tl.arange(0, CHUNK)[None, :]
    past = tl.where(step > 0, tl.gather(s, tl.maximum(step - 1, 0), 1), 0.0)
    eta = _scan(tl.where(step > 0, refractory * past, current), decay, 0.0, False)
    if raises:
        u = drive - _scan(leak * reset * past, leak, 0.0, False)
        w = u - eta
    else:
        u = drive - _scan(leak * reset * past + eta, leak, 0.0, False)
        w = u
    return u, eta, w


@triton.jit
def _earlier(source, step, delay: tl.constexpr, length):
    """Values of `source` `delay` steps before each `step`, zero where there is no such step."""
    return tl.load(source + step - delay, mask=(step >= delay) & (step < length), other=0.0)


@triton.jit
def _certify_kernel(
    x, parameters, spikes, potentials, iterations, channels, length, resets: tl.constexpr, raises: tl.constexpr
):
    row = tl.program_id(0)
    leak, threshold, refractory, decay = parameters_of(parameters, row, channels)
    reset = threshold if resets else 0.0 * threshold
    membrane, current = 0.0 * leak, 0.0 * leak
    begin = row.to(tl.int64) * length
    most = 0
    ahead = _earlier(x + begin, tl.arange(0, CHUNK)[None, :], 0, length)
    for start in range(0, length, CHUNK):
        step = start + tl.arange(0, CHUNK)[None, :]
        within = step < length
        drive = _scan(ahead, leak, membrane, False)
        ahead = _earlier(x + begin, step + CHUNK, 0, length)  # memory answers while the bounds meet
        s, u, eta, w = tl.zeros_like(drive), drive, drive, drive
        taken, unsettled = 0, 1
        while unsettled > 0:
            u, eta, w = _inhibited(drive, s, leak, reset, refractory, decay, current, raises)
            decided = ((w >= threshold) & within).to(s.dtype)
            unsettled = tl.max((decided != s).to(tl.int32))
            s = decided
            taken += 1
        most = tl.maximum(most, taken)
        tl.store(spikes + begin + step, s, mask=within)
        tl.store(potentials + begin + step, w, mask=within)
        membrane = _at(u - reset * s, CHUNK - 1)
        current = _at(decay * eta + refractory * s, CHUNK - 1)
    tl.store(iterations + row, most)


@triton.jit
def _backward_kernel(
    grad,
    spikes,
    potentials,
    parameters,
    grad_x,
    grad_parameters,
    channels,
    length,
    resets: tl.constexpr,
    raises: tl.constexpr,
    surrogate: tl.constexpr,
    spread: tl.constexpr,
):
    row, rows = tl.program_id(0), tl.num_programs(0)
    leak, threshold, refractory, decay = parameters_of(parameters, row, channels)
    reset = threshold if resets else 0.0 * threshold
    begin = row.to(tl.int64) * length
    next_u, next_current, next_trace, next_past = 0.0 * leak, 0.0 * leak, 0.0 * leak, 0.0 * leak
    zero = tl.zeros([1, CHUNK], tl.float64)  # sums over the whole sequence
    by_leak, by_z, by_reset, by_refractory, by_trace, by_past = zero, zero, zero, zero, zero, zero
    start = (tl.cdiv(length, CHUNK) - 1) * CHUNK
    for _ in range(0, length, CHUNK):
        step = start + tl.arange(0, CHUNK)[None, :]
        w = _earlier(potentials + begin, step, 0, length)
        past = _earlier(spikes + begin, step, 1, length)
        before_past = _earlier(spikes + begin, step, 2, length)
        of_z = _earlier(grad + begin, step, 0, length) * density(w / threshold - 1.0, surrogate, spread)
        of_w = of_z / threshold
        of_u = _scan(of_w, leak, next_u, True)
        of_current = _scan(-of_w if raises else -of_u, decay, next_current, True)
        # current_t = refractory * sum_j decay^j s_(t-1-j), so filtering an adjoint again stands in for storing it
        trace = _scan(of_current, decay, next_trace, True)
        tl.store(grad_x + begin + step, of_u, mask=step < length)
        after_reset = _earlier(potentials + begin, step, 1, length) - reset * past
        by_leak += (of_u * after_reset).to(tl.float64)
        by_z += (of_z * w).to(tl.float64)
        by_reset += (of_u * past).to(tl.float64)
        by_refractory += (of_current * past).to(tl.float64)
        by_trace += (trace * before_past).to(tl.float64)
        if raises:  # the membrane potential is w and the current
            past_trace = _scan(of_u, decay, next_past, True)
            by_past += (past_trace * before_past).to(tl.float64)
            next_past = _at(past_trace, 0)
        next_u, next_current, next_trace = _at(of_u, 0), _at(of_current, 0), _at(trace, 0)
        start -= CHUNK
    place = grad_parameters + row
    tl.store(place, tl.sum(by_leak) + refractory * tl.sum(by_past))
    tl.store(place + rows, -tl.sum(by_z) / threshold / threshold - (leak * tl.sum(by_reset) if resets else 0.0))
    tl.store(place + 2 * rows, tl.sum(by_refractory))
    tl.store(place + 3 * rows, refractory * tl.sum(by_trace))


def solve(x: Tensor, parameters: Tensor, rules: Rules) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes and potentials of contiguous x [B, H, L], parameters [4, H], and the most iterations of a chunk, []."""
    batch, channels, length = x.shape
    spikes, potentials = torch.empty_like(x), torch.empty_like(x)
    iterations = x.new_empty(batch * channels, dtype=torch.int64)
    with torch.cuda.device_of(x):
        _certify_kernel[batch * channels,](
            x,
            parameters,
            spikes,
            potentials,
            iterations,
            channels,
            length,
            resets=rules.reset == "soft",
            raises=rules.raises_threshold,
            **LAUNCH,
        )
    return spikes, potentials, iterations.amax()


def backward(
    grad: Tensor, spikes: Tensor, potentials: Tensor, parameters: Tensor, rules: Rules
) -> tuple[Tensor, Tensor]:
    """Gradients of x [B, H, L] and of the parameters [4, H], given contiguous spikes and potentials [B, H, L]."""
    batch, channels, length = grad.shape
    grad_x, per_row = torch.empty_like(grad), grad.new_empty(4, batch * channels)
    with torch.cuda.device_of(grad):
        _backward_kernel[batch * channels,](
            grad,
            spikes,
            potentials,
            parameters,
            grad_x,
            per_row,
            channels,
            length,
            resets=rules.reset == "soft",
            raises=rules.raises_threshold,
            surrogate=rules.surrogate,
            spread=rules.surrogate_width,
            **LAUNCH,
        )
    return grad_x, per_row.view(4, batch, channels).sum(1)
