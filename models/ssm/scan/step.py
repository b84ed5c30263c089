"""A causal scan one step at a time: on a CPU with the numbers of the whole scan, bit for bit (step_cpu.py)."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from torch import Tensor

from spike_ssm.models.ssm.scan.operator import entering


class _State(NamedTuple):
    """State between steps where there is no kernel: states [B, H, N], and the model, which stays."""

    states: Tensor
    model: tuple[Tensor | None, Tensor, Tensor, Tensor]


def start(x: Tensor, affine: Tensor | None, dt_a: Tensor, weights: Tensor, skip: Tensor) -> Any:
    """The state before the first step of x [B, H], with the model of `scan` and weights of one direction [1, H, N]."""
    if x.device.type == "cpu":
        return _kernels().start(x, affine, dt_a, weights, skip)
    return _State(dt_a.new_zeros(len(x), *dt_a.shape), (affine, dt_a.exp(), weights[0], skip))


def step(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Output [B, H] of one step x [B, H], and the state after it; nothing is differentiated."""
    if not isinstance(state, _State):
        return _kernels().step(x, state)  # type: ignore[no-any-return]
    affine, kept, weights, skip = state.model
    x = entering(x[..., None], affine, None)[..., 0]
    states = kept * state.states + x[..., None]
    y = (weights * states).sum(-1)
    return (2 * y.real if y.is_complex() else y) + skip * x, _State(states, state.model)


def _kernels() -> Any:
    """The kernels, imported when first needed: numba takes a second."""
    return importlib.import_module("spike_ssm.models.ssm.scan.step_cpu")
