"""The fused solver of the serial neurons: one pass over time forward, one backward with the gradients of all inputs.

Its kernels are for the CPU (fused_cpu.py, numba):

    forward(x, parameters, neuron, spikes, potential, states), which fills the last three
    backward(grad, x, states, parameters, neuron, ...) -> gradients of x and, per row, of the parameters [P, B * H]

`states` [S, K, B * H] are a neuron's K numbers after every `STEPS_PER_STATE` steps and the last; backward computes all
between anew from them, bit for bit.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch

from spike_ssm.models.ops.once import once
from spike_ssm.models.ops.refractory_lif.states import STEPS_PER_STATE
from spike_ssm.models.ops.serial.dynamics import DYNAMICS

_RULES = "str neuron, str surrogate, float surrogate_width, bool detach_reset"


def _kernels() -> Any:
    """The kernels, imported when first needed: numba takes a second."""
    return importlib.import_module("spike_ssm.models.ops.serial.fused_cpu")


torch.library.define(
    "spike_ssm::serial", f"(Tensor x, Tensor parameters, bool keep_potential, {_RULES}) -> (Tensor, Tensor, Tensor)"
)
torch.library.define(
    "spike_ssm::serial_backward",
    f"(Tensor grad, Tensor x, Tensor states, Tensor parameters, {_RULES}) -> (Tensor, Tensor)",
)
solve_fused = torch.ops.spike_ssm.serial.default
_backward = torch.ops.spike_ssm.serial_backward.default


@torch.library.impl("spike_ssm::serial", "CPU")
def _(x, parameters, keep_potential, neuron, *rules):
    spikes, potential, states = _like_outputs(x, parameters, keep_potential, neuron)
    if x.numel():
        _kernels().forward(x.contiguous(), parameters.contiguous(), neuron, spikes, potential, states)
    return spikes, potential, states


@torch.library.impl("spike_ssm::serial_backward", "CPU")
def _(grad, x, states, parameters, *rules):
    if x.numel() == 0:
        return x.new_empty(x.shape), torch.zeros_like(parameters)
    given = grad.contiguous(), x.contiguous(), states, parameters.contiguous()
    grad_x, per_row = _kernels().backward(*given, *rules)
    return grad_x, per_row.view(len(parameters), *x.shape[:2]).sum(1)


@torch.library.register_fake("spike_ssm::serial")
def _like_outputs(x, parameters, keep_potential, neuron, *rules):
    steps = STEPS_PER_STATE["cpu"]
    states = x.new_empty((x.shape[2] + steps - 1) // steps, DYNAMICS[neuron].states, x.shape[0] * x.shape[1])
    return x.new_empty(x.shape), x.new_empty(x.shape if keep_potential else (0, *x.shape[1:])), states


@torch.library.register_fake("spike_ssm::serial_backward")
def _(grad, x, states, parameters, *rules):
    return x.new_empty(x.shape), parameters.new_empty(parameters.shape)


def _setup_context(ctx, inputs, output):
    x, parameters, _, *rules = inputs
    ctx.save_for_backward(x, output[2], parameters)
    ctx.rules = rules
    ctx.mark_non_differentiable(*output[1:])


@once
def _run_backward(ctx, grad_spikes, *_):
    return (*_backward(grad_spikes, *ctx.saved_tensors, *ctx.rules), *(None,) * 5)


torch.library.register_autograd("spike_ssm::serial", _run_backward, setup_context=_setup_context)
