"""The S4D kernel without the array [H, N, L] of powers that its formula asks for.

k_t = 2 Re sum_n w_n e^(a_n t), for real states without the 2 Re. With t = T i + j a power is a product,
e^(a T i) e^(a j), so that about sqrt(L) powers of each kind are enough, and the sum over states is a matrix product:
memory O(H N sqrt(L)), on any device, and gradients follow from the same formula. (Ours; Gu et al. 2022,
arXiv 2206.11893, hold all powers.)

Few steps on a CPU are one operator instead (kernel_cpu.py): there the operators on small arrays are what takes time.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.ops.once import once, refuse_forward_mode
from spike_ssm.models.ops.precision import without_autocast

_FEW = 16

SHORT = 64
"""Most steps of a kernel that a CPU computes with all powers of a channel at once."""

torch.library.define("spike_ssm::short_kernel", "(Tensor dt_a, Tensor weights, SymInt length) -> Tensor")
torch.library.define(
    "spike_ssm::short_kernel_backward", "(Tensor grad, Tensor dt_a, Tensor weights) -> (Tensor, Tensor)"
)
_short_kernel = torch.ops.spike_ssm.short_kernel.default
_backward = torch.ops.spike_ssm.short_kernel_backward.default


def s4d_kernel(dt_a: Tensor, weights: Tensor, length: int) -> Tensor:
    """Convolution kernels of diagonal state space models, to be differentiated once.

    Args:
        dt_a: step size times A, [H, N], real, or complex for one of each conjugate pair; real parts below 0.
        weights: C times the discretised B, likewise real or complex, [D, H, N], for each of D directions.
        length: L, at least 1.

    Returns: kernels [D, H, L], real. Powers are computed in double precision: in single, the phase of a fast state is
    off by 0.01 after 16,384 steps.
    """
    if length <= SHORT and dt_a.device.type == "cpu":
        refuse_forward_mode(dt_a, weights)
        return _short_kernel(dt_a, weights, length)  # type: ignore[no-any-return]
    directions, channels, _ = weights.shape
    steps = 2 ** round(math.log2(math.sqrt(directions * length)))
    stretches = math.ceil(length / steps)
    with without_autocast(dt_a):
        within = _powers(dt_a, 1, steps)
        begins = weights[..., None] * _powers(dt_a, steps, stretches)
        if dt_a.is_complex():
            begins = 2 * torch.cat((begins.real, -begins.imag), 2)
            within = torch.cat((within.real, within.imag), 1)
        kernels = begins.permute(1, 0, 3, 2).reshape(channels, -1, within.shape[1]) @ within
    return kernels.view(channels, directions, -1)[..., :length].transpose(0, 1)


def _powers(dt_a: Tensor, stride: int, count: int) -> Tensor:
    """Powers e^(dt_a t) at t = 0, stride, ..., [H, N, count] in dt_a's precision: products again, if they are many."""
    if count <= _FEW:
        return _exact_powers(dt_a, stride, count)
    begins = _exact_powers(dt_a, stride * _FEW, math.ceil(count / _FEW))
    return (begins[..., None] * _exact_powers(dt_a, stride, _FEW)[..., None, :]).flatten(-2)[..., :count]


def _exact_powers(dt_a: Tensor, stride: int, count: int) -> Tensor:
    times = stride * torch.arange(count, device=dt_a.device, dtype=torch.float64)
    double = torch.complex128 if dt_a.is_complex() else torch.float64
    return torch.exp(dt_a.to(double)[..., None] * times).to(dt_a.dtype)


def _kernels() -> Any:
    """The kernels, imported when first needed: numba takes a second."""
    return importlib.import_module("spike_ssm.models.ssm.kernel_cpu")


@torch.library.impl("spike_ssm::short_kernel", "CPU")
def _(dt_a, weights, length):
    return _kernels().forward(dt_a, weights, length)


@torch.library.impl("spike_ssm::short_kernel_backward", "CPU")
def _(grad, dt_a, weights):
    return _kernels().backward(grad, dt_a, weights)


@torch.library.register_fake("spike_ssm::short_kernel")
def _(dt_a, weights, length):
    return weights.new_empty((*weights.shape[:2], length), dtype=weights.dtype.to_real())


@torch.library.register_fake("spike_ssm::short_kernel_backward")
def _(grad, dt_a, weights):
    return dt_a.new_empty(dt_a.shape), weights.new_empty(weights.shape)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:2])


@once
def _run_backward(ctx, grad):
    return *_backward(grad, *ctx.saved_tensors), None


torch.library.register_autograd("spike_ssm::short_kernel", _run_backward, setup_context=_setup_context)
