"""Binary S4D: a spike wherever the input reaches the threshold. No membrane, no memory.

    s_t = 1 if x_t >= threshold else 0

Ours, a control: what is left of a spiking neuron when its dynamics are taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.feedforward import FeedForward


@dataclass
class BinarySettings(ThresholdSettings):
    """Settings of binary: threshold > 0 in units of the input."""

    name: str = "binary"


class Binary(FeedForward):
    """The binary neuron over `channels` channels H; its potential is its input."""

    def _integrate(self, x: Tensor) -> Tensor:
        return x

    def _integrate_step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        return x, state

    def operations_per_step(self) -> tuple[float, float]:
        """No operations: comparisons are not counted."""
        return 0.0, 0.0
