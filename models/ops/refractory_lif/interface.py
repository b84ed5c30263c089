"""The entry to the refractory LIF operator: checks its arguments and picks a solver."""

from __future__ import annotations

import functools
import logging
import math
from typing import NamedTuple

import torch
from torch import Tensor

from models.ops.refractory_lif.parameters import Parameters, expand_parameters
from models.ops.refractory_lif.pmbc import RESOLUTIONS, solve_pmbc
from models.ops.refractory_lif.sequential import solve_sequential
from models.ops.surrogate import SURROGATES

SOLVERS = ("auto", "sequential", "pmbc", "fused")

_log = logging.getLogger(__name__)


class Solution(NamedTuple):
    """What a solver found."""

    spikes: Tensor  # [B, H, L] in x's dtype, differentiable
    potential: Tensor  # [B, H, L] detached, float32 or float64
    undetermined: Tensor  # [] fraction of positions PMBC's paper mode left undetermined; 0 for exact solvers
    iterations: Tensor  # [] PMBC's iterations (the most of any chunk when certified); 0 for other solvers


def refractory_lif(
    x: Tensor,
    leak: float | Tensor,
    threshold: float | Tensor,
    refractory: float | Tensor,
    decay: float | Tensor,
    *,
    solver: str = "auto",
    max_iterations: int | None = None,
    resolve: str = "midpoint",
    surrogate: str = "piecewise_quadratic",
    surrogate_width: float = 1.0,
    detach_reset: bool = True,
    return_potential: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Spikes of a leaky integrate-and-fire neuron with soft reset and a refractory current.

        eta_t = decay * eta_{t-1} + refractory * s_{t-1}
        u_t   = leak * (u_{t-1} - threshold * s_{t-1}) + x_t - eta_t
        s_t   = 1 if u_t >= threshold else 0

    Args:
        x: input [B, H, L], floating point, finite; half precision is computed in float32.
        leak: fraction of the membrane potential kept per step, in (0, 1); this and the next three are floats or [H].
        threshold: firing threshold, > 0, in units of potential.
        refractory: refractory magnitude, >= 0, in units of potential; 0 is the plain LIF.
        decay: fraction of the refractory current kept per step, in [0, 1).
        solver: `sequential` (the reference), `pmbc`, `fused` (CPU), or `auto`. They agree as
            models/ops/agreement.py defines it.
        max_iterations: PMBC's paper mode: so many iterations over the whole sequence. An approximation.
        resolve: what paper mode makes of undetermined positions: `midpoint`, `silent` or `fire`.
        surrogate: name in `models.ops.surrogate.SURROGATES`.
        surrogate_width: its half-width, > 0, in units of the normalised potential.
        detach_reset: spikes inside the reset and refractory terms are constants to the gradient; False is full
            backpropagation through time (sequential and fused).
        return_potential: also return the potentials u [B, H, L], detached.

    Returns: spikes [B, H, L] of 0 and 1 in x's dtype, or (spikes, potentials).

    Raises: TypeError or ValueError with a sentence that says what is allowed.

    Source: arXiv 2410.17268; the refractory current's form is our reading (docs/method.md).
    """
    found = solve(
        x,
        leak,
        threshold,
        refractory,
        decay,
        solver=solver,
        max_iterations=max_iterations,
        resolve=resolve,
        surrogate=surrogate,
        surrogate_width=surrogate_width,
        detach_reset=detach_reset,
    )
    return (found.spikes, found.potential) if return_potential else found.spikes


def solve(
    x: Tensor,
    leak: float | Tensor,
    threshold: float | Tensor,
    refractory: float | Tensor,
    decay: float | Tensor,
    *,
    solver: str = "auto",
    max_iterations: int | None = None,
    resolve: str = "midpoint",
    surrogate: str = "piecewise_quadratic",
    surrogate_width: float = 1.0,
    detach_reset: bool = True,
) -> Solution:
    """`refractory_lif` with everything a solver found. Arguments and errors as there."""
    check_options(solver, max_iterations, resolve, surrogate, surrogate_width, detach_reset)
    _check_input(x, solver)
    name = solver
    if solver == "auto":
        name = _choose(x.device.type, max_iterations is not None, detach_reset)
        if not torch.compiler.is_compiling():
            _log_choice(x.device.type, name)
    dtype = x.dtype if x.dtype == torch.float64 else torch.float32
    parameters = expand_parameters(leak, threshold, refractory, decay, x, dtype)
    work = x.to(dtype)
    with torch.autocast(x.device.type, enabled=False):  # bounds and potentials need the full precision
        found = _run(name, work, parameters, max_iterations, resolve, surrogate, surrogate_width, detach_reset)
    _check_finite(found.potential)
    return found._replace(spikes=found.spikes.to(x.dtype))


def _run(
    name: str,
    x: Tensor,
    parameters: Parameters,
    max_iterations: int | None,
    resolve: str,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> Solution:
    if name == "pmbc":
        spikes, potential, undetermined, iterations = solve_pmbc(
            x, *parameters, max_iterations, resolve, surrogate, surrogate_width
        )
        return Solution(spikes, potential, undetermined, iterations)
    if name == "fused":
        from models.ops.refractory_lif.fused_cpu import solve_fused  # numba takes a second to import

        spikes, potential = solve_fused(x, *parameters, surrogate, surrogate_width, detach_reset)
    else:
        spikes, potential = solve_sequential(x, *parameters, surrogate, surrogate_width, detach_reset)
    exact = torch.zeros((), dtype=torch.float64, device=x.device)
    return Solution(spikes, potential.detach(), exact, exact.long())


def _choose(device: str, approximate: bool, detach_reset: bool) -> str:
    """The fastest solver that can do what is asked (python -m benchmarks.neuron)."""
    if approximate:
        return "pmbc"
    if device == "cpu":
        return "fused"
    return "pmbc" if detach_reset else "sequential"


@functools.cache
def _log_choice(device: str, name: str) -> None:
    """Cached, so each choice is logged once."""
    _log.info("refractory_lif on %s: solver=auto runs %s", device, name)


def check_options(
    solver: str,
    max_iterations: int | None,
    resolve: str,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> None:
    """Raise ValueError unless the options of `refractory_lif` exist, are in range and go together."""
    for label, value, allowed in (
        ("solver", solver, SOLVERS),
        ("surrogate", surrogate, tuple(SURROGATES)),
        ("resolve", resolve, RESOLUTIONS),
    ):
        if value not in allowed:
            raise ValueError(f"{label} {value!r} does not exist; choose one of {', '.join(allowed)}.")
    if not (surrogate_width > 0 and math.isfinite(surrogate_width)):
        raise ValueError(f"surrogate_width must be a positive number, but it is {surrogate_width}.")
    if max_iterations is not None and max_iterations < 1:
        raise ValueError(f"max_iterations must be at least 1, but it is {max_iterations}; None means exact spikes.")
    if max_iterations is not None and solver not in ("auto", "pmbc"):
        raise ValueError(
            f"max_iterations is an option of solver='pmbc'; solver {solver!r} is exact. Leave one of them out."
        )
    if not detach_reset and (solver == "pmbc" or max_iterations is not None):
        raise ValueError(
            "The pmbc solver has no gradient through the reset; with detach_reset=False use solver='fused' (CPU) "
            "or solver='sequential', without max_iterations."
        )


def _check_input(x: Tensor, solver: str) -> None:
    if x.dim() != 3 or not x.is_floating_point():
        raise TypeError(f"x must be a floating-point tensor [B, H, L], but it is {x.dtype} {list(x.shape)}.")
    if solver == "fused" and x.device.type != "cpu":
        raise ValueError(f"solver='fused' runs on the CPU only for now, but x is on {x.device}; use 'auto' or 'pmbc'.")


def _check_finite(potential: Tensor) -> None:
    """NaN and infinity never leave a membrane that leaks by a factor, so the last potential tells of the input.

    Not asked of a GPU, which would have to stop for the answer.
    """
    if potential.device.type != "cpu" or torch.compiler.is_compiling() or potential.numel() == 0:
        return
    if not torch.isfinite(potential[..., -1]).all():
        raise ValueError(
            "The neuron's input x holds NaN or infinite values (or its potential overflowed). "
            "Look at the layer before: a learning rate that is too high is the usual reason."
        )
