"""The fused solver: one pass over time forward, one backward with the gradients of all five inputs.

One operator with a kernel family a device, fused_cpu.py (numba) and fused_triton.py. Each family has

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

from models.ops.refractory_lif.parameters import Rules
from models.ops.refractory_lif.states import states_like


def _kernels(x: Tensor) -> Any:
    """The kernel family of x's device, imported when first needed: numba and Triton take a second each."""
    if x.device.type == "cpu":
        return importlib.import_module("models.ops.refractory_lif.fused_cpu")
    return importlib.import_module("models.ops.refractory_lif.fused_triton")


@torch.library.custom_op("spike_ssm::refractory_lif_fused", mutates_args=())
def solve_fused(
    x: Tensor,
    leak: Tensor,
    threshold: Tensor,
    refractory: Tensor,
    decay: Tensor,
    keep_potential: bool,
    reset: str,
    raises_threshold: bool,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes [B, H, L], potentials [B, H, L] (or [0, H, L]) and states of x, float32 or float64; parameters [H]."""
    rules = Rules(reset, raises_threshold, surrogate, surrogate_width, detach_reset)
    if x.numel() == 0:
        return x.new_empty(x.shape), x.new_empty(x.shape if keep_potential else (0, *x.shape[1:])), states_like(x)
    parameters = torch.stack((leak, threshold, refractory, decay))
    return _kernels(x).forward(x.contiguous(), parameters, rules, keep_potential)  # type: ignore[no-any-return]


@torch.library.custom_op("spike_ssm::refractory_lif_fused_backward", mutates_args=())
def _backward(
    grad: Tensor,
    x: Tensor,
    states: Tensor,
    leak: Tensor,
    threshold: Tensor,
    refractory: Tensor,
    decay: Tensor,
    reset: str,
    raises_threshold: bool,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of x [B, H, L] and of the four parameters [4, H]."""
    rules = Rules(reset, raises_threshold, surrogate, surrogate_width, detach_reset)
    parameters = torch.stack((leak, threshold, refractory, decay))
    if x.numel() == 0:
        return x.new_empty(x.shape), torch.zeros_like(parameters)
    grad_x, per_row = _kernels(x).backward(grad.contiguous(), x.contiguous(), states, parameters, rules)
    return grad_x, per_row.view(4, *x.shape[:2]).sum(1)


@solve_fused.register_fake
def _(x, leak, threshold, refractory, decay, keep_potential, *rules):
    return x.new_empty(x.shape), x.new_empty(x.shape if keep_potential else (0, *x.shape[1:])), states_like(x)


@_backward.register_fake
def _(grad, x, states, leak, threshold, refractory, decay, *rules):
    return x.new_empty(x.shape), leak.new_empty(4, *leak.shape)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(inputs[0], output[2], *inputs[1:5])
    ctx.rules = inputs[6:]
    ctx.mark_non_differentiable(*output[1:])


def _run_backward(ctx, grad_spikes, *_):
    grad_x, grad_parameters = _backward(grad_spikes, *ctx.saved_tensors, *ctx.rules)
    return (grad_x, *grad_parameters, *(None,) * 6)


solve_fused.register_autograd(_run_backward, setup_context=_setup_context)
