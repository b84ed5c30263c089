"""The entry to the refractory LIF operator: checks its arguments and runs a solver."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.ops.checks import check_finite
from spike_ssm.models.ops.once import refuse_forward_mode
from spike_ssm.models.ops.precision import without_autocast
from spike_ssm.models.ops.refractory_lif.fused import solve_fused
from spike_ssm.models.ops.refractory_lif.options import Options, check_options, choose_solver, log_choice
from spike_ssm.models.ops.refractory_lif.parameters import Rules, stack_parameters
from spike_ssm.models.ops.refractory_lif.pmbc import solve_pmbc
from spike_ssm.models.ops.refractory_lif.sequential import solve_sequential


class Solution(NamedTuple):
    """Spikes that a solver found, with its potentials and statistics."""

    spikes: Tensor  # [B, H, L] in x's dtype, differentiable
    potential: Tensor | None  # [B, H, L] detached, float32 or float64, where asked for
    undetermined: Tensor  # [] fraction of positions PMBC's paper mode left undetermined; 0 for exact solvers
    iterations: Tensor  # [] PMBC's iterations (the most of any chunk when certified); 0 for other solvers


def refractory_lif(
    x: Tensor,
    leak: float | Tensor,
    threshold: float | Tensor,
    refractory: float | Tensor,
    decay: float | Tensor,
    *,
    reset: str = "soft",
    raises_threshold: bool = False,
    solver: str = "auto",
    max_iterations: int | None = None,
    resolve: str = "midpoint",
    surrogate: str = "piecewise_quadratic",
    surrogate_width: float = 1.0,
    detach_reset: bool = True,
    return_potential: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Spikes of a leaky integrate-and-fire neuron with reset and a refractory current.

        eta_t = decay * eta_{t-1} + refractory * s_{t-1}
        u_t   = leak * (u_{t-1} - threshold * s_{t-1}) + x_t - eta_t
        s_t   = 1 if u_t >= threshold else 0

    Args:
        x: input [B, H, L], floating point, finite; half precision is computed in float32.
        leak: fraction of the membrane potential kept per step, in (0, 1); this and the next three are floats or [H].
        threshold: firing threshold, > 0 (at least 1e-30), in units of potential.
        refractory: refractory magnitude, >= 0, in units of potential; 0 is the plain LIF.
        decay: fraction of the refractory current kept per step, in [0, 1).
        reset: `soft` as above; `none` leaves the potential as it is; `hard` sets it to 0.
        raises_threshold: the current raises the threshold, s_t = 1 if u_t - eta_t >= threshold, instead of entering
            the membrane: an adaptive threshold.
        solver: `sequential` (the reference), `pmbc` (not for a hard reset), `fused`, or `auto`. They agree as
            models/ops/agreement.py defines it.
        max_iterations: PMBC's paper mode: this number of iterations over the whole sequence, >= 1. An approximation.
        resolve: what paper mode makes of undetermined positions: `midpoint`, `silent` or `fire`.
        surrogate: name in `models.ops.surrogate.SURROGATES`.
        surrogate_width: its half-width, > 0, in units of the normalised potential.
        detach_reset: spikes inside the reset and refractory terms are constants to the gradient; False is full
            backpropagation through time (sequential and fused).
        return_potential: also return the potentials [B, H, L] that were compared with `threshold`, detached.

    Returns: spikes [B, H, L] of 0 and 1 in x's dtype, or (spikes, potentials).

    Raises: TypeError or ValueError with a sentence that says what is allowed.

    Source: arXiv 2410.17268; the refractory current's form is our reading (docs/method.md).
    """
    rules = Rules(reset, raises_threshold, surrogate, surrogate_width, detach_reset)
    options = Options(rules, solver, max_iterations, resolve)
    found = solve(x, leak, threshold, refractory, decay, options, return_potential=return_potential)
    return found.spikes if found.potential is None else (found.spikes, found.potential)


def solve(
    x: Tensor,
    leak: float | Tensor,
    threshold: float | Tensor,
    refractory: float | Tensor,
    decay: float | Tensor,
    options: Options = Options(),
    *,
    return_potential: bool = False,
) -> Solution:
    """`refractory_lif` with everything a solver found. Arguments and errors as there."""
    check_options(options)
    if x.dim() != 3 or not x.is_floating_point():
        raise TypeError(f"x must be a floating-point tensor [B, H, L], but it is {x.dtype} {list(x.shape)}.")
    name = choose_solver(options, x)
    if options.solver == "auto" and not torch.compiler.is_compiling():
        log_choice(x.device.type, name)
    dtype = x.dtype if x.dtype == torch.float64 else torch.float32
    with without_autocast(x):  # bounds and potentials need the full precision
        parameters = stack_parameters(leak, threshold, refractory, decay, x, dtype)
        found, told = _run(name, x.to(dtype), parameters, options, return_potential)
    check_finite(told)
    if found.spikes.dtype != x.dtype:
        found = found._replace(spikes=found.spikes.to(x.dtype))
    return found if return_potential or found.potential is None else found._replace(potential=None)


def _run(name: str, x: Tensor, parameters: Tensor, options: Options, keep_potential: bool) -> tuple[Solution, Tensor]:
    """Solution of the solver `name`, and values that are finite only if the input was and no potential overflowed."""
    potential: Tensor
    exact = x.new_zeros((), dtype=torch.float64)
    if name != "sequential":
        refuse_forward_mode(x, parameters)
    if name == "pmbc":
        spikes, potential, undetermined, iterations = solve_pmbc(
            x, parameters, options.max_iterations, options.resolve, *options.rules
        )
        # all of them: its sums of the past let a step forget an overflow, which the recursion does not
        return Solution(spikes, potential, undetermined, iterations), potential
    if name == "fused":
        spikes, potential, states = solve_fused(x, parameters, keep_potential, *options.rules)
        return Solution(spikes, potential if keep_potential else None, exact, exact), states[-1:]
    leak, threshold, refractory, decay = parameters
    spikes, potential = solve_sequential(x, leak, threshold, refractory, decay, options.rules)
    potential = potential.detach()
    return Solution(spikes, potential, exact, exact.long()), potential[..., -1:]
