"""The leaky integrate-and-fire neuron of SpikingSSMs: a spike sets the potential to zero.

    u_t = leak * u_{t-1} * (1 - s_{t-1}) + x_t
    s_t = 1 if u_t >= threshold else 0

Such a reset is not linear in the spikes, so PMBC does not apply. Source: arXiv 2408.14909, whose leak is 0.125.
"""

from __future__ import annotations

from dataclasses import dataclass

from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire, IntegrateAndFireSettings
from spike_ssm.models.ops.refractory_lif import Rules


@dataclass
class LIFHardSettings(IntegrateAndFireSettings):
    """Settings of lif_hard: leak in (0, 1), threshold > 0 in units of potential."""

    name: str = "lif_hard"
    leak: float = 0.125

    def rules(self) -> Rules:
        """The operator's rules, with a hard reset."""
        return super().rules()._replace(reset="hard")


class LIFHard(IntegrateAndFire):
    """The hard-reset LIF neuron over `channels` channels H."""
