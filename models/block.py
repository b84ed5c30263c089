"""The SPikE-SSM block: norm, S4D, neuron, dropout, gated mixing, residual.

Source: arXiv 2410.17268 and its sister arXiv 2408.14909; the placement of the neuron after the SSM is our reading.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import glu

from models.neurons import Neuron
from models.norm import ChannelLayerNorm, MaskedBatchNorm
from models.operations import Operations, linear
from models.ssm import S4D


class Observer(Protocol):
    """Is shown what the neuron of a block receives, detached, and sends, differentiable."""

    def add(self, x: Tensor, spikes: Tensor, mask: Tensor | None, undetermined: Tensor | None) -> None:
        """See `models.activity.LayerActivity.add`."""


class Block(nn.Module):
    """[B, H, L] -> [B, H, L]. No norm stands between SSM and neuron: the threshold would cease to be a gauge.

    prenorm: the norm acts on the block's input; else on the sum of residual and output.
    spikes_per_direction: the neuron, over 2H channels, sees the two directions of the SSM apart instead of their sum.
    """

    def __init__(
        self,
        ssm: S4D,
        neuron: Neuron,
        norm: MaskedBatchNorm | ChannelLayerNorm,
        *,
        channels: int,
        prenorm: bool,
        dropout: float,
        spikes_per_direction: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.prenorm = prenorm
        self.spikes_per_direction = spikes_per_direction
        self.norm = norm
        self.ssm = ssm
        self.neuron = neuron
        self.dropout = nn.Dropout(dropout)
        self.mixing = nn.Conv1d(neuron.channels, 2 * channels, kernel_size=1)
        self.observer: Observer | None = None

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, H, L]; mask [B, 1, L], True at real tokens, or None when there is no padding."""
        drive = self.norm(x, mask) if self.prenorm else x
        if mask is not None:
            drive = drive * mask  # the convolution reaches across padding
        membrane_input = self.ssm.by_direction(drive) if self.spikes_per_direction else self.ssm(drive)
        spikes = self.neuron(membrane_input)
        if self.observer is not None:
            self.observer.add(membrane_input.detach(), spikes, mask, self.neuron.undetermined)
        x = x + glu(self._mixed(self.dropout(spikes)), dim=1)
        return x if self.prenorm else self.norm(x, mask)

    def _mixed(self, spikes: Tensor) -> Tensor:
        """`mixing` as a batched product, which is faster than as a convolution."""
        weight, bias, batch = self.mixing.weight[..., 0], self.mixing.bias, len(spikes)
        assert bias is not None
        return torch.baddbmm(bias[:, None].expand(batch, -1, 1), weight.expand(batch, -1, -1), spikes)

    def step(self, x: Tensor, state: tuple[Any, Any] | None) -> tuple[Tensor, tuple[Any, Any]]:
        """One time step of `forward` in evaluation mode: x [B, H] -> [B, H]; state of SSM and neuron, None at first."""
        ssm_state, neuron_state = (None, None) if state is None else state
        drive = self.norm(x[..., None], None)[..., 0] if self.prenorm else x
        membrane_input, ssm_state = self.ssm.step(drive, ssm_state)
        spikes, neuron_state = self.neuron.step(membrane_input, neuron_state)
        x = x + glu(self.mixing(spikes[..., None]), dim=1)[..., 0]
        return x if self.prenorm else self.norm(x[..., None], None)[..., 0], (ssm_state, neuron_state)

    def operations_per_step(self, *, dense: bool = False) -> dict[str, Operations]:
        """Those of each part for one token. dense: with a dense activation, whose mixing multiplies."""
        h, inputs = self.channels, self.neuron.channels
        parts = {
            "norm": Operations(h),  # a scale and a shift
            "ssm": Operations(self.ssm.multiplications_per_step()),
            "projection": linear(inputs, 2 * h),
            "gate": Operations(h),
            "residual": Operations(0, h),
        }
        if self.neuron.spiking and not dense:
            multiply_accumulates, accumulates = self.neuron.operations_per_step()
            parts["neuron"] = Operations(inputs * multiply_accumulates, inputs * accumulates, inputs)  # and the reset
            parts["projection"] = Operations(0, 2 * h, 2 * h * inputs)
        return parts
