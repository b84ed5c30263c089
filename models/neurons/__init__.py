"""Neurons, one file each. To add one: write its file, add it here, and give it a YAML in sweeps/neuron."""

from __future__ import annotations

from models.neurons.alif import ALIF, ALIFSettings
from models.neurons.base import Neuron, NeuronSettings
from models.neurons.binary import Binary, BinarySettings
from models.neurons.gelu import GELU, GELUSettings
from models.neurons.lif_hard import LIFHard, LIFHardSettings
from models.neurons.lif_soft import LIFSoft, LIFSoftSettings
from models.neurons.psn import PSN, PSNSettings
from models.neurons.pspike import PSpike, PSpikeSettings
from models.neurons.refractory_lif import RefractoryLIF, RefractoryLIFSettings
from models.neurons.sdn import SDN, SDNSettings
from models.neurons.sliding_psn import SlidingPSN, SlidingPSNSettings

NEURONS: dict[str, tuple[type[Neuron], type[NeuronSettings]]] = {
    "refractory_lif": (RefractoryLIF, RefractoryLIFSettings),
    "lif_soft": (LIFSoft, LIFSoftSettings),
    "lif_hard": (LIFHard, LIFHardSettings),
    "alif": (ALIF, ALIFSettings),
    "sdn": (SDN, SDNSettings),
    "psn": (PSN, PSNSettings),
    "sliding_psn": (SlidingPSN, SlidingPSNSettings),
    "pspike": (PSpike, PSpikeSettings),
    "binary": (Binary, BinarySettings),
    "gelu": (GELU, GELUSettings),
}
"""Neuron name -> (module, its settings)."""


def build_neuron(channels: int, settings: NeuronSettings) -> Neuron:
    """The neuron that `settings` describe, over `channels` channels."""
    module, _ = NEURONS[settings.name]
    return module(channels, settings)


__all__ = ["NEURONS", "Neuron", "NeuronSettings", "RefractoryLIF", "RefractoryLIFSettings", "build_neuron"]
