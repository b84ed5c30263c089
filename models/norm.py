"""Normalisation over real tokens of [B, H, L]; `mask` [B, 1, L] is True there, None when no token is padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spike_ssm.models.distributed import batch_is_shared, sum_over_parts
from spike_ssm.models.operations import Operations
from spike_ssm.models.ops.statistics import batch_norm, channel_statistics
from spike_ssm.models.recomputation import is_again
from spike_ssm.models.ssm.scan.operator import entering


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch norm whose statistics, running ones included, never see padding, and see all parts of a shared batch."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalised x, [B, H, L] -> [B, H, L], garbage at padding; mask [B, 1, L] or None."""
        if not (self.training and _here_alone(x)):
            return entering(x, self.scale_and_shift(x, mask), None)
        lengths, count = _steps(x, mask)
        y, mean, variance = batch_norm(x, lengths, self.weight, self.bias, self.eps)
        self._follow(mean, variance, count)
        return y

    def scale_and_shift(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The scale and the shift of each channel, [2, H], that normalise x [B, H, L]; mask [B, 1, L] or None."""
        assert self.running_mean is not None
        assert self.running_var is not None
        mean, variance = self._statistics(x, mask) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.stack((scale, self.bias - mean * scale))

    def _statistics(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel, [H] each, which the running ones follow."""
        if _here_alone(x):
            lengths, count = _steps(x, mask)
            mean, variance = channel_statistics(x, lengths)
        else:
            mask = x.new_ones(x.shape[0], 1, x.shape[2]) if mask is None else mask
            count = sum_over_parts(mask.sum().to(x.dtype))
            mean = sum_over_parts((x * mask).sum((0, 2))) / count
            variance = sum_over_parts(((x - mean[:, None]).square() * mask).sum((0, 2))) / count
        self._follow(mean.detach(), variance.detach(), count)
        return mean, variance

    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Let the running statistics follow those of a batch of `count` steps, once."""
        if is_again():
            return
        unbiased = variance * count / (count - 1).clamp(min=1)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)


def _here_alone(x: Tensor) -> bool:
    """Whether all of the batch is here, and on a CPU, which has operators for it."""
    return x.device.type == "cpu" and not batch_is_shared()


def _steps(x: Tensor, mask: Tensor | None) -> tuple[Tensor | None, Tensor]:
    """Real steps of each example [B], None if all are, and of all together."""
    lengths = None if mask is None else mask.sum((1, 2))
    return lengths, torch.tensor(x.shape[0] * x.shape[2]) if lengths is None else lengths.sum()


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels of each token, so padding cannot matter."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002 (one signature for all norms)
        """Normalised x, [B, H, L] -> [B, H, L]; mask [B, 1, L] or None."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class NoNorm(nn.Module):
    """The place of a norm in a network that has none: SpikingSSMs' post-norm networks compute theirs and drop it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002 (one signature for all norms)
        """Give x back."""
        return x


Norm = MaskedBatchNorm | ChannelLayerNorm | NoNorm

NORMS: dict[str, type[Norm]] = {"batch": MaskedBatchNorm, "layer": ChannelLayerNorm, "none": NoNorm}
"""Norms by name, each made from the number of channels."""


def norm_operations(norm: Norm, channels: int) -> Operations:
    """Operations of a norm per token: a scale and a shift of each channel."""
    return Operations() if isinstance(norm, NoNorm) else Operations(channels)
