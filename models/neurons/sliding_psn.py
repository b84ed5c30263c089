"""The sliding parallel spiking neuron: the membrane potential is a learned filter of the last inputs, without reset.

    potential_t = sum_{i < order} weight_i x_{t - order + 1 + i}    with x = 0 before the first step
    s_t         = 1 if potential_t >= threshold else 0

Source: Fang et al. 2023 (arXiv 2304.12760), sliding PSN. The weights are shared by all channels and time steps, as
there; the last belongs to the present step. The threshold, one for all there, is per channel here unless shared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.feedforward import FeedForward

INITIALISATIONS = ("exponential", "uniform")


@dataclass
class SlidingPSNSettings(ThresholdSettings):
    """Settings of sliding_psn.

    order >= 1: the number of inputs, the present one among them, that the potential depends on.
    initialisation of the weights: `exponential` (..., 1/4, 1/2, 1) or `uniform` (Kaiming's), as in SpikingJelly.
    """

    name: str = "sliding_psn"
    order: int = 32
    initialisation: str = "exponential"

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        if self.order < 1:
            raise ValueError(f"order must be at least 1, but it is {self.order}.")
        if self.initialisation not in INITIALISATIONS:
            raise ValueError(
                f"initialisation {self.initialisation!r} does not exist; choose one of {', '.join(INITIALISATIONS)}."
            )


def causal_filter(x: Tensor, weight: Tensor) -> Tensor:
    """Sums [..., L] of each step's last inputs, sum_i weight_i x_{t - order + 1 + i}, for x [..., L], weight [order].

    The last weight belongs to the present step; x is 0 before the first.
    """
    # `order` steps at a time, each block of inputs with the `order` - 1 before it: a convolution with one channel
    # is slow on the CPU, and rounded to TF32 on a GPU
    order, length = len(weight), x.shape[-1]
    blocks = pad(x, (order - 1, -length % order)).unfold(-1, 2 * order - 1, order)
    return (blocks @ _response(weight)).flatten(-2)[..., :length]


def _response(weight: Tensor) -> Tensor:
    """Response of `order` sums to inputs up to them, [2 order - 1, order]: column j is the filter at j."""
    order = len(weight)
    rows = pad(weight, (0, order)).expand(order, 2 * order)
    # rows of one step less than the period begin one step later each
    return rows.reshape(-1)[: order * (2 * order - 1)].reshape(order, 2 * order - 1).T


class SlidingPSN(FeedForward):
    """The sliding parallel spiking neuron over `channels` channels H; streaming keeps [B, H, order - 1] inputs."""

    def __init__(self, channels: int, settings: SlidingPSNSettings) -> None:
        super().__init__(channels, settings)
        order = settings.order
        self.weight = nn.Parameter(0.5 ** torch.arange(order - 1, -1, -1))
        if settings.initialisation == "uniform":
            nn.init.uniform_(self.weight, -1 / math.sqrt(order), 1 / math.sqrt(order))

    def _integrate(self, x: Tensor) -> Tensor:
        return causal_filter(x, self.weight.to(x.dtype))

    def _integrate_step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        past = x.new_zeros(*x.shape, len(self.weight) - 1) if state is None else state
        window = torch.cat([past, x[..., None]], -1)
        return window @ self.weight.to(x.dtype), window[..., 1:]

    def operations_per_step(self) -> tuple[float, float]:
        """MACs of the filter: one per weight."""
        return float(len(self.weight)), 0.0
