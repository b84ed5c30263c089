"""The scan as an operator with a kernel family per device, scan_cpu.py (numba) and scan_triton.py.

Each family has, for contiguous x and grad [B, H, L] and the other arguments as in `scan`,

    forward(x, dt_a, weights, skip) -> y
    backward(grad, x, dt_a, weights, skip) -> gradients of x, dt_a, weights and skip

Nothing but its arguments is kept for the backward.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

_FAMILIES = {"cpu": "scan_cpu", "cuda": "scan_triton"}
_ARGUMENTS = "Tensor x, Tensor dt_a, Tensor weights, Tensor skip"
_DEVICES = ("CPU", "CUDA")

# Defined from schemas, not by torch.library.custom_op, whose wrapper takes as long as a short sequence.
torch.library.define("spike_ssm::scan", f"({_ARGUMENTS}) -> Tensor")
torch.library.define("spike_ssm::scan_backward", f"(Tensor grad, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor)")
_scan = torch.ops.spike_ssm.scan.default
_backward = torch.ops.spike_ssm.scan_backward.default


def scan(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> Tensor:
    """Output [B, H, L], in the precision of skip, of x [B, H, L], which is 0 beyond its ends.

    A diagonal state space model as a recurrence, to be differentiated once; sequential.py has its equations.

    dt_a: step size times A, [H, N], real, or complex for one of each conjugate pair.
    weights: C times the discretised B, likewise real or complex, [directions, H, N], for one direction or two.
    skip: D, [H], float32 or float64, in which all is computed.

    Raises ValueError for a device without a kernel, and TypeError for another precision.
    """
    if x.device.type not in _FAMILIES:
        raise ValueError(
            f"The scan has kernels for {' and '.join(_FAMILIES)}, but x is on {x.device}; set model.convolution=fft."
        )
    if skip.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"The scan computes in float32 or float64, but its parameters are {skip.dtype}; set model.convolution=fft."
        )
    with torch.autocast(x.device.type, enabled=False):
        return _scan(x.to(skip.dtype), dt_a, weights, skip)  # type: ignore[no-any-return]


def _kernels(x: Tensor) -> Any:
    """Kernel family of x's device, imported when first needed: numba and Triton take a second each."""
    return importlib.import_module(f"spike_ssm.models.ssm.scan.{_FAMILIES[x.device.type]}")


@torch.library.impl("spike_ssm::scan", _DEVICES)
def _(x, dt_a, weights, skip):
    return _kernels(x).forward(x.contiguous(), dt_a, weights, skip) if x.numel() else torch.empty_like(x)


@torch.library.impl("spike_ssm::scan_backward", _DEVICES)
def _(grad, x, *parameters):
    if x.numel():
        return _kernels(x).backward(grad.contiguous(), x.contiguous(), *parameters)
    return x.new_empty(x.shape), *map(torch.zeros_like, parameters)


@torch.library.register_fake("spike_ssm::scan")
def _(x, dt_a, weights, skip):
    return x.new_empty(x.shape)


@torch.library.register_fake("spike_ssm::scan_backward")
def _(grad, x, *parameters):
    return x.new_empty(x.shape), *(each.new_empty(each.shape) for each in parameters)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def _run_backward(ctx, grad):
    return _backward(grad, *ctx.saved_tensors)


torch.library.register_autograd("spike_ssm::scan", _run_backward, setup_context=_setup_context)
