"""From networks and neurons to graphs of NIR, in discrete time: one step is the unit of time.

NIR's neurons fire where v > v_threshold, ours where it is reached: a threshold is exported as the number below it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spike_ssm.models.block import Block
from spike_ssm.models.network import Classifier
from spike_ssm.models.neurons import NEURONS, Neuron
from spike_ssm.models.neurons.alif import ALIF
from spike_ssm.models.neurons.binary import Binary
from spike_ssm.models.neurons.gelu import GELU
from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire
from spike_ssm.models.neurons.lif_hard import LIFHard
from spike_ssm.models.neurons.lif_soft import LIFSoft
from spike_ssm.models.neurons.refractory_lif import RefractoryLIF
from spike_ssm.models.nir.nodes import (
    SpikeSSMGELU,
    SpikeSSMGLU,
    SpikeSSMLayerNorm,
    SpikeSSMPooling,
    SpikeSSMRefractoryLIF,
    SpikeSSMS4D,
)
from spike_ssm.models.norm import ChannelLayerNorm, MaskedBatchNorm, NoNorm
from spike_ssm.models.ssm import S4D
from spike_ssm.models.ssm.discretisation import discretised

Signal = tuple[str, ...]
"""The nodes whose outputs add up to it."""


@torch.no_grad()
def to_nir(module: nn.Module) -> nir.NIRGraph:
    """The graph of a causal classifier in evaluation mode, or of a single neuron of ours; dt is one step.

    A classifier's graph takes the input of a step, [features], or [vocabulary], one-hot, and gives class scores,
    [classes], at the end of the sequence. A neuron's takes and gives [H] at every step. Arrays are in the precision of
    the parameters. Raises ValueError for what has no nodes, for a network in training mode, and for numbers that are
    not finite.
    """
    for name, values in (*module.named_parameters(), *module.named_buffers()):
        if not values.isfinite().all():
            raise ValueError(f"{name} is not finite, as after a training that diverged; no reader would take that.")
    graph = _Graph()
    if isinstance(module, Neuron):
        graph.leave(graph.neuron("neuron", module, graph.enter(module.channels)), module.channels)
    elif isinstance(module, Classifier):
        if module.training:
            raise ValueError("Only a network in evaluation mode can be exported to NIR; call its .eval() first.")
        graph.classifier(module)
    else:
        raise ValueError(
            f"A {type(module).__name__} cannot be exported to NIR: only a classifier of single sequences can, or one "
            "of its neurons."
        )
    return nir.NIRGraph(graph.nodes, graph.edges, metadata=_metadata())


def _metadata() -> dict[str, Any]:
    try:
        ours = version("spike-ssm")
    except PackageNotFoundError:  # a checkout that is not installed
        ours = "unknown"
    return {
        "dt": 1.0,
        "time": "discrete: nir.LIF by forward Euler with a step of dt, v + (v_leak - v + r I) / tau",
        "comparison": "after the step, v > v_threshold; v_threshold is the number below the threshold that fires",
        "reset": "at once: v = v_reset for the next step",
        "spike_ssm": ours,
    }


class _Graph:
    """A graph as it grows."""

    def __init__(self) -> None:
        self.nodes: dict[str, nir.NIRNode] = {}
        self.edges: list[tuple[str, str]] = []

    def add(self, name: str, node: nir.NIRNode, signal: Signal = ()) -> Signal:
        """The output of a new node that is given `signal`."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in signal]
        return (name,)

    def enter(self, size: int) -> Signal:
        """The graph's input [size]."""
        return self.add("input", nir.Input({"input": np.array([size])}))

    def leave(self, signal: Signal, size: int) -> None:
        """Make `signal` [size] the graph's output."""
        self.add("output", nir.Output({"output": np.array([size])}), signal)

    def neuron(self, name: str, neuron: Neuron, signal: Signal) -> Signal:
        """The output of `neuron`. Raises ValueError where there is no node for it."""
        if type(neuron) not in _NEURONS:
            known = ", ".join(each for each, (module, _) in NEURONS.items() if module in _NEURONS)
            raise ValueError(
                f"The neuron {neuron.settings.name} has no node in NIR, and none of ours; those that have are {known}."
            )
        return self.add(name, _NEURONS[type(neuron)](neuron), signal)

    def norm(self, name: str, norm: nn.Module, signal: Signal) -> Signal:
        """The output of `norm`, as it is in evaluation mode."""
        if isinstance(norm, NoNorm):
            return signal
        if isinstance(norm, MaskedBatchNorm):
            scale, shift = norm.scale_and_shift(norm.weight)
            return self.add(name, nir.Affine(np.diag(_array(scale)), _array(shift)), signal)
        assert isinstance(norm, ChannelLayerNorm)
        return self.add(name, SpikeSSMLayerNorm(_array(norm.weight), _array(norm.bias), norm.eps), signal)

    def block(self, name: str, block: Block, x: Signal) -> Signal:
        """The output of `block`; the residual is an edge."""

        def fired(place: str, signal: Signal) -> Signal:
            found = block.neurons.get(place)
            return signal if found is None else self.neuron(f"{name}_{place}", found, signal)

        enters = fired("before_ssm", self.norm(f"{name}_norm", block.norm, x) if block.prenorm else x)
        spikes = fired("after_ssm", self.add(f"{name}_ssm", _s4d(block.ssm), enters))
        assert block.mixing.bias is not None
        mixing = nir.Affine(_array(block.mixing.weight[..., 0]), _array(block.mixing.bias))
        mixed = self.add(f"{name}_mixing", mixing, spikes)
        gated = self.add(f"{name}_gate", SpikeSSMGLU(np.array([block.channels])), mixed)
        x = x + fired("after_mixing", gated)
        return x if block.prenorm else self.norm(f"{name}_norm", block.norm, x)

    def classifier(self, network: Classifier) -> None:
        """All of `network`. Raises ValueError for a bidirectional one."""
        backbone = network.backbone
        encoder, final_norm = backbone.encoder, backbone.final_norm or NoNorm(backbone.channels)
        if isinstance(encoder, nn.Embedding):
            x = self.add("encoder", nir.Linear(_array(encoder.weight.T)), self.enter(encoder.num_embeddings))
        else:
            node = nir.Affine(_array(encoder.weight), _array(encoder.bias))
            x = self.add("encoder", node, self.enter(encoder.in_features))
        for number, block in enumerate(network.blocks):
            x = self.block(f"block{number}", block, x)
        pooling = SpikeSSMPooling(np.array([backbone.channels]), backbone.pooling)
        if isinstance(final_norm, MaskedBatchNorm):  # a scale and a shift, which the network leaves for the end as well
            x = self.norm("final_norm", final_norm, self.add("pooling", pooling, x))
        else:
            x = self.add("pooling", pooling, self.norm("final_norm", final_norm, x))
        head = nir.Affine(_array(network.head.weight), _array(network.head.bias))
        self.leave(self.add("head", head, x), network.head.out_features)


