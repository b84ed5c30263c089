"""The adaptive leaky integrate-and-fire neuron: each spike raises the threshold for a while.

    a_t = decay * a_{t-1} + adaptation * s_{t-1}
    u_t = leak * (u_{t-1} - threshold * s_{t-1}) + x_t
    s_t = 1 if u_t >= threshold + a_t else 0

Source: Bellec et al. 2020 (e-prop, doi 10.1038/s41467-020-17236-y), where the reset takes off the base threshold.
All of it is linear in the past spikes, so PMBC applies. Unlike the refractory current, the adaptation is not filtered
by the membrane.
"""

from __future__ import annotations

from dataclasses import dataclass

from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire, IntegrateAndFireSettings
from spike_ssm.models.ops.refractory_lif import Rules, check_parameter


@dataclass
class ALIFSettings(IntegrateAndFireSettings):
    """Settings of alif: adaptation > 0 in units of the threshold, decay in [0, 1); each trainable per channel.

    A trainable decay must start above 0.
    """

    name: str = "alif"
    adaptation: float = 0.5
    adaptation_trainable: bool = True
    decay: float = 0.9
    decay_trainable: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        if not self.adaptation > 0:
            raise ValueError(f"adaptation must be > 0, but it is {self.adaptation}; the neuron without is lif_soft.")
        check_parameter("decay", self.decay)
        if self.decay_trainable and self.decay == 0:
            raise ValueError("A trainable decay must start above 0 (it is stored through a sigmoid).")

    def rules(self) -> Rules:
        """The operator's rules; the refractory current raises the threshold."""
        return super().rules()._replace(raises_threshold=True)


class ALIF(IntegrateAndFire):
    """The adaptive LIF neuron over `channels` channels H. Its summary gives the adaptation as `refractory`."""

    def __init__(self, channels: int, settings: ALIFSettings) -> None:
        super().__init__(channels, settings)
        self._add_refractory(
            channels,
            settings.adaptation,
            settings.adaptation_trainable,
            settings.decay,
            settings.decay_trainable,
        )
