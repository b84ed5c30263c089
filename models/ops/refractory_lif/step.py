"""The neuron one step at a time, for streaming; the spikes are those of the whole sequence."""

from __future__ import annotations

import importlib

import torch
from torch import Tensor

from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ops.refractory_lif.sequential import after_spike


def step(x: Tensor, parameters: Tensor, rules: Rules, before: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes [B, H] of one step x [B, H], and the state after it.

    parameters: [4, H], as `stack_parameters` gives them. before: the state before it, [2, B, H]: the potential after
    reset and the refractory current, zeros at first. Nothing is differentiated.
    """
    if x.device.type == "cpu":
        kernels = importlib.import_module("spike_ssm.models.ops.refractory_lif.step_cpu")
        return kernels.step(x, parameters, rules, before)  # type: ignore[no-any-return]
    (leak, threshold, refractory, decay), (after_reset, current) = parameters, before
    u = leak * after_reset + x
    u = u if rules.raises_threshold else u - current
    spikes = ((u - current if rules.raises_threshold else u) >= threshold).to(x.dtype)
    return spikes, torch.stack((after_spike(u, spikes, threshold, rules.reset), decay * current + refractory * spikes))
