"""Mean and variance of each channel over the real steps of a batch, and their norm, as operators for the CPU.

A channel of a batch fits into the second cache, so that memory is read but once (statistics_cpu.py).
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.ops.checks import check_lengths
from spike_ssm.models.ops.once import once, refuse_forward_mode

torch.library.define("spike_ssm::channel_statistics", "(Tensor x, Tensor? lengths) -> (Tensor, Tensor)")
torch.library.define(
    "spike_ssm::channel_statistics_backward",
    "(Tensor by_mean, Tensor by_variance, Tensor x, Tensor? lengths, Tensor mean) -> Tensor",
)
torch.library.define(
    "spike_ssm::batch_norm",
    "(Tensor x, Tensor? lengths, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor, Tensor)",
)
torch.library.define(
    "spike_ssm::batch_norm_backward",
    "(Tensor grad, Tensor x, Tensor? lengths, Tensor weight, Tensor mean, Tensor variance, float eps)"
    " -> (Tensor, Tensor, Tensor)",
)
_statistics = torch.ops.spike_ssm.channel_statistics.default
_backward = torch.ops.spike_ssm.channel_statistics_backward.default
_batch_norm = torch.ops.spike_ssm.batch_norm.default
_batch_norm_backward = torch.ops.spike_ssm.batch_norm_backward.default


def channel_statistics(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and variance (that of the steps, not an estimate of more) of x [B, H, L] on a CPU, [H] each.

    lengths: integers [B], each example's real steps, at most L; None: all are real. To be differentiated once.
    """
    _check(x, lengths, x)
    return _statistics(x, lengths)  # type: ignore[no-any-return]


def batch_norm(
    x: Tensor, lengths: Tensor | None, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised x [B, H, L] on a CPU, 0 where no step is real, and what it is normalised by, `channel_statistics`.

    It is scaled by weight / sqrt(variance + eps), weight [H], and shifted to mean 0 and then by bias [H]. To be
    differentiated once, its first result alone.
    """
    _check(x, lengths, x, weight, bias)
    return _batch_norm(x, lengths, weight, bias, eps)  # type: ignore[no-any-return]


def _check(x: Tensor, lengths: Tensor | None, *differentiable: Tensor) -> None:
    refuse_forward_mode(*differentiable)
    if lengths is not None:
        check_lengths(lengths, len(x), x.shape[2], least=0)


def _kernels() -> Any:
    """The kernels, imported when first needed: numba takes a second."""
    return importlib.import_module("spike_ssm.models.ops.statistics_cpu")


@torch.library.impl("spike_ssm::channel_statistics", "CPU")
def _(x, lengths):
    return _kernels().statistics(x.contiguous(), lengths)


@torch.library.impl("spike_ssm::channel_statistics_backward", "CPU")
def _(by_mean, by_variance, x, lengths, mean):
    return _kernels().statistics_backward(by_mean, by_variance, x.contiguous(), lengths, mean)


@torch.library.register_fake("spike_ssm::channel_statistics")
def _(x, lengths):
    return x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


@torch.library.register_fake("spike_ssm::channel_statistics_backward")
def _(by_mean, by_variance, x, lengths, mean):
    return x.new_empty(x.shape)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*inputs, output[0])


@once
def _run_backward(ctx, by_mean, by_variance):
    return _backward(by_mean, by_variance, *ctx.saved_tensors), None


torch.library.register_autograd("spike_ssm::channel_statistics", _run_backward, setup_context=_setup_context)


@torch.library.impl("spike_ssm::batch_norm", "CPU")
def _(x, lengths, weight, bias, eps):
    return _kernels().batch_norm(x.contiguous(), lengths, weight, bias, eps)


@torch.library.impl("spike_ssm::batch_norm_backward", "CPU")
def _(grad, x, *others):
    return _kernels().batch_norm_backward(grad.contiguous(), x.contiguous(), *others)


@torch.library.register_fake("spike_ssm::batch_norm")
def _(x, lengths, weight, bias, eps):
    return x.new_empty(x.shape), torch.empty_like(weight), torch.empty_like(weight)


@torch.library.register_fake("spike_ssm::batch_norm_backward")
def _(grad, x, lengths, weight, mean, variance, eps):
    return x.new_empty(x.shape), torch.empty_like(weight), torch.empty_like(weight)


def _setup_norm(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:3], *output[1:])
    ctx.eps = inputs[4]
    ctx.mark_non_differentiable(*output[1:])


@once
def _run_norm_backward(ctx, grad, *_):
    by_x, by_weight, by_bias = _batch_norm_backward(grad, *ctx.saved_tensors, ctx.eps)
    return by_x, None, by_weight, by_bias, None


torch.library.register_autograd("spike_ssm::batch_norm", _run_norm_backward, setup_context=_setup_norm)
