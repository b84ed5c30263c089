"""Mean and variance of each channel over the real steps of a batch, as one operator that reads its input once."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

torch.library.define("spike_ssm::channel_statistics", "(Tensor x, Tensor? lengths) -> (Tensor, Tensor)")
torch.library.define(
    "spike_ssm::channel_statistics_backward",
    "(Tensor by_mean, Tensor by_variance, Tensor x, Tensor? lengths, Tensor mean) -> Tensor",
)
_statistics = torch.ops.spike_ssm.channel_statistics.default
_backward = torch.ops.spike_ssm.channel_statistics_backward.default


def channel_statistics(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and variance (that of the steps, not an estimate of more) of x [B, H, L] on a CPU, [H] each.

    lengths: integers [B], each example's real steps, at most L; None: all are real. To be differentiated once.
    """
    return _statistics(x, lengths)  # type: ignore[no-any-return]


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


def _run_backward(ctx, by_mean, by_variance):
    return _backward(by_mean, by_variance, *ctx.saved_tensors), None


torch.library.register_autograd("spike_ssm::channel_statistics", _run_backward, setup_context=_setup_context)
