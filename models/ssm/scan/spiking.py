"""A scan and the integrate-and-fire neuron that it drives as one operator.

The kernels, on a CPU so far (spiking_cpu.py), have for contiguous x and grad [B, H, L], the parameters [4, H] of the
neuron (leak, threshold, refractory, decay) and the other arguments as in `scan`

    forward(x, affine, lengths, dt_a, weights, skip, parameters, rules) -> spikes, states
    backward(grad, x, affine, lengths, states, dt_a, weights, skip, parameters, rules)
        -> gradients of x, affine, dt_a, weights, skip and parameters

`states` are what the kernels keep of the neurons for the backward, every 64 steps; what the neurons are given is
computed again.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.ops.checks import check_finite, check_lengths
from spike_ssm.models.ops.once import once, refuse_forward_mode
from spike_ssm.models.ops.precision import without_autocast
from spike_ssm.models.ops.refractory_lif.parameters import Rules, stack_parameters
from spike_ssm.models.ssm.scan.operator import no_gradients

_INPUTS = "Tensor x, Tensor? affine, Tensor? lengths"
_MODEL = "Tensor dt_a, Tensor weights, Tensor skip, Tensor parameters"
_RULES = "str reset, bool raises_threshold, str surrogate, float surrogate_width, bool detach_reset"
_GRADIENTS = "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"

torch.library.define("spike_ssm::spiking_scan", f"({_INPUTS}, {_MODEL}, {_RULES}) -> (Tensor, Tensor)")
torch.library.define(
    "spike_ssm::spiking_scan_backward", f"(Tensor grad, {_INPUTS}, Tensor states, {_MODEL}, {_RULES}) -> {_GRADIENTS}"
)
_spiking_scan = torch.ops.spike_ssm.spiking_scan.default
_backward = torch.ops.spike_ssm.spiking_scan_backward.default


def spiking_scan(
    x: Tensor,
    dt_a: Tensor,
    weights: Tensor,
    skip: Tensor,
    neuron: tuple[Tensor, Tensor, Tensor, Tensor],
    rules: Rules,
    *,
    affine: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """Spikes [B, H, L] of the neurons that `scan(x, dt_a, weights, skip, affine=affine, lengths=lengths)` is given to.

    neuron: leak, threshold, refractory and decay, [H] each, as `models.ops.refractory_lif.refractory_lif` explains
    them, which also says what raises ValueError.
    """
    if lengths is not None:
        check_lengths(lengths, len(x), x.shape[2], least=0)
    with without_autocast(x):
        x = x.to(skip.dtype)
        parameters = stack_parameters(*neuron, x, skip.dtype)
        refuse_forward_mode(x, affine, dt_a, weights, skip, parameters)
        spikes, states = _spiking_scan(x, affine, lengths, dt_a, weights, skip, parameters, *rules)
    check_finite(states[:, -1:])
    return spikes  # type: ignore[no-any-return]


def _kernels() -> Any:
    """The kernels, imported when first needed: numba takes a second."""
    return importlib.import_module("spike_ssm.models.ssm.scan.spiking_cpu")


@torch.library.impl("spike_ssm::spiking_scan", "CPU")
def _(x, affine, lengths, *others):
    if x.numel() == 0:
        return torch.empty_like(x), x.new_empty(0, 1, 2, 0)
    return _kernels().forward(x.contiguous(), affine, lengths, *others[:4], Rules(*others[4:]))


@torch.library.impl("spike_ssm::spiking_scan_backward", "CPU")
def _(grad, x, affine, lengths, states, *others):
    model, rules = others[:4], Rules(*others[4:])
    if x.numel() == 0:
        return no_gradients(x, *model)
    return _kernels().backward(grad.contiguous(), x.contiguous(), affine, lengths, states, *model, rules)


@torch.library.register_fake("spike_ssm::spiking_scan")
def _(x, *_others):
    return x.new_empty(x.shape), _kernels().states_like(x)


@torch.library.register_fake("spike_ssm::spiking_scan_backward")
def _(grad, x, affine, lengths, states, *others):
    return no_gradients(x, *others[:4])


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:3], output[1], *inputs[3:7])
    ctx.rules = inputs[7:]
    ctx.mark_non_differentiable(output[1])


@once
def _run_backward(ctx, grad, _):
    by_x, by_affine, *others = _backward(grad, *ctx.saved_tensors, *ctx.rules)
    return (by_x, by_affine if ctx.needs_input_grad[1] else None, None, *others, *(None,) * 5)


torch.library.register_autograd("spike_ssm::spiking_scan", _run_backward, setup_context=_setup_context)