def _array(values: Tensor) -> npt.NDArray[Any]:
    """A copy of `values`."""
    return np.ascontiguousarray(values.detach().numpy(force=True).copy())


def _below(threshold: Tensor) -> npt.NDArray[Any]:
    """The greatest numbers below `threshold`, [H], in its precision."""
    return _array(threshold.nextafter(torch.zeros_like(threshold)))


def _s4d(ssm: S4D) -> SpikeSSMS4D:
    if ssm.bidirectional:
        raise ValueError(
            "A bidirectional network looks ahead, and a graph of NIR runs forward in time; set "
            "model.bidirectional=false and train that."
        )
    dt_a, (weights,) = discretised(ssm.log_dt, ssm.log_decay, ssm.frequency, ssm.b, ssm.c)
    if not ssm.is_real:
        dt_a, weights = torch.view_as_real(dt_a), torch.view_as_real(weights)
    return SpikeSSMS4D(_array(dt_a), _array(weights), _array(ssm.d))


def _lif(neuron: LIFHard) -> nir.LIF:
    leak, threshold, *_ = neuron.parameters_now()
    tau = 1 / (1 - _array(leak.double()))
    zero = np.zeros(neuron.channels, _array(threshold).dtype)
    return nir.LIF(tau=tau, r=tau.copy(), v_leak=zero, v_threshold=_below(threshold), v_reset=zero.copy())


def _refractory_lif(neuron: IntegrateAndFire) -> SpikeSSMRefractoryLIF:
    if getattr(neuron.settings, "max_iterations", None) is not None:
        raise ValueError(
            "PMBC's paper mode is an approximation of the neuron that NIR would be given; set "
            "neuron.max_iterations=null and train that."
        )
    leak, threshold, refractory, decay = map(_array, neuron.parameters_now())
    return SpikeSSMRefractoryLIF(
        *(leak, threshold, refractory, decay), reset=neuron.rules.reset, raises_threshold=neuron.rules.raises_threshold
    )


_NEURONS: dict[type[Neuron], Callable[[Any], nir.NIRNode]] = {
    RefractoryLIF: _refractory_lif,
    LIFSoft: _refractory_lif,
    ALIF: _refractory_lif,
    LIFHard: _lif,
    Binary: lambda neuron: nir.Threshold(_below(neuron.threshold())),
    GELU: lambda neuron: SpikeSSMGELU(np.array([neuron.channels])),
}
