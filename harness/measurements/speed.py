"""Time of a training iteration of the neuron, beside the plain loop in the same process.

One iteration is forward and backward of the neuron alone, with the gradients of its input and of every trainable
parameter. Nothing is timed before the spikes are known to be right. The table that this repeats is in SpikingSSMs
(arXiv 2408.14909, Table 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from spike_ssm.harness.measurements.base import MeasurementSettings, standard_normal
from spike_ssm.harness.measurements.methods import Method, mismatch, subject_of
from spike_ssm.harness.measurements.timing import Contention, interleaved_medians
from spike_ssm.harness.system.seeds import seed_torch
from spike_ssm.models.neurons import NeuronSettings, build_neuron
from spike_ssm.results.errors import UserError

MIB = 2**20
QUIET = 0.1  # share of the processors that others may use before timings count as taken on a shared machine


@dataclass
class SpeedSettings(MeasurementSettings):
    """Input N(input_mean, input_scale^2) [batch, channels, length]; medians are over `rounds` iterations.

    `through_time` false is spatial learning through time: the loop without any gradient from step to step.
    """

    least: ClassVar = {"channels": 1, "rounds": 1, "input_scale": 0}
    name: str = "speed"
    channels: int = 64
    rounds: int = 5
    input_mean: float = 0.0
    input_scale: float = 0.9
    through_time: bool = True


def measure_speed(
    settings: SpeedSettings,
    neuron: NeuronSettings,
    *,
    seed: int,
    device: torch.device,
    report: Callable[[float], None],
) -> dict[str, Any]:
    """Times in ms, spikes and memory. Raises AssertionError when the spikes are not what they should be."""
    seed_torch(seed, "initialisation")
    subject = subject_of(build_neuron(settings.channels, neuron).to(device))
    method, loop = subject.method if settings.through_time else subject.spatial, subject.loop
    if method is None:
        raise UserError(f"task.through_time=false is for integrate-and-fire neurons, not neuron={neuron.name}.")
    shape = settings.batch, settings.channels, settings.length
    x = settings.input_mean + settings.input_scale * standard_normal(*shape, seed=seed, draw=0, device=device)
    grad = standard_normal(*shape, seed=seed, draw=1, device=device)
    with torch.no_grad():
        found, exact = method(x), loop(x).spikes
    subject.check(x, found.spikes)
    report(0.2)

    leaves = [x.requires_grad_(), *(p for p in subject.neuron.parameters() if p.requires_grad)]

    def train(run: Method) -> None:
        torch.autograd.grad(run(x).spikes, leaves, grad)

    memory = {"saved_mib": saved_mib(method, x), "peak_memory_mib": _peak_mib(partial(train, method), device)}
    candidates: dict[str, Callable[[], object]] = {
        "forward": torch.no_grad()(partial(method, x)),
        "train": partial(train, method),
        "loop": partial(train, loop),
    }
    contention = Contention()
    ms = interleaved_medians(candidates, settings.rounds, device)
    return {
        **({"machine_shared": True} if contention.share() > QUIET else {}),
        "parameters": sum(leaf.numel() for leaf in leaves[1:]),
        "train_ms_per_step": ms["train"],
        "forward_ms": ms["forward"],
        "loop_ms_per_step": ms["loop"],
        "times_loop": ms["loop"] / ms["train"],
        "firing_rate": float(found.spikes.mean()),
        "spike_mismatch": mismatch(found.spikes, exact),
        "undetermined": float(found.undetermined),
        "iterations": int(found.iterations) or None,
        **memory,
    }


def saved_mib(method: Method, x: Tensor) -> float:
    """MiB that one forward keeps for its backward; tensors that share memory count once."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        spikes = method(x).spikes  # alive until here, so that no memory is counted for two tensors
    del spikes
    return sum(kept.values()) / MIB


def _peak_mib(iteration: Callable[[], None], device: torch.device) -> float | None:
    """The GPU allocator's peak in one iteration. None on the CPU, where a process tells little of one operator."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    iteration()
    return torch.cuda.max_memory_allocated(device) / MIB
