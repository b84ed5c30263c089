"""PMBC, parallel max-min boundary compression: spikes from bounds that tighten until they meet.

The potential that is compared with the threshold is u = k*x - kappa*s, with non-negative filters k and kappa and
kappa_0 = 0 (for every reset but the hard one, and for a current that raises the threshold too), so spikes bounded by
lower <= s <= upper bound it in turn: k*x - kappa*upper <= u <= k*x - kappa*lower. Each iteration applies one filter and
replaces one bound: upper from lower, then lower from that upper, and so on. Bounds only tighten, and by causality
each iteration settles at least one more step.

Certified mode goes through the sequence in chunks, iterates each until its bounds meet, and carries the exact state
(potential after reset, refractory current) on: the spikes equal the loop's. Paper mode (`max_iterations=M`) makes M
iterations over the whole sequence and resolves the undetermined rest by a rule (our reading): it is an approximation.

Filters are triangular matrix products of non-negative numbers within a chunk, with the state carried between chunks.
Rounding is monotone in such sums, so bounds never cross; an FFT would let them. Source: arXiv 2410.17268 (PMBC); the
chunks, the carried state and the certificate are ours.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.ops.once import once
from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ops.surrogate import surrogate_gradient

CHUNK = 32
RESOLUTIONS = ("midpoint", "silent", "fire")
"""Rules for an undetermined position: the decision at the middle of its bounds, no spike, or a spike."""


class _Filters(NamedTuple):
    """Filters of one chunk of C steps, its linear response; index [h, j, t] is the effect of step j on step t."""

    by_input: Tensor  # [H, C, C] leak^(t-j), of x on u
    by_spikes: Tensor  # [H, C, C] kappa_(t-j), of s on -u
    by_membrane: Tensor  # [H, C] leak^(t+1), of the carried membrane potential on u
    by_current: Tensor  # [H, C] of the carried refractory current on -u
    to_current: Tensor  # [H, C] refractory * decay^(C-2-j), of s on the refractory current of the last step
    current_kept: Tensor  # [H] decay^(C-1), of the carried refractory current on that
    decay: Tensor  # [H]
    refractory: Tensor  # [H]
    reset: Tensor  # [H] what a spike takes off the membrane potential
    threshold: Tensor  # [H]
    raises_threshold: bool


class _State(NamedTuple):
    """State that one chunk hands to the next, each [H, B]."""

    after_reset: Tensor  # membrane potential less the threshold where it fired
    current: Tensor  # refractory current of the next step


def _powers(base: Tensor, count: int) -> Tensor:
    """Powers base^0 .. base^(count-1), [H, count]."""
    factors = base[:, None].expand(-1, count).clone()
    factors[:, :1] = 1
    return factors.cumprod(1)


def _triangular(response: Tensor) -> Tensor:
    """Triangular matrices [H, C, C] from a response over lags 0..C-1 [H, C]."""
    steps = torch.arange(response.shape[1], device=response.device)
    lag = steps[None, :] - steps[:, None]
    return torch.where(lag >= 0, response[:, lag.clamp(min=0)], 0)


def _current_response(leak: Tensor, decay: Tensor, length: int, raises_threshold: bool) -> Tensor:
    """Response [H, length + 1]: what a unit of refractory current takes off the compared potential n steps later."""
    decay_powers = _powers(decay, length + 1)
    responses = [torch.zeros_like(leak)]
    for n in range(length):
        # filtered by the membrane, sum_j leak^(n-j) decay^(j-1); its closed form is 0/0 at leak = decay
        filtered = decay_powers[:, n] if raises_threshold else leak * responses[-1] + decay_powers[:, n]
        responses.append(filtered)
    return torch.stack(responses, 1)


def _filters(parameters: Tensor, rules: Rules, length: int) -> _Filters:
    leak, threshold, refractory, decay = parameters
    leak_powers, decay_powers = _powers(leak, length + 1), _powers(decay, length)
    current_response = _current_response(leak, decay, length, rules.raises_threshold)
    reset = threshold if rules.reset == "soft" else torch.zeros_like(threshold)
    kappa = reset[:, None] * leak_powers + refractory[:, None] * current_response
    kappa[:, 0] = 0  # a spike acts from the next step on
    to_current = torch.zeros_like(decay_powers)
    to_current[:, :-1] = refractory[:, None] * decay_powers[:, :-1].flip(1)
    return _Filters(
        by_input=_triangular(leak_powers[:, :length]),
        by_spikes=_triangular(kappa[:, :length]),
        by_membrane=leak_powers[:, 1:],
        by_current=current_response[:, 1:],
        to_current=to_current,
        current_kept=decay_powers[:, -1],
        decay=decay,
        refractory=refractory,
        reset=reset,
        threshold=threshold,
        raises_threshold=rules.raises_threshold,
    )


def _drive(x: Tensor, state: _State, filters: _Filters) -> Tensor:
    """The potentials [H, B, C] of a chunk in which nothing fires."""
    free = state.after_reset[..., None] * filters.by_membrane[:, None]
    return x @ filters.by_input + free - state.current[..., None] * filters.by_current[:, None]


def _advance(state: _State, spikes: Tensor, potential: Tensor, filters: _Filters) -> _State:
    """The state after a chunk with these spikes and potentials [H, B, C]."""
    s, u = spikes[..., -1], potential[..., -1]
    charge = (spikes @ filters.to_current[..., None]).squeeze(-1)
    current = filters.current_kept[:, None] * state.current + charge
    if filters.raises_threshold:
        u = u + current  # compared was the membrane potential less the current
    return _State(u - filters.reset[:, None] * s, filters.decay[:, None] * current + filters.refractory[:, None] * s)


def _fires(potential: Tensor, filters: _Filters) -> Tensor:
    return (potential >= filters.threshold[:, None, None]).to(potential.dtype)


def _certify(drive: Tensor, filters: _Filters) -> tuple[Tensor, Tensor, int]:
    """Exact spikes and potentials [H, B, C] of one chunk, and the iterations it took."""
    lower, upper = torch.zeros_like(drive), _fires(drive, filters)
    potential, iterations = drive, 1
    while not torch.equal(lower, upper):
        iterations += 1
        if iterations % 2:
            potential = drive - lower @ filters.by_spikes
            upper = _fires(potential, filters)
        else:
            potential = drive - upper @ filters.by_spikes
            lower = _fires(potential, filters)
    return lower, potential, iterations


class _Chunks:
    """x [B, H, L] cut into chunks of [H, B, C] (the last may be shorter), each with its filters."""

    def __init__(self, x: Tensor, parameters: Tensor, rules: Rules) -> None:
        self.inputs = x.transpose(0, 1).split(CHUNK, -1)
        by_length = {length: _filters(parameters, rules, length) for length in {c.shape[-1] for c in self.inputs}}
        self.filters = [by_length[chunk.shape[-1]] for chunk in self.inputs]
        self.start = _State(x.new_zeros(x.shape[1::-1]), x.new_zeros(x.shape[1::-1]))

    def replay(self, spikes: Tensor) -> Tensor:
        """Potentials k*x - kappa*spikes over the whole sequence; spikes and result [H, B, L]."""
        state, potentials = self.start, []
        for x, s, filters in zip(self.inputs, spikes.split(CHUNK, -1), self.filters, strict=True):
            potential = _drive(x, state, filters) - s @ filters.by_spikes
            state = _advance(state, s, potential, filters)
            potentials.append(potential)
        return torch.cat(potentials, -1)

    def certified(self) -> tuple[Tensor, Tensor, int]:
        """Exact spikes and potentials [H, B, L], and the most iterations any chunk took."""
        state, spikes, potentials, most = self.start, [], [], 0
        for x, filters in zip(self.inputs, self.filters, strict=True):
            s, potential, iterations = _certify(_drive(x, state, filters), filters)
            state = _advance(state, s, potential, filters)
            spikes.append(s)
            potentials.append(potential)
            most = max(most, iterations)
        return torch.cat(spikes, -1), torch.cat(potentials, -1), most

    def approximated(self, max_iterations: int, resolve: str) -> tuple[Tensor, Tensor, Tensor]:
        """Spikes after `max_iterations` over the whole sequence, their potentials, the undetermined positions."""
        filters = self.filters[0]
        lower = torch.cat([torch.zeros_like(chunk) for chunk in self.inputs], -1)
        upper = torch.ones_like(lower)
        for iteration in range(max_iterations):
            if iteration % 2 == 0:
                upper = _fires(self.replay(lower), filters)
            else:
                lower = _fires(self.replay(upper), filters)
        undetermined = lower != upper
        if resolve == "silent":
            spikes = lower
        elif resolve == "fire":
            spikes = upper
        else:
            spikes = torch.where(undetermined, _fires(self.replay((lower + upper) / 2), filters), lower)
        return spikes, self.replay(spikes), undetermined


@torch.library.custom_op("spike_ssm::refractory_lif_pmbc", mutates_args=())
def solve_pmbc(
    x: Tensor,
    parameters: Tensor,
    max_iterations: int | None,
    resolve: str,
    reset: str,
    raises_threshold: bool,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Spikes and potentials [B, H, L] of x [B, H, L] (parameters [4, H], of x's dtype), and two statistics.

    The statistics are the fraction of undetermined positions (float64) and the number of iterations (int64), the
    most that any chunk took when certified. The reset is soft or none, and detached.
    """
    undetermined, iterations = x.new_zeros((), dtype=torch.float64), x.new_zeros((), dtype=torch.int64)
    if x.numel() == 0:
        return x.new_empty(x.shape), x.new_empty(x.shape), undetermined, iterations
    rules = Rules(reset, raises_threshold, surrogate, surrogate_width, detach_reset)
    chunks = _Chunks(x, parameters, rules)
    if max_iterations is None:
        spikes, potential, most = chunks.certified()
        iterations += most
    else:
        spikes, potential, open_positions = chunks.approximated(max_iterations, resolve)
        undetermined += open_positions.double().mean()
        iterations += max_iterations
    return (
        spikes.transpose(0, 1).contiguous(),
        potential.transpose(0, 1).contiguous(),
        undetermined,
        iterations,
    )


