"""The SPikE-SSM neuron: leaky integrate-and-fire with soft reset, trainable threshold and refractory current.

    eta_t = decay * eta_{t-1} + refractory * s_{t-1}
    u_t   = leak * (u_{t-1} - threshold * s_{t-1}) + x_t - eta_t
    s_t   = 1 if u_t >= threshold else 0

Source: arXiv 2410.17268; what its abstract leaves open is our reading (docs/method.md) and configurable here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from spike_ssm.models.identity import LATER
from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire, IntegrateAndFireSettings
from spike_ssm.models.ops.refractory_lif import Options, Rules, check_parameter

LINEAR_RESETS = ("soft", "none")


@dataclass
class RefractoryLIFSettings(IntegrateAndFireSettings):
    """Settings of the refractory LIF neuron; every `*_trainable` parameter is trained per channel.

    leak in (0, 1), threshold > 0 in units of potential, refractory >= 0 in units of the threshold, decay in [0, 1).
    A trainable refractory magnitude must start above 0, a trainable decay in (0, 1).
    charge: what a spike's refractory current takes off in all, in thresholds; it sets refractory to
    charge * (1 - decay), so that decays compare at one total.
    """

    name: str = "refractory_lif"
    reset: str = "soft"
    refractory: float = 0.5
    refractory_trainable: bool = True
    decay: float = 0.5
    decay_trainable: bool = False
    max_iterations: int | None = None
    resolve: str = "midpoint"
    charge: float | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        if self.reset not in LINEAR_RESETS:
            raise ValueError(
                f"reset {self.reset!r} is not one of the refractory neuron's, {', '.join(LINEAR_RESETS)}; "
                "the neuron with a hard reset is lif_hard."
            )
        check_parameter("decay", self.decay)
        if self.charge is not None:
            if not 0 <= self.charge < math.inf:
                raise ValueError(f"charge must be a number of thresholds of at least 0, but it is {self.charge}.")
            self.refractory = self.charge * (1 - self.decay)
        check_parameter("refractory", self.refractory)
        if self.refractory_trainable and self.refractory == 0:
            raise ValueError(
                "A trainable refractory magnitude must start above 0 (it is stored through a softplus); "
                "set refractory_trainable=false for a neuron without refractoriness."
            )
        if self.decay_trainable and self.decay == 0:
            raise ValueError("A trainable decay must start above 0 (it is stored through a sigmoid).")

    def rules(self) -> Rules:
        """The operator's rules, with the chosen reset."""
        return super().rules()._replace(reset=self.reset)

    def options(self) -> Options:
        """The operator's options, PMBC's paper mode among them."""
        return Options(self.rules(), self.solver, self.max_iterations, self.resolve)


class RefractoryLIF(IntegrateAndFire):
    """The refractory LIF neuron over `channels` channels H."""

    def __init__(self, channels: int, settings: RefractoryLIFSettings) -> None:
        super().__init__(channels, settings)
        self._add_refractory(
            channels,
            settings.refractory,
            settings.refractory_trainable,
            settings.decay,
            settings.decay_trainable,
        )
