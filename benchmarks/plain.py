"""The network as one would first write it: all powers of S4D's kernel held, torch's own backward of the convolution,
and SpikingJelly's LIF."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.cases import spikingjelly_node, spikingjelly_spikes
from spike_ssm.models.block import Mixing
from spike_ssm.models.network import Network
from spike_ssm.models.ssm import S4D
from spike_ssm.models.ssm.discretisation import held


class PlainS4D(S4D):
    """`S4D` by its formulas, for a bidirectional layer."""

    def kernels(self, length: int) -> Tensor:
        """Convolution kernels [2, H, L], without the skip."""
        dt_a, discrete_b = held(self.log_dt, self.log_decay, self.frequency, self.b)
        vandermonde = torch.exp(dt_a[..., None] * torch.arange(length, device=dt_a.device))
        return 2 * torch.einsum("dhn,hnl->dhl", torch.view_as_complex(self.c) * discrete_b, vandermonde).real

    def for_scan(self, x: Tensor) -> None:
        """None: `forward` is no scan."""

    def forward(self, x: Tensor) -> Tensor:
        """Output [B, H, L] of x [B, H, L]."""
        length = x.shape[-1]
        causal, ahead = self.kernels(length)
        response = torch.fft.rfft(causal, n=2 * length)
        response = response + torch.fft.rfft(nn.functional.pad(ahead.flip(-1), (length, 0)))
        y: Tensor = torch.fft.irfft(torch.fft.rfft(x, n=2 * length) * response, n=2 * length)
        return y[..., :length] + self.d[:, None] * x


class PlainMixing(Mixing):
    """`Mixing` as a convolution, with the gate and the residual after it."""

    fused = False

    def forward(self, x: Tensor) -> Tensor:
        """Channels [B, outputs, L] of x [B, inputs, L]."""
        return nn.Conv1d.forward(self, x)


class PlainLIF(nn.Module):
    """SpikingJelly's soft-reset LIF, [B, H, L] -> [B, H, L]; it trains no parameter."""

    undetermined = None  # as blocks ask of their neurons

    def __init__(self) -> None:
        super().__init__()
        self.node = spikingjelly_node()

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        return spikingjelly_spikes(x.movedim(-1, 0).contiguous(), self.node).movedim(0, -1)


def made_plain(network: Network, *, spiking: bool) -> Network:
    """`network` with plain parts of the same weights, the mixing a convolution; spiking: its neurons too."""
    for block in network.blocks:
        block.mixing.__class__ = PlainMixing
        block.ssm.__class__ = PlainS4D
        if spiking:
            block.neuron_at["after_ssm"] = PlainLIF()
    return network
