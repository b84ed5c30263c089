"""SPikE-SSM: an exact refractory LIF operator, spiking neurons, S4D, and the networks built from them.

    import torch, spike_ssm

    x = torch.randn(8, 64, 4096, requires_grad=True)  # [batch, channels, steps]
    spikes = spike_ssm.refractory_lif(x, leak=0.5, threshold=1.0, refractory=0.5, decay=0.5)
    spikes.sum().backward()

Names are imported when they are first used, so that what needs no torch, such as `harness.status`, imports none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spike_ssm import results
    from spike_ssm.harness.training.loaded import LoadedRun, load_run
    from spike_ssm.harness.training.pretrained import load_pretrained, pretrained
    from spike_ssm.models.backbone import Inputs
    from spike_ssm.models.network import Network, build_network, parameter_groups
    from spike_ssm.models.neurons import NEURONS, Neuron, NeuronSettings, build_neuron
    from spike_ssm.models.ops.refractory_lif import Options, refractory_lif
    from spike_ssm.models.settings import ModelSettings
    from spike_ssm.models.ssm import S4D

_HOMES = {
    "spike_ssm.harness.training.loaded": ("LoadedRun", "load_run"),
    "spike_ssm.harness.training.pretrained": ("load_pretrained", "pretrained"),
    "spike_ssm.models.backbone": ("Inputs",),
    "spike_ssm.models.network": ("Network", "build_network", "parameter_groups"),
    "spike_ssm.models.neurons": ("NEURONS", "Neuron", "NeuronSettings", "build_neuron"),
    "spike_ssm.models.ops.refractory_lif": ("Options", "refractory_lif"),
    "spike_ssm.models.settings": ("ModelSettings",),
    "spike_ssm.models.ssm": ("S4D",),
}

__all__ = [
    "NEURONS",
    "S4D",
    "Inputs",
    "LoadedRun",
    "ModelSettings",
    "Network",
    "Neuron",
    "NeuronSettings",
    "Options",
    "build_network",
    "build_neuron",
    "load_pretrained",
    "load_run",
    "parameter_groups",
    "pretrained",
    "refractory_lif",
    "results",
]


def __getattr__(name: str) -> Any:
    if name == "results":
        return importlib.import_module("spike_ssm.results")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'spike_ssm' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
