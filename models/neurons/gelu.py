"""Dense S4D: the activation of the network that the spiking ones are compared with. It does not spike.

    y_t = gelu(x_t) = x_t * Phi(x_t), with Phi the normal distribution function

Source: Gu et al. 2022 (S4D, arXiv 2206.11893), whose activation it is; Hendrycks & Gimpel 2016 (arXiv 1606.08415).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import gelu

from spike_ssm.models.neurons.base import Neuron, NeuronSettings


@dataclass
class GELUSettings(NeuronSettings):
    """Settings of gelu, which has none of its own."""

    name: str = "gelu"


class GELU(Neuron):
    """The GELU activation over `channels` channels H; it has neither threshold nor parameters."""

    spiking: ClassVar[bool] = False

    def forward(self, x: Tensor) -> Tensor:
        """Activations [B, H, L] of x [B, H, L]."""
        return gelu(x)

    @torch.no_grad()
    def step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """Activations [B, H] of one time step x [B, H]."""
        return gelu(x), state

    @torch.no_grad()
    def potential(self, x: Tensor) -> Tensor:
        """The activations [B, H, L], detached: there is no potential."""
        return gelu(x)

    def parameter_summary(self) -> dict[str, float]:
        """No parameters: an empty dict."""
        return {}

    def operations_per_step(self) -> tuple[float, float]:
        """No operations: by convention a dense block's activation is not counted."""
        return 0.0, 0.0
