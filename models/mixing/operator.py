"""The mixing of channels, its gate and the residual as one operator on a CPU, with kernels in mixing_cpu.py.

They have, for contiguous x, residual and grad and the other arguments as in `gated_mixing`,

    forward(x, weight, bias, residual) -> output
    backward(grad, x, weight, bias) -> gradients of x, weight and bias

Nothing but its arguments is kept for the backward; the residual's gradient is that of the output.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import glu

from spike_ssm.models.ops.once import once, refuse_forward_mode
from spike_ssm.models.ops.precision import without_autocast

_ARGUMENTS = "Tensor x, Tensor weight, Tensor bias"

torch.library.define("spike_ssm::gated_mixing", f"({_ARGUMENTS}, Tensor? residual) -> Tensor")
torch.library.define("spike_ssm::gated_mixing_backward", f"(Tensor grad, {_ARGUMENTS}) -> (Tensor, Tensor, Tensor)")
_gated_mixing = torch.ops.spike_ssm.gated_mixing.default
_backward = torch.ops.spike_ssm.gated_mixing_backward.default


def gated_mixing(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None = None) -> Tensor:
    """Output [B, H, L] of x [B, N, L]: residual + z1 sigmoid(z2), where z1 and z2 are halves of weight x + bias.

    On a CPU it is in the weight's precision, float32 or float64, also under autocast, and to be differentiated once;
    elsewhere, and in other precisions, torch's own operators compute it.

    A step's output has the same bits whatever sequence and batch it is in, for it is computed in this order:

        z = bias, then z = fma(weight[:, n], x[n], z) for n = 0, 1, ... N - 1
        output = z1 * sigmoid(z2), as models/ops/sigmoid.py computes it, then output + residual

    weight: [2H, N], the rows of z1 before those of z2.
    bias: [2H].
    residual: [B, H, L], or None for none.

    Raises ValueError for other shapes.
    """
    _check_shapes(x, weight, bias, residual)
    if x.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
        return gated(mixed(x, weight, bias), residual)
    refuse_forward_mode(x, weight, bias, residual)
    with without_autocast(x):
        residual = None if residual is None else residual.to(weight.dtype)
        return _gated_mixing(x.to(weight.dtype), weight, bias, residual)  # type: ignore[no-any-return]


def mixed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Product weight x + bias, [B, M, L], of x [B, N, L], weight [M, N] and bias [M], by torch."""
    batch = len(x)
    return torch.baddbmm(bias[:, None].expand(batch, -1, 1), weight.expand(batch, -1, -1), x)


def gated(z: Tensor, residual: Tensor | None) -> Tensor:
    """The residual, if there is one, plus z1 sigmoid(z2), [B, H, L], of z [B, 2H, L], by torch."""
    output = glu(z, dim=1)
    return output if residual is None else residual + output


def _check_shapes(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None) -> None:
    if x.ndim == 3 and weight.ndim == 2 and weight.shape[1] == x.shape[1] and bias.shape == weight.shape[:1]:
        wanted = len(x), len(weight) / 2, x.shape[2]
        if wanted[1].is_integer() and (residual is None or residual.shape == wanted):
            return
    given = ", ".join(str(list(each.shape)) for each in (x, weight, bias, residual) if each is not None)
    raise ValueError(
        f"The gated mixing takes x [B, N, L], weight [2H, N], bias [2H] and a residual [B, H, L] or None, not {given}."
    )


def _kernels() -> Any:
    """The kernels, imported when first needed: numba takes a second."""
    return importlib.import_module("spike_ssm.models.mixing.mixing_cpu")


@torch.library.impl("spike_ssm::gated_mixing", "CPU")
def _(x, weight, bias, residual):
    residual = None if residual is None else residual.contiguous()
    return _kernels().forward(x.contiguous(), weight, bias, residual)


@torch.library.impl("spike_ssm::gated_mixing_backward", "CPU")
def _(grad, x, weight, bias):
    return _kernels().backward(grad.contiguous(), x.contiguous(), weight, bias)


@torch.library.register_fake("spike_ssm::gated_mixing")
def _(x, weight, bias, residual):
    return x.new_empty(len(x), len(weight) // 2, x.shape[2])


@torch.library.register_fake("spike_ssm::gated_mixing_backward")
def _(grad, *inputs):
    return tuple(each.new_empty(each.shape) for each in inputs)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:3])
    ctx.adds = inputs[3] is not None


@once
def _run_backward(ctx, grad):
    return *_backward(grad, *ctx.saved_tensors), grad if ctx.adds else None


torch.library.register_autograd("spike_ssm::gated_mixing", _run_backward, setup_context=_setup_context)
