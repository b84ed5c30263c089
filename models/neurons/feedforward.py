"""The neurons without a reset: their membrane potential depends on the input alone, not on past spikes.

    s_t = 1 if potential_t >= threshold else 0

So all steps can be computed at once. A subclass says what the potential is, for a sequence and for one step.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.neurons.base import Neuron, ThresholdSettings, threshold_of
from spike_ssm.models.neurons.parameter import ChannelParameter
from spike_ssm.models.ops.precision import without_autocast
from spike_ssm.models.ops.surrogate import spike


class FeedForward(Neuron):
    """A neuron with a threshold and no reset. Half precision is computed in float32, under autocast too."""

    threshold: ChannelParameter

    def __init__(self, channels: int, settings: ThresholdSettings) -> None:
        super().__init__(channels, settings)
        self._surrogate = (settings.surrogate, settings.surrogate_width)
        self.threshold = threshold_of(channels, settings)

    def _integrated(self, x: Tensor) -> Tensor:
        """Potentials [B, H, L] of x [B, H, L], of no step, too."""
        x = _at_least_single(x)
        return self._integrate(x) if x.shape[-1] else x

    @abstractmethod
    def _integrate(self, x: Tensor) -> Tensor:
        """Potentials [B, H, L] of x [B, H, L], float32 or float64, differentiable."""

    @abstractmethod
    def _integrate_step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """Potentials [B, H] of one time step x [B, H], and the next state; differentiable."""

    def _fire(self, potential: Tensor) -> Tensor:
        """Spikes [B, H, L] of potentials [B, H, L]."""
        return spike(potential, self.threshold()[:, None], *self._surrogate)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        with without_autocast(x):
            return self._fire(self._integrated(x)).to(x.dtype)

    @torch.no_grad()
    def step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """Spikes [B, H] of one time step x [B, H]; what `forward` gives, but for rounding at the threshold."""
        with without_autocast(x):
            potential, state = self._integrate_step(_at_least_single(x.detach()), state)
            return self._fire(potential[..., None])[..., 0].to(x.dtype), state

    def loop(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L], one step after the other; what `forward` gives, with the same gradients.

        Equal but for rounding at the threshold. Raises ValueError for a neuron that cannot be streamed.
        """
        state, potentials = None, []
        with without_autocast(x):
            for x_t in _at_least_single(x).unbind(-1):
                potential, state = self._integrate_step(x_t, state)
                potentials.append(potential)
            return self._fire(torch.stack(potentials, -1)).to(x.dtype)

    @torch.no_grad()
    def potential(self, x: Tensor) -> Tensor:
        """Potentials [B, H, L] of x [B, H, L]."""
        with without_autocast(x):
            return self._integrated(x).detach()  # it may be x itself

    @torch.no_grad()
    def parameter_summary(self) -> dict[str, float]:
        """The threshold's mean over channels."""
        return {"threshold": float(self.threshold().mean())}


def _at_least_single(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
