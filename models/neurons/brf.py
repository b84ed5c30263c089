"""The balanced resonate-and-fire neuron: a damped oscillator that a spike damps further, and makes harder to excite.

    b_t = p(omega) - b_offset - q_{t-1},    p(omega) = (sqrt(1 - (dt omega)^2) - 1) / dt
    u_t = u_{t-1} + dt (b_t u_{t-1} - omega v_{t-1}) + x_t
    v_t = v_{t-1} + dt (omega u_{t-1} + b_t v_{t-1})
    s_t = 1 if u_t >= threshold (1 + q_{t-1}) else 0
    q_t = decay q_{t-1} + s_t

p(omega) is the damping at which the discrete oscillator neither grows nor fades. Source: Higuchi et al. 2024 (ICML,
arXiv 2402.14603) and its public code, which adds dt x_t and asks for u_t > 1 + q_{t-1}: its u and v are dt times ours,
so that it is this neuron at threshold 1 / dt = 100. Input of about unit size would hardly ever reach that; the default
here is 1. Ours are also >= for >, a trained threshold, and the numbers that are trained: the logit of dt omega and the
inverse softplus of b_offset, each per channel, where the code trains both as they are and takes absolute values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.neurons.parameter import INVERSE_SOFTPLUS, LOGIT, ChannelParameter, own_random_numbers
from spike_ssm.models.neurons.serial import Serial, SerialSettings
from spike_ssm.models.ops.refractory_lif import check_parameter

_LEAST = 1e-6  # of a number that is stored through its inverse softplus


@dataclass
class BRFSettings(SerialSettings):
    """Settings of brf.

    omega_min, omega_max: each channel's angular frequency is drawn uniformly from here, radians per unit of time, in
    (0, 1 / dt). b_offset_min, b_offset_max: likewise its damping, >= 0 per unit of time. dt > 0: time of a step.
    decay: fraction of q kept per step, in [0, 1). The published code's for sequential MNIST are the defaults.
    """

    name: str = "brf"
    omega_min: float = 15.0
    omega_max: float = 85.0
    b_offset_min: float = 0.1
    b_offset_max: float = 1.0
    dt: float = 0.01
    decay: float = 0.9

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        check_parameter("decay", self.decay)
        if not 0 < self.dt < math.inf:
            raise ValueError(f"dt must be a positive number, but it is {self.dt}.")
        if not 0 < self.omega_min <= self.omega_max < 1 / self.dt:
            raise ValueError(
                f"omega_min and omega_max must obey 0 < omega_min <= omega_max < 1 / dt = {1 / self.dt:g}, but they "
                f"are {self.omega_min} and {self.omega_max}."
            )
        if not 0 <= self.b_offset_min <= self.b_offset_max < math.inf:
            raise ValueError(
                "b_offset_min and b_offset_max must obey 0 <= b_offset_min <= b_offset_max, but they are "
                f"{self.b_offset_min} and {self.b_offset_max}."
            )


class State(NamedTuple):
    """State between steps: the oscillation's two parts and what is left of past spikes, each [B, H]."""

    u: Tensor
    v: Tensor
    q: Tensor


class BRF(Serial):
    """The balanced resonate-and-fire neuron over `channels` channels H."""

    dynamics: ClassVar[str] = "brf"
    names: ClassVar = State

    def __init__(self, channels: int, settings: BRFSettings) -> None:
        super().__init__(channels, settings)
        self._dt, self._decay = settings.dt, settings.decay
        turned, damped = settings.dt * settings.omega_min, settings.b_offset_min
        self.rotation = ChannelParameter(channels, turned, LOGIT, trainable=True)  # a step's angle, dt omega
        self.b_offset = ChannelParameter(channels, max(damped, _LEAST), INVERSE_SOFTPLUS, trainable=True)
        with own_random_numbers() as numbers:
            self.rotation.draw(turned, settings.dt * settings.omega_max, numbers)
            self.b_offset.draw(max(damped, _LEAST), max(settings.b_offset_max, _LEAST), numbers)

    def parameters_now(self) -> Tensor:
        """Threshold, what a step keeps and what it turns of u and v, dt, and what a step keeps of q, [5, H]."""
        threshold, rotation = self.threshold(), self.rotation()
        kept = (1 - rotation.square()).sqrt() - self._dt * self.b_offset()
        constants = (torch.full_like(threshold, value) for value in (self._dt, self._decay))
        return torch.stack((threshold, kept, rotation, *constants))

    @torch.no_grad()
    def parameter_summary(self) -> dict[str, float]:
        """Means over channels: the part of an oscillation that a step leaves (`leak`), the threshold, what a spike adds
        to it (`refractory`, one threshold), and `decay`."""
        threshold, kept, rotation, _, decay = self.parameters_now()
        leak = torch.hypot(kept, rotation)
        return {
            "leak": float(leak.mean()),
            "threshold": float(threshold.mean()),
            "refractory": 1.0,
            "decay": float(decay.mean()),
        }

    def operations_per_step(self) -> tuple[float, float]:
        """4 MACs of the rotation, and 1 each for its damping, the threshold's rise and q; 1 AC for the input."""
        return 7.0, 1.0
