"""The scan as an operator with a kernel family per device, scan_cpu.py (numba) and scan_triton.py.

Each family has, for contiguous x and grad [B, H, L] and the other arguments as in `scan`,

    forward(x, affine, lengths, dt_a, weights, skip) -> y
    backward(grad, x, affine, lengths, dt_a, weights, skip) -> gradients of x, affine, dt_a, weights and skip

Nothing but its arguments is kept for the backward. On a GPU `scan` has applied affine and lengths, which are None.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.ops.checks import check_lengths
from spike_ssm.models.ops.once import once, refuse_forward_mode
from spike_ssm.models.ops.precision import without_autocast

_FAMILIES = {"cpu": "scan_cpu", "cuda": "scan_triton"}
_ARGUMENTS = "Tensor x, Tensor? affine, Tensor? lengths, Tensor dt_a, Tensor weights, Tensor skip"
_GRADIENTS = "(Tensor, Tensor, Tensor, Tensor, Tensor)"
_DEVICES = ("CPU", "CUDA")

# Defined from schemas, not by torch.library.custom_op, whose wrapper takes as long as a short sequence.
torch.library.define("spike_ssm::scan", f"({_ARGUMENTS}) -> Tensor")
torch.library.define("spike_ssm::scan_backward", f"(Tensor grad, {_ARGUMENTS}) -> {_GRADIENTS}")
_scan = torch.ops.spike_ssm.scan.default
_backward = torch.ops.spike_ssm.scan_backward.default


def scan(
    x: Tensor,
    dt_a: Tensor,
    weights: Tensor,
    skip: Tensor,
    *,
    affine: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """Output [B, H, L], in the precision of skip, of x [B, H, L], which is 0 beyond its ends.

    A diagonal state space model as a recurrence, to be differentiated once; sequential.py has its equations.

    dt_a: step size times A, [H, N], real, or complex for one of each conjugate pair.
    weights: C times the discretised B, likewise real or complex, [directions, H, N], for one direction or two.
    skip: D, [H], float32 or float64, in which all is computed.
    affine: scale and shift [2, H] of each channel, which x goes through first, see `entering`.
    lengths: integers [B], the examples' steps beyond which x is taken as 0, after the shift; None: it has no end.

    Raises ValueError for a device without a kernel and for other lengths, and TypeError for another precision.
    """
    if x.device.type not in _FAMILIES:
        raise ValueError(
            f"The scan has kernels for {' and '.join(_FAMILIES)}, but x is on {x.device}; set model.convolution=fft."
        )
    if skip.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"The scan computes in float32 or float64, but its parameters are {skip.dtype}; set model.convolution=fft."
        )
    if lengths is not None:
        check_lengths(lengths, len(x), x.shape[2], least=0)
    refuse_forward_mode(x, dt_a, weights, skip, affine)
    with without_autocast(x):
        x = x.to(skip.dtype)
        if x.device.type != "cpu":
            x, affine, lengths = entering(x, affine, lengths), None, None
        return _scan(x, affine, lengths, dt_a, weights, skip)  # type: ignore[no-any-return]


def entering(x: Tensor, affine: Tensor | None, lengths: Tensor | None) -> Tensor:
    """What is scanned, [B, H, L]: x times its channel's scale, plus its shift, and 0 beyond an example's length."""
    if affine is not None:
        x = x * affine[0, :, None] + affine[1, :, None]
    if lengths is not None:
        x = x * (torch.arange(x.shape[-1], device=x.device) < lengths[:, None])[:, None]
    return x


def _kernels(x: Tensor) -> Any:
    """Kernel family of x's device, imported when first needed: numba and Triton take a second each."""
    return importlib.import_module(f"spike_ssm.models.ssm.scan.{_FAMILIES[x.device.type]}")


@torch.library.impl("spike_ssm::scan", _DEVICES)
def _(x, *others):
    return _kernels(x).forward(x.contiguous(), *others) if x.numel() else torch.empty_like(x)


@torch.library.impl("spike_ssm::scan_backward", _DEVICES)
def _(grad, x, affine, lengths, *model):
    if x.numel():
        return _kernels(x).backward(grad.contiguous(), x.contiguous(), affine, lengths, *model)
    return no_gradients(x, *model)


def no_gradients(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Gradients of x, of its affine map and of all others, as if nothing had come of them."""
    return torch.zeros_like(x), x.new_zeros(2, x.shape[1]), *map(torch.zeros_like, others)


@torch.library.register_fake("spike_ssm::scan")
def _(x, *_others):
    return x.new_empty(x.shape)


@torch.library.register_fake("spike_ssm::scan_backward")
def _(grad, x, affine, lengths, *model):
    return no_gradients(x, *model)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


@once
def _run_backward(ctx, grad):
    by_x, by_affine, *others = _backward(grad, *ctx.saved_tensors)
    return by_x, by_affine if ctx.needs_input_grad[1] else None, None, *others


torch.library.register_autograd("spike_ssm::scan", _run_backward, setup_context=_setup_context)
