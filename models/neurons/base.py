"""The interface of all neurons: settings, a forward over a sequence, a step for streaming, readable parameters."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from spike_ssm.models.named import fingerprint
from spike_ssm.models.neurons.parameter import LOGARITHM, ChannelParameter
from spike_ssm.models.ops.refractory_lif.parameters import check_parameter
from spike_ssm.models.ops.surrogate import SURROGATES
from spike_ssm.models.ssm.scan.operator import scan


@dataclass
class NeuronSettings:
    """Settings that every neuron has; a neuron's file adds its own in a subclass.

    revision: counted up when the same settings begin to give other spikes; part of a run's id where it is not 0.
    """

    revision: ClassVar[int] = 0
    name: str = "???"

    @property
    def source(self) -> str:
        """A fingerprint of the neuron's code where it is the user's, else empty; part of a run's id."""
        return fingerprint(self.name)


@dataclass
class ThresholdSettings(NeuronSettings):
    """Settings of a neuron that fires at a threshold > 0, in units of potential.

    A trainable threshold is trained per channel or, when shared, per layer. Its gradient is the surrogate's, whose
    half-width, > 0, is in units of the threshold.
    """

    threshold: float = 1.0
    threshold_trainable: bool = True
    threshold_shared: bool = False
    surrogate: str = "piecewise_quadratic"
    surrogate_width: float = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        check_parameter("threshold", self.threshold)
        if self.surrogate not in SURROGATES:
            raise ValueError(f"surrogate {self.surrogate!r} does not exist; choose one of {', '.join(SURROGATES)}.")
        if not (self.surrogate_width > 0 and math.isfinite(self.surrogate_width)):
            raise ValueError(f"surrogate_width must be a positive number, but it is {self.surrogate_width}.")


class Neuron(nn.Module):
    """A neuron: membrane input x [B, H, L] -> spikes [B, H, L]; `step` gives the same spikes one time step at a time.

    A neuron without a state between steps gives any `state` back as it was.
    """

    spiking: ClassVar[bool] = True  # its output is 0 or 1, so that what follows it accumulates instead of multiplying

    def __init__(self, channels: int, settings: NeuronSettings) -> None:
        super().__init__()
        self.channels = channels
        self.settings = settings
        self.threshold: ChannelParameter | None = None
        self.undetermined: Tensor | None = None  # of the latest forward: PMBC's undetermined fraction []

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L], in x's dtype."""

    def after_scan(
        self, x: Tensor, model: tuple[Tensor, Tensor, Tensor], affine: Tensor | None, lengths: Tensor | None
    ) -> Tensor:
        """Spikes [B, H, L] of `models.ssm.scan.scan` of x and these arguments, which need not be in memory for it.

        model: step size times A, weights and skip.
        """
        return self(scan(x, *model, affine=affine, lengths=lengths))  # type: ignore[no-any-return]

    @abstractmethod
    def step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """Spikes [B, H] of one time step x [B, H], and the next state; start with `state=None`. No gradient flows.

        Raises ValueError for a neuron that cannot be streamed.
        """

    @abstractmethod
    def potential(self, x: Tensor) -> Tensor:
        """Potential [B, H, L] that is compared with the threshold, detached; a neuron without one gives its output."""

    @abstractmethod
    def parameter_summary(self) -> dict[str, float]:
        """Means over channels of `leak`, `threshold`, `refractory` (in thresholds) and `decay`, where they exist."""

    @abstractmethod
    def operations_per_step(self) -> tuple[float, float]:
        """(multiply-accumulates, accumulates) per channel and time step, without those that a spike causes."""


def threshold_of(channels: int, settings: ThresholdSettings) -> ChannelParameter:
    """The threshold that `settings` describe, over `channels` channels, stored as its logarithm when trained."""
    return ChannelParameter(
        channels,
        settings.threshold,
        LOGARITHM,
        trainable=settings.threshold_trainable,
        shared=settings.threshold_shared,
    )