def _scan_back(x: Tensor, kept: Tensor) -> Tensor:
    """Scan y_t = x_t + kept * y_(t+1) along the last axis of x [H, B, L]; kept [H]."""
    powers = _powers(kept, CHUNK + 1)
    matrix = _triangular(powers[:, :CHUNK]).transpose(1, 2)
    carry, pieces = x.new_zeros(x.shape[:2]), []
    for piece in reversed(x.split(CHUNK, -1)):
        length = piece.shape[-1]
        scanned = piece @ matrix[:, :length, :length]
        scanned = scanned + carry[..., None] * powers[:, None, 1 : length + 1].flip(-1)
        carry = scanned[..., 0]
        pieces.append(scanned)
    return torch.cat(pieces[::-1], -1)


def _following(x: Tensor) -> Tensor:
    """Values of each step's successor, zero after the last."""
    return torch.cat((x[..., 1:], torch.zeros_like(x[..., :1])), -1)


@torch.library.custom_op("spike_ssm::refractory_lif_pmbc_backward", mutates_args=())
def _backward(
    grad: Tensor,
    spikes: Tensor,
    potential: Tensor,
    parameters: Tensor,
    reset: str,
    raises_threshold: bool,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of x [B, H, L] and the parameters [4, H] with a detached reset: linear scans, given the spikes."""
    if grad.numel() == 0:
        return grad.new_empty(grad.shape), torch.zeros_like(parameters)
    leak, threshold, refractory, decay = parameters
    grad, s, w = (tensor.transpose(0, 1) for tensor in (grad, spikes, potential))
    v = threshold[:, None, None]
    by_z = grad * surrogate_gradient(w / v - 1, surrogate, surrogate_width)
    by_w = by_z / v
    by_u = _scan_back(by_w, leak)
    next_by_u = _following(by_u)
    next_by_current = _following(_scan_back(-(by_w if raises_threshold else by_u), decay))
    # current_t = refractory * sum_j decay^(t-1-j) s_j, so filtering an adjoint again stands in for storing it
    filtered_by_current = _scan_back(_following(next_by_current), decay)
    after_reset = w - v * s if reset == "soft" else w

    def total(terms: Tensor) -> Tensor:
        return terms.sum((1, 2))

    by_leak = total(next_by_u * after_reset)
    if raises_threshold:  # the membrane potential is w and the current
        by_leak += refractory * total(_following(_scan_back(next_by_u, decay)) * s)
    by_threshold = -total(by_z * w) / threshold**2
    if reset == "soft":
        by_threshold -= leak * total(next_by_u * s)
    by_refractory, by_decay = total(next_by_current * s), refractory * total(filtered_by_current * s)
    return by_u.transpose(0, 1).contiguous(), torch.stack((by_leak, by_threshold, by_refractory, by_decay))


@solve_pmbc.register_kernel("cuda")
def _(x, parameters, max_iterations, resolve, *rules):
    if max_iterations is not None or x.numel() == 0:
        return solve_pmbc._init_fn(x, parameters, max_iterations, resolve, *rules)
    kernels = importlib.import_module("spike_ssm.models.ops.refractory_lif.pmbc_triton")
    spikes, potential, iterations = kernels.solve(x.contiguous(), parameters, Rules(*rules))
    return spikes, potential, x.new_zeros((), dtype=torch.float64), iterations


@_backward.register_kernel("cuda")
def _(grad, spikes, potential, parameters, *rules):
    if grad.numel() == 0:
        return _backward._init_fn(grad, spikes, potential, parameters, *rules)
    kernels = importlib.import_module("spike_ssm.models.ops.refractory_lif.pmbc_triton")
    return kernels.backward(grad.contiguous(), spikes, potential, parameters, Rules(*rules))


@solve_pmbc.register_fake
def _(x, parameters, max_iterations, resolve, *rules):
    return (
        x.new_empty(x.shape),
        x.new_empty(x.shape),
        x.new_empty((), dtype=torch.float64),
        x.new_empty((), dtype=torch.int64),
    )


@_backward.register_fake
def _(grad, spikes, potential, parameters, *rules):
    return grad.new_empty(grad.shape), parameters.new_empty(parameters.shape)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*output[:2], inputs[1])
    ctx.rules = inputs[4:]
    ctx.mark_non_differentiable(*output[1:])


@once
def _run_backward(ctx, grad_spikes, *_):
    return (*_backward(grad_spikes, *ctx.saved_tensors, *ctx.rules), *(None,) * 7)


solve_pmbc.register_autograd(_run_backward, setup_context=_setup_context)
