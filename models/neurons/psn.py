"""The parallel spiking neuron: a learned matrix over time gives all membrane potentials at once; there is no reset.

    potential_t = sum_j W_tj x_j    over j <= t if causal, else over all j
    s_t         = 1 if potential_t >= threshold else 0

Source: Fang et al. 2023 (arXiv 2304.12760). W is shared by all channels, as there. Without causality it is the paper's
PSN; with it its masked PSN, of order `length` and with the mask fully applied (lambda = 1) from the start. Ours are the
threshold, one per channel where the paper has one per time step, and the causal W's initial values: the response
leak^(t-j) of a leaky integrator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.feedforward import FeedForward
from spike_ssm.models.ops.refractory_lif import check_parameter


@dataclass
class PSNSettings(ThresholdSettings):
    """Settings of psn.

    length T >= 1: the most time steps a sequence may have, W being [T, T]; a shorter one uses the leading block.
    leak in (0, 1): the causal W starts as a leaky integrator's; it is trained from there, as a non-causal W is from
    uniform random values (Kaiming's, as in SpikingJelly).
    """

    name: str = "psn"
    length: int = 2000
    causal: bool = True
    leak: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        if self.length < 1:
            raise ValueError(f"length must be at least 1, but it is {self.length}.")
        check_parameter("leak", self.leak)


class PSN(FeedForward):
    """The parallel spiking neuron over `channels` channels H. Streaming keeps all past inputs [B, H, t].

    A sequence of more than `length` steps raises ValueError.
    """

    def __init__(self, channels: int, settings: PSNSettings) -> None:
        super().__init__(channels, settings)
        self._causal = settings.causal
        self.weight = nn.Parameter(torch.empty(settings.length, settings.length))
        if settings.causal:
            steps = torch.arange(settings.length)
            with torch.no_grad():
                self.weight.copy_((settings.leak ** (steps[:, None] - steps).clamp(min=0)).tril())
        else:
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def _check_length(self, length: int) -> None:
        if length > len(self.weight):
            raise ValueError(
                f"The neuron psn is for sequences of at most neuron.length={len(self.weight)} time steps, but this "
                f"one has {length}; set neuron.length to at least that."
            )

    def _integrate(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        self._check_length(length)
        weight = self.weight[:length, :length].to(x.dtype)
        return x @ (weight.tril() if self._causal else weight).T

    def _integrate_step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        if not self._causal:
            raise ValueError(
                "The neuron psn with causal=false looks ahead and cannot be streamed; set neuron.causal=true or use "
                "the neuron sliding_psn."
            )
        past = x[..., None] if state is None else torch.cat([state, x[..., None]], -1)
        length = past.shape[-1]
        self._check_length(length)
        return past @ self.weight[length - 1, :length].to(x.dtype), past

    def operations_per_step(self) -> tuple[float, float]:
        """MACs of a row of W: T, or (T + 1) / 2 on average over a causal sequence of T = length steps."""
        steps = len(self.weight)
        return ((steps + 1) / 2 if self._causal else float(steps)), 0.0
