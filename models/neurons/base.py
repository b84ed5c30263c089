"""What every neuron has: settings, a forward over a sequence, a step for streaming, and readable parameters."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass
class NeuronSettings:
    """Fields that every neuron's settings have; a neuron's file adds its own in a subclass."""

    name: str = "???"


class Neuron(nn.Module):
    """Maps membrane input x [B, H, L] to spikes [B, H, L]; `step` gives the same spikes one time step at a time."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] in x's dtype."""

    @abstractmethod
    def step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """Spikes [B, H] of x [B, H] and the next state; start with `state=None`."""

    @abstractmethod
    def parameter_summary(self) -> dict[str, float]:
        """Means over channels of `leak`, `threshold`, `refractory` (in thresholds) and `decay`, where they exist."""

    @abstractmethod
    def operations_per_step(self) -> tuple[float, float]:
        """(multiply-accumulates, accumulates) of one channel and time step, spikes apart."""
