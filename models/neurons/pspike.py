"""The stochastic neuron of P-SpikeSSM: the input sets the probability of a spike.

    p_t = G(x_t / threshold - 1)
    s_t = 1 with probability p_t, drawn anew for every neuron, step and pass, else 0

G is the primitive of the surrogate density, a soft step. The gradient is that of the expectation, d s_t / d x_t =
d p_t / d x_t, the density itself. Source: Bal & Sengupta 2024 (arXiv 2406.02923). With `rectangular`, width 1 and
threshold 1/2, the defaults, p_t = clamp(x_t, 0, 1) as in its authors' code; other surrogates are ours, and so is a
threshold per channel, where that code has a gain and an offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.binary import Binary
from spike_ssm.models.ops.surrogate import SURROGATES, surrogate_primitive


@dataclass
class PSpikeSettings(ThresholdSettings):
    """Settings of pspike: threshold > 0, in units of the input, where a spike has probability 1/2.

    expectation_at_evaluation: evaluation gives p itself, without noise. Its output is then not 0 or 1, and energies,
    which count accumulates per spike, are those of the network that draws.
    """

    name: str = "pspike"
    threshold: float = 0.5
    surrogate: str = "rectangular"
    expectation_at_evaluation: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        if not SURROGATES[self.surrogate].monotone:
            raise ValueError(
                f"pspike needs a probability, which the primitive of {self.surrogate} is not; choose another."
            )


class PSpike(Binary):
    """The stochastic neuron over `channels` channels H; its potential is its input.

    Noise comes from torch's global generator, one number per step, example and channel in this order: from the same
    seed, streaming on the CPU draws what the sequence draws.
    """

    def __init__(self, channels: int, settings: PSpikeSettings) -> None:
        super().__init__(channels, settings)
        self._expectation_at_evaluation = settings.expectation_at_evaluation

    def _fire(self, potential: Tensor) -> Tensor:
        p = surrogate_primitive(potential / self.threshold()[:, None] - 1, *self._surrogate)
        if self._expectation_at_evaluation and not self.training:
            return p
        batch, channels, length = p.shape
        noise = torch.rand(length, batch, channels, device=p.device).permute(1, 2, 0)
        # the difference is zero and carries the gradient
        return (noise < p).to(p.dtype) + (p - p.detach())

    def operations_per_step(self) -> tuple[float, float]:
        """1 MAC for the probability, or for scaling the noise that the input is compared with; without the drawing."""
        return 1.0, 0.0
