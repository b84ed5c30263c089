"""Neurons, one file each. To add one: write its file, add it here, and give it a YAML in sweeps/neuron."""

from __future__ import annotations

from spike_ssm.models.named import is_dotted, named_class
from spike_ssm.models.neurons.alif import ALIF, ALIFSettings
from spike_ssm.models.neurons.base import Neuron, NeuronSettings
from spike_ssm.models.neurons.binary import Binary, BinarySettings
from spike_ssm.models.neurons.brf import BRF, BRFSettings
from spike_ssm.models.neurons.drf import DRF, DRFSettings
from spike_ssm.models.neurons.gelu import GELU, GELUSettings
from spike_ssm.models.neurons.lif_hard import LIFHard, LIFHardSettings
from spike_ssm.models.neurons.lif_soft import LIFSoft, LIFSoftSettings
from spike_ssm.models.neurons.psn import PSN, PSNSettings
from spike_ssm.models.neurons.pspike import PSpike, PSpikeSettings
from spike_ssm.models.neurons.refractory_lif import RefractoryLIF, RefractoryLIFSettings
from spike_ssm.models.neurons.sdn import SDN, SDNSettings
from spike_ssm.models.neurons.sliding_psn import SlidingPSN, SlidingPSNSettings
from spike_ssm.models.neurons.tc_lif import TCLIF, TCLIFSettings

NEURONS: dict[str, tuple[type[Neuron], type[NeuronSettings]]] = {
    "refractory_lif": (RefractoryLIF, RefractoryLIFSettings),
    "lif_soft": (LIFSoft, LIFSoftSettings),
    "lif_hard": (LIFHard, LIFHardSettings),
    "alif": (ALIF, ALIFSettings),
    "sdn": (SDN, SDNSettings),
    "psn": (PSN, PSNSettings),
    "sliding_psn": (SlidingPSN, SlidingPSNSettings),
    "pspike": (PSpike, PSpikeSettings),
    "brf": (BRF, BRFSettings),
    "tc_lif": (TCLIF, TCLIFSettings),
    "drf": (DRF, DRFSettings),
    "binary": (Binary, BinarySettings),
    "gelu": (GELU, GELUSettings),
}
"""Neuron name -> (module, its settings)."""


def find_neuron(name: str) -> tuple[type[Neuron], type[NeuronSettings]]:
    """The neuron called `name` and its settings: one of `NEURONS`, or a class of the user's by its dotted path.

    Raises ValueError where there is none.
    """
    if is_dotted(name):
        return named_class(name, Neuron, NeuronSettings)  # type: ignore[type-abstract]
    if name not in NEURONS:
        raise ValueError(
            f"There is no neuron {name!r}; choose one of {', '.join(NEURONS)}, or name a class of yours by its dotted "
            "path, such as my_module.MyNeuron."
        )
    return NEURONS[name]


def build_neuron(channels: int, settings: NeuronSettings) -> Neuron:
    """The neuron that `settings` describe, over `channels` channels."""
    module, _ = find_neuron(settings.name)
    return module(channels, settings)


__all__ = [
    "NEURONS",
    "Neuron",
    "NeuronSettings",
    "RefractoryLIF",
    "RefractoryLIFSettings",
    "build_neuron",
    "find_neuron",
]
