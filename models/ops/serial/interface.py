"""The entry to the serial neurons: the readable loop, which runs on every device, and the choice of a solver."""

from __future__ import annotations

import torch
from torch import Tensor

from spike_ssm.models.ops.checks import check_finite
from spike_ssm.models.ops.once import refuse_forward_mode
from spike_ssm.models.ops.precision import without_autocast
from spike_ssm.models.ops.serial.dynamics import DYNAMICS, Rules, State
from spike_ssm.models.ops.serial.fused import solve_fused
from spike_ssm.models.ops.surrogate import spike

SOLVERS = ("auto", "sequential", "fused")


def check_solver(solver: str) -> None:
    """Raise ValueError unless there is such a solver."""
    if solver not in SOLVERS:
        raise ValueError(f"solver {solver!r} does not exist; choose one of {', '.join(SOLVERS)}.")


def serial(
    x: Tensor,
    parameters: Tensor,
    neuron: str,
    rules: Rules = Rules(),
    solver: str = "auto",
    *,
    keep_potential: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Spikes [B, H, L] in x's dtype, and where asked for the potentials, detached, in at least float32.

    x: input [B, H, L], finite; half precision is computed in float32.
    parameters: [P, H], those of `DYNAMICS[neuron]` in its order.
    solver: `sequential`, the loop; `fused`, one pass forward and one back, on a CPU; `auto` is the fastest there is.

    Raises ValueError for x that is not finite, on a CPU, and for `fused` elsewhere.
    """
    check_solver(solver)
    if solver == "fused" and x.device.type != "cpu":
        raise ValueError(f"solver='fused' of {neuron} has kernels for the CPU, but x is on {x.device}; use 'auto'.")
    dtype = x.dtype if x.dtype == torch.float64 else torch.float32
    with without_autocast(x):
        given, parameters = x.to(dtype), parameters.to(dtype)
        if solver == "sequential" or x.device.type != "cpu":
            spikes, potential = solve_sequential(given, parameters, neuron, rules)
            last, potential = potential[..., -1:], potential.detach()
        else:
            refuse_forward_mode(given, parameters)
            spikes, potential, states = solve_fused(given, parameters, keep_potential, neuron, *rules)
            last = states[-1:]
    check_finite(last)
    return spikes.to(x.dtype), potential if keep_potential else None


def start(x: Tensor, neuron: str) -> State:
    """The state of `neuron` before its first step x [B, H]."""
    return tuple(torch.zeros_like(x) for _ in range(DYNAMICS[neuron].states))


def step(x: Tensor, state: State, parameters: Tensor, neuron: str) -> tuple[Tensor, State]:
    """Spikes [B, H] of one time step x [B, H] and the state after it: the same as `serial` gives for the sequence.

    parameters: [P, H] in x's dtype. Nothing is differentiated.
    """
    dynamics, each = DYNAMICS[neuron], parameters.unbind()
    potential, state = dynamics.charge(x, state, each)
    spikes = (potential >= each[0]).to(x.dtype)
    return spikes, dynamics.after(state, spikes, each)


def solve_sequential(x: Tensor, parameters: Tensor, neuron: str, rules: Rules) -> tuple[Tensor, Tensor]:
    """Spikes and potentials, both [B, H, L], by the equations as they stand; gradients by autograd, on any device.

    Every other solver must reproduce these. x: [B, H, L], parameters: [P, H].
    """
    each, (_, states, charge, after) = parameters.unbind(), DYNAMICS[neuron]
    state: State = (x.new_zeros(x.shape[:2]),) * states
    spikes, potentials = [], []
    for x_t in x.unbind(-1):
        potential, state = charge(x_t, state, each)
        s = spike(potential, each[0], rules.surrogate, rules.surrogate_width)
        spikes.append(s)
        potentials.append(potential)
        state = after(state, s.detach() if rules.detach_reset else s, each)
    if not spikes:
        return x.clone(), x.clone()  # no step, no spike
    return torch.stack(spikes, -1), torch.stack(potentials, -1)
