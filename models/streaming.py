"""Blocks one time step at a time: the spikes of the whole sequence, on a CPU bit for bit, elsewhere up to rounding.

Where all parts of a block have kernels, one kernel computes its step (step_cpu.py); else its parts do, in turn.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire
from spike_ssm.models.norm import MaskedBatchNorm, NoNorm


class StateOfParts(NamedTuple):
    """State of a block between steps: the block, the states of its SSM and, by place, its neurons, and its spikes."""

    block: Any
    parts: dict[str, Any]
    spikes: Tensor | None


def start(block: Any, x: Tensor) -> Any:
    """The state of a block before its first step x [B, H], with the parameters of now.

    Raises ValueError for a block that cannot be streamed, as `S4D.start` does.
    """
    neuron, norm = block.neuron, block.norm
    watched = block.observers or any(map(has_hooks, (norm, block.ssm, block.mixing, neuron)))
    alone = list(block.neurons) == ["after_ssm"] and block.mixing.fused
    if watched or not alone or x.device.type != "cpu" or not isinstance(neuron, IntegrateAndFire):
        return StateOfParts(block, {}, None)
    if not isinstance(norm, (MaskedBatchNorm, NoNorm)):
        return StateOfParts(block, {}, None)
    affine = norm.scale_and_shift(x[..., None]) if isinstance(norm, MaskedBatchNorm) else None
    entering, leaving = (affine, None) if block.prenorm else (None, affine)
    kernels = importlib.import_module("spike_ssm.models.step_cpu")
    weight, bias, parameters = block.mixing.weight[..., 0], block.mixing.bias, neuron.stacked_parameters(x)
    return kernels.start(x, block.ssm.start(x, entering), parameters, neuron.rules, weight, bias, leaving)


def step(x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Output [B, H] of one step x [B, H] of a block, and the state after it; nothing is differentiated."""
    return _step_of_parts(x, state) if isinstance(state, StateOfParts) else state.step(x)


@torch.no_grad()
def _step_of_parts(x: Tensor, state: StateOfParts) -> tuple[Tensor, StateOfParts]:
    block, after = state.block, dict[str, Any]()

    def fired(place: str, x: Tensor) -> Tensor:
        if place in block.neurons:
            x, after[place] = block.neurons[place].step(x, state.parts.get(place))
        return x

    def normed(x: Tensor) -> Tensor:
        return block.norm(x[..., None], None)[..., 0]  # type: ignore[no-any-return]

    enters = fired("before_ssm", normed(x) if block.prenorm else x)
    membrane_input, after["ssm"] = block.ssm.step(enters, state.parts.get("ssm"))
    spikes = fired("after_ssm", membrane_input)
    x = x + fired("after_mixing", block.mixing.gated(spikes[..., None])[..., 0])
    return x if block.prenorm else normed(x), StateOfParts(block, after, spikes)


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody wants to see what the module is given or gives."""
    return bool(module._forward_hooks or module._forward_pre_hooks)
