"""The equations of the serial neurons, one time step at a time; x, potentials and states are [B, H], parameters [H].

`brf`, balanced resonate-and-fire, Higuchi et al. 2024 (arXiv 2402.14603), the state and its threshold divided by dt,
with kept = sqrt(1 - rotation^2) - dt b_offset, rotation = dt omega and damping = dt:

    k_t = kept - damping q_{t-1}
    u_t = k_t u_{t-1} - rotation v_{t-1} + x_t
    v_t = rotation u_{t-1} + k_t v_{t-1}
    s_t = 1 if u_t - threshold q_{t-1} >= threshold else 0
    q_t = decay q_{t-1} + s_t

`tc_lif`, two-compartment LIF, Zhang et al. 2024 (arXiv 2308.13250), `dendrite` and `soma` being -beta_1 and beta_2:

    a_t = a'_{t-1} - dendrite b'_{t-1} + x_t
    b_t = b'_{t-1} + soma a_t
    s_t = 1 if b_t >= threshold else 0
    a'_t = a_t - taken s_t,  b'_t = b_t - threshold s_t

Their codes ask for > where >= stands here, `tc_lif`'s with one of its surrogates only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

State = tuple[Tensor, ...]
"""Numbers that a neuron keeps between steps, each [B, H]; 0 at first."""


class Rules(NamedTuple):
    """Rules of the gradient: a name in `models.ops.surrogate.SURROGATES`, its half-width > 0 in thresholds, the reset.

    detach_reset: spikes that act on the next step are constants to the gradient; False is full backpropagation
    through time.
    """

    surrogate: str = "piecewise_quadratic"
    surrogate_width: float = 1.0
    detach_reset: bool = False


class Dynamics(NamedTuple):
    """A neuron's equations: the names of its parameters, the threshold first, how many states, and its two halves.

    charge(x, state, parameters) -> (what is compared with the threshold, the state before any spike).
    after(state, spikes, parameters) -> the state after them.
    """

    parameters: tuple[str, ...]
    states: int
    charge: Callable[[Tensor, State, Sequence[Tensor]], tuple[Tensor, State]]
    after: Callable[[State, Tensor, Sequence[Tensor]], State]


def _resonate(x: Tensor, state: State, parameters: Sequence[Tensor]) -> tuple[Tensor, State]:
    (u, v, q), (threshold, kept, rotation, damping, _) = state, parameters
    k = kept - damping * q
    u, v = k * u - rotation * v + x, rotation * u + k * v
    return u - threshold * q, (u, v, q)


def _tire(state: State, spikes: Tensor, parameters: Sequence[Tensor]) -> State:
    u, v, q = state
    return u, v, parameters[4] * q + spikes


def _charge_compartments(x: Tensor, state: State, parameters: Sequence[Tensor]) -> tuple[Tensor, State]:
    (a, b), (_, dendrite, soma, _) = state, parameters
    a = a - dendrite * b + x
    b = b + soma * a
    return b, (a, b)


def _reset_compartments(state: State, spikes: Tensor, parameters: Sequence[Tensor]) -> State:
    (a, b), (threshold, _, _, taken) = state, parameters
    return a - taken * spikes, b - threshold * spikes


DYNAMICS: dict[str, Dynamics] = {
    "brf": Dynamics(("threshold", "kept", "rotation", "damping", "decay"), 3, _resonate, _tire),
    "tc_lif": Dynamics(("threshold", "dendrite", "soma", "taken"), 2, _charge_compartments, _reset_compartments),
}
"""Neuron -> its equations. The order is the numbering that compiled kernels use."""
