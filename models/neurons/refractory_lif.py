"""The SPikE-SSM neuron: leaky integrate-and-fire with soft reset, trainable threshold and refractory current.

Source: arXiv 2410.17268; what its abstract leaves open is our reading (docs/method.md) and configurable here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from models.neurons.base import Neuron, NeuronSettings
from models.ops.refractory_lif import check_options, check_parameter, solve


@dataclass
class RefractoryLIFSettings(NeuronSettings):
    """Settings of the refractory LIF neuron; every `*_trainable` parameter is trained per channel.

    leak in (0, 1), threshold > 0 in units of potential, refractory >= 0 in units of the threshold, decay in [0, 1).
    A trainable refractory magnitude must start above 0, a trainable decay in (0, 1).
    """

    name: str = "refractory_lif"
    leak: float = 0.5
    leak_trainable: bool = False
    threshold: float = 1.0
    threshold_trainable: bool = True
    refractory: float = 0.5
    refractory_trainable: bool = True
    decay: float = 0.5
    decay_trainable: bool = False
    surrogate: str = "piecewise_quadratic"
    surrogate_width: float = 1.0
    detach_reset: bool = True
    solver: str = "auto"
    max_iterations: int | None = None
    resolve: str = "midpoint"

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        for label in ("leak", "threshold", "refractory", "decay"):
            check_parameter(label, getattr(self, label))
        check_options(
            self.solver, self.max_iterations, self.resolve, self.surrogate, self.surrogate_width, self.detach_reset
        )
        if self.refractory_trainable and self.refractory == 0:
            raise ValueError(
                "A trainable refractory magnitude must start above 0 (it is stored through a softplus); "
                "set refractory_trainable=false for a neuron without refractoriness."
            )
        if self.decay_trainable and self.decay == 0:
            raise ValueError("A trainable decay must start above 0 (it is stored through a sigmoid).")


class RefractoryLIFState(NamedTuple):
    """State between steps, each [B, H]."""

    after_reset: Tensor
    refractory_current: Tensor


class RefractoryLIF(Neuron):
    """The neuron over `channels` channels H. Parameters are stored so that training cannot leave their range.

    threshold: its logarithm; leak and decay: their logits; refractory: the inverse softplus of its ratio to the
    threshold, so that scaling input and threshold together leaves the spikes unchanged.
    """

    def __init__(self, channels: int, settings: RefractoryLIFSettings) -> None:
        super().__init__()
        self.settings = settings
        self.undetermined: Tensor | None = None  # of the latest forward, a fraction []
        self._leak = _raw(channels, math.log(settings.leak / (1 - settings.leak)), settings.leak_trainable)
        self._log_threshold = _raw(channels, math.log(settings.threshold), settings.threshold_trainable)
        self._refractory = self._decay = None
        if settings.refractory_trainable:
            start = settings.refractory + math.log(-math.expm1(-settings.refractory))  # inverse softplus
            self._refractory = _raw(channels, start, trainable=True)
        if settings.decay_trainable:
            self._decay = _raw(channels, math.log(settings.decay / (1 - settings.decay)), trainable=True)

    def parameters_now(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """leak, threshold, refractory magnitude (in units of potential) and decay, each [H]."""
        threshold = self._log_threshold.exp()
        ratio = torch.full_like(threshold, self.settings.refractory)
        decay = torch.full_like(threshold, self.settings.decay)
        if self._refractory is not None:
            ratio = softplus(self._refractory)
        if self._decay is not None:
            decay = torch.sigmoid(self._decay)
        return torch.sigmoid(self._leak), threshold, threshold * ratio, decay

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        settings = self.settings
        found = solve(
            x,
            *self.parameters_now(),
            solver=settings.solver,
            max_iterations=settings.max_iterations,
            resolve=settings.resolve,
            surrogate=settings.surrogate,
            surrogate_width=settings.surrogate_width,
            detach_reset=settings.detach_reset,
        )
        self.undetermined = found.undetermined
        return found.spikes

    def step(self, x: Tensor, state: RefractoryLIFState | None) -> tuple[Tensor, RefractoryLIFState]:
        """Spikes [B, H] of one time step x [B, H]; the same as `forward` gives for the sequence."""
        leak, threshold, refractory, decay = self.parameters_now()
        if state is None:
            state = RefractoryLIFState(torch.zeros_like(x), torch.zeros_like(x))
        u = leak * state.after_reset + x - state.refractory_current
        spikes = (u >= threshold).to(x.dtype)
        return spikes, RefractoryLIFState(
            u - threshold * spikes, decay * state.refractory_current + refractory * spikes
        )

    @torch.no_grad()
    def parameter_summary(self) -> dict[str, float]:
        """Means over channels; refractory in units of the threshold."""
        leak, threshold, refractory, decay = self.parameters_now()
        return {
            "leak": float(leak.mean()),
            "threshold": float(threshold.mean()),
            "refractory": float((refractory / threshold).mean()),
            "decay": float(decay.mean()),
        }

    def operations_per_step(self) -> tuple[float, float]:
        """Leak 1 MAC; refractory current 1 MAC and its subtraction 1 AC, where there is one."""
        return (2.0, 1.0) if self.settings.refractory > 0 else (1.0, 0.0)


def _raw(channels: int, start: float, trainable: bool) -> nn.Parameter:
    return nn.Parameter(torch.full((channels,), start), requires_grad=trainable)
