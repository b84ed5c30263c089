"""The fused solver: one pass over time forward, one backward with the gradients of all five inputs.

One operator with a kernel family per device, fused_cpu.py (numba) and fused_triton.py. Each family has

    forward(x, parameters, rules, keep_potential) -> spikes, potentials, states
    backward(grad, x, states, parameters, rules) -> gradients of x [B, H, L] and, per row, of the parameters [4, B * H]

for contiguous x and grad [B, H, L] and parameters [4, H] (leak, threshold, refractory, decay). `states` [S, 2, B * H]
are the membrane potential after reset and the refractory current after every `STEPS_PER_STATE` steps and after the
last; backward computes potentials and spikes anew from them, bit for bit, so nothing else of size L is kept.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.ops.once import once
from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ops.refractory_lif.states import states_like


def _kernels(x: Tensor) -> Any:
    """Kernel family of x's device, imported when first needed: numba and Triton take a second each."""
    if x.device.type == "cpu":
        return importlib.import_module("spike_ssm.models.ops.refractory_lif.fused_cpu")
    return importlib.import_module("spike_ssm.models.ops.refractory_lif.fused_triton")


_RULES = "str reset, bool raises_threshold, str surrogate, float surrogate_width, bool detach_reset"
_DEVICES = ("CPU", "CUDA")

# Defined from schemas, not by torch.library.custom_op, whose wrapper takes as long as a short sequence.
torch.library.define(
    "spike_ssm::refractory_lif_fused",
    f"(Tensor x, Tensor parameters, bool keep_potential, {_RULES}) -> (Tensor, Tensor, Tensor)",
)
torch.library.define(
    "spike_ssm::refractory_lif_fused_backward",
    f"(Tensor grad, Tensor x, Tensor states, Tensor parameters, {_RULES}) -> (Tensor, Tensor)",
)
solve_fused = torch.ops.spike_ssm.refractory_lif_fused.default
_backward = torch.ops.spike_ssm.refractory_lif_fused_backward.default


@torch.library.impl("spike_ssm::refractory_lif_fused", _DEVICES)
def _(x, parameters, keep_potential, *rules):
    if x.numel() == 0:
        return _like_outputs(x, parameters, keep_potential)
    return _kernels(x).forward(x.contiguous(), parameters, Rules(*rules), keep_potential)


@torch.library.impl("spike_ssm::refractory_lif_fused_backward", _DEVICES)
def _(grad, x, states, parameters, *rules):
    if x.numel() == 0:
        return x.new_empty(x.shape), torch.zeros_like(parameters)
    grad_x, per_row = _kernels(x).backward(grad.contiguous(), x.contiguous(), states, parameters, Rules(*rules))
    return grad_x, per_row.view(4, *x.shape[:2]).sum(1)


@torch.library.register_fake("spike_ssm::refractory_lif_fused")
def _like_outputs(x, parameters, keep_potential, *rules):
    return x.new_empty(x.shape), x.new_empty(x.shape if keep_potential else (0, *x.shape[1:])), states_like(x)


@torch.library.register_fake("spike_ssm::refractory_lif_fused_backward")
def _(grad, x, states, parameters, *rules):
    return x.new_empty(x.shape), parameters.new_empty(parameters.shape)


def _setup_context(ctx, inputs, output):
    x, parameters, _, *rules = inputs
    ctx.save_for_backward(x, output[2], parameters)
    ctx.rules = rules
    ctx.mark_non_differentiable(*output[1:])


@once
def _run_backward(ctx, grad_spikes, *_):
    return (*_backward(grad_spikes, *ctx.saved_tensors, *ctx.rules), *(None,) * 6)


torch.library.register_autograd("spike_ssm::refractory_lif_fused", _run_backward, setup_context=_setup_context)
