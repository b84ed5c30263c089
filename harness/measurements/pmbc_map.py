"""A map of where PMBC's bounds meet soon, over leak, decay, refractory magnitude and level of the input.

Every point of the grid is a channel with parameters of its own, and all points see the same noise. After M iterations
a position is undetermined when the spikes differ between the two ways to fill undetermined positions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from spike_ssm.harness.measurements.base import MeasurementSettings, standard_normal
from spike_ssm.models.neurons import NeuronSettings, RefractoryLIFSettings
from spike_ssm.models.ops.refractory_lif import Options, Rules, check_parameter, solve
from spike_ssm.results.errors import UserError

PARAMETERS = {"leaks": "leak", "decays": "decay", "magnitudes": "refractory"}
"""Setting -> the parameter whose values it lists."""


@dataclass
class PMBCMapSettings(MeasurementSettings):
    """The grid: every leak, decay and refractory magnitude (in thresholds) with every input N(mean, scale^2).

    Undetermined fractions are taken after 1 to `iterations` iterations. Each point has `batch` sequences.
    """

    least: ClassVar = {"iterations": 1}
    name: str = "pmbc_map"
    iterations: int = 6
    leaks: list[float] = field(default_factory=lambda: [0.1, 0.3, 0.5, 0.7, 0.9])
    decays: list[float] = field(default_factory=lambda: [0.0, 0.3, 0.5, 0.7, 0.9])
    magnitudes: list[float] = field(default_factory=lambda: [0.25, 0.5, 1.0])
    input_means: list[float] = field(default_factory=lambda: [-0.5, 0.0, 0.5])
    input_scales: list[float] = field(default_factory=lambda: [0.9])

    def __post_init__(self) -> None:
        """Raise ValueError when a value is out of range or a list is empty."""
        super().__post_init__()
        for label in (*PARAMETERS, "input_means", "input_scales"):
            if not getattr(self, label):
                raise ValueError(f"task.{label} must list at least one value.")
        for label, parameter in PARAMETERS.items():
            for value in getattr(self, label):
                check_parameter(parameter, value)


@dataclass(frozen=True)
class _Plane:
    """The points that share a magnitude and an input: parameters [P] and x [B, P, L]."""

    x: Tensor
    leak: Tensor
    decay: Tensor
    magnitude: float

    def solved(self, options: Options, points: slice = slice(None)) -> tuple[Tensor, int]:
        """Spikes [B, P, L] of these points with a threshold of 1, and the most iterations."""
        found = solve(self.x[:, points], self.leak[points], 1.0, self.magnitude, self.decay[points], options)
        return found.spikes, int(found.iterations)


def measure_pmbc_map(
    settings: PMBCMapSettings,
    neuron: NeuronSettings,
    *,
    seed: int,
    device: torch.device,
    report: Callable[[float], None],
) -> dict[str, Any]:
    """The column `pmbc_map`. Only the neuron's reset counts: the grid takes its parameters' place."""
    if not isinstance(neuron, RefractoryLIFSettings):
        raise UserError(f"task=pmbc_map maps neuron=refractory_lif, not neuron={neuron.name}.")
    noise = standard_normal(settings.batch, 1, settings.length, seed=seed, draw=0, device=device)
    levels = list(itertools.product(settings.magnitudes, settings.input_means, settings.input_scales))
    entries: list[dict[str, Any]] = []
    for place, (magnitude, mean, scale) in enumerate(levels):
        points = list(itertools.product(settings.leaks, settings.decays))
        leak, decay = torch.tensor(points, device=device).unbind(1)
        plane = _Plane((mean + scale * noise).expand(-1, len(points), -1), leak, decay, magnitude)
        rows = _measure_plane(plane, neuron.rules(), settings.iterations)
        for (leak_value, decay_value), row in zip(points, rows, strict=True):
            parameters = {"leak": leak_value, "decay": decay_value, "refractory": magnitude}
            entries.append({**parameters, "input_mean": mean, "input_scale": scale, **row})
        report((place + 1) / len(levels))
    return {"pmbc_map": entries}


@torch.no_grad()
def _measure_plane(plane: _Plane, rules: Rules, most_iterations: int) -> list[dict[str, Any]]:
    """Firing rate, undetermined fractions after 1, 2, ... iterations, and certified iterations of each point."""
    certified = Options(rules, "pmbc")
    spikes, _ = plane.solved(certified)
    undetermined = []
    for iterations in range(1, most_iterations + 1):
        approximate = certified._replace(max_iterations=iterations)
        highest, _ = plane.solved(approximate._replace(resolve="fire"))
        lowest, _ = plane.solved(approximate._replace(resolve="silent"))
        undetermined.append((highest != lowest).double().mean((0, 2)))
    return [
        {
            "firing_rate": float(spikes[:, point].mean()),
            "undetermined": [float(fractions[point]) for fractions in undetermined],
            "iterations": plane.solved(certified, slice(point, point + 1))[1],  # of this point alone
        }
        for point in range(spikes.shape[1])
    ]
