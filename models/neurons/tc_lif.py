"""The two-compartment LIF neuron: a dendrite charges the soma, which discharges it and fires.

    a_t = a'_{t-1} - beta_1 b'_{t-1} + x_t                    the dendrite
    b_t = b'_{t-1} + beta_2 a_t                               the soma
    s_t = 1 if b_t >= threshold else 0
    a'_t = a_t - gamma threshold s_t,  b'_t = b_t - threshold s_t

Source: Zhang et al. 2024 (AAAI, arXiv 2308.13250) and its public code, whose beta_1 is ours with the other sign. The
product of the two turns a and b into each other without a loss, whatever the betas: only spikes take potential away.
Ours: gamma in thresholds, which is the same at the threshold 1 that it is given with; betas a channel, there a layer
(`betas_shared`); >= where the code asks for > with one of its surrogates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.neurons.parameter import LOGIT, ChannelParameter
from spike_ssm.models.neurons.serial import Serial, SerialSettings


@dataclass
class TCLIFSettings(SerialSettings):
    """Settings of tc_lif: beta_1 and beta_2 in (0, 1), where training begins; gamma >= 0 in units of the threshold."""

    name: str = "tc_lif"
    beta_1: float = 0.5
    beta_2: float = 0.5
    betas_trainable: bool = True
    betas_shared: bool = False
    gamma: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        for label, value in (("beta_1", self.beta_1), ("beta_2", self.beta_2)):
            if not 0 < value < 1:
                raise ValueError(f"{label} must be in (0, 1), but it is {value}.")
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma must be a number of thresholds of at least 0, but it is {self.gamma}.")


class State(NamedTuple):
    """State between steps: both compartments after the reset, each [B, H]."""

    dendrite: Tensor
    soma: Tensor


class TCLIF(Serial):
    """The two-compartment neuron over `channels` channels H."""

    dynamics: ClassVar[str] = "tc_lif"
    names: ClassVar = State

    def __init__(self, channels: int, settings: TCLIFSettings) -> None:
        super().__init__(channels, settings)
        self._gamma = settings.gamma
        trained = {"trainable": settings.betas_trainable, "shared": settings.betas_shared}
        self.beta_1 = ChannelParameter(channels, settings.beta_1, LOGIT, **trained)
        self.beta_2 = ChannelParameter(channels, settings.beta_2, LOGIT, **trained)

    def parameters_now(self) -> Tensor:
        """Threshold, beta_1, beta_2 and what a spike takes off the dendrite, [4, H]."""
        threshold = self.threshold()
        return torch.stack((threshold, self.beta_1(), self.beta_2(), self._gamma * threshold))

    @torch.no_grad()
    def parameter_summary(self) -> dict[str, float]:
        """The threshold's mean over channels. There is no leak."""
        return {"threshold": float(self.threshold().mean())}

    def operations_per_step(self) -> tuple[float, float]:
        """2 MACs between the compartments, and 1 AC to add the input."""
        return 2.0, 1.0
