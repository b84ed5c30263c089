"""The plain leaky integrate-and-fire neuron: a spike takes one threshold off the potential.

    u_t = leak * (u_{t-1} - threshold * s_{t-1}) + x_t
    s_t = 1 if u_t >= threshold else 0

It is the SPikE-SSM neuron without its refractory current, and SpikingJelly's LIFNode without input decay.
"""

from __future__ import annotations

from dataclasses import dataclass

from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire, IntegrateAndFireSettings


@dataclass
class LIFSoftSettings(IntegrateAndFireSettings):
    """Settings of lif_soft: leak in (0, 1), threshold > 0 in units of potential."""

    name: str = "lif_soft"


class LIFSoft(IntegrateAndFire):
    """The soft-reset LIF neuron over `channels` channels H."""
