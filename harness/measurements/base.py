"""The interface every measurement has: settings and a neuron in, result columns out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from spike_ssm.harness.system.seeds import seed_torch
from spike_ssm.models.neurons import NeuronSettings


@dataclass
class MeasurementSettings:
    """Settings of any measurement: input [batch, ..., length] drawn from a normal distribution.

    least: the lowest value of settings, all of which are finite; subclasses add theirs.
    """

    least: ClassVar[Mapping[str, float]] = {"batch": 1, "length": 1}
    name: str = "???"
    batch: int = 64
    length: int = 1024

    def __post_init__(self) -> None:
        """Raise ValueError when a value is out of range."""
        for base in reversed(type(self).__mro__):
            for label, least in vars(base).get("least", {}).items():
                value = getattr(self, label)
                if not least <= value < math.inf:
                    raise ValueError(f"task.{label} must be a number of at least {least}, but it is {value}.")


class Measure(Protocol):
    """A measurement: columns of `results.schema.RUN`.

    `neuron` is the one to be measured, `seed` decides its input, and `report` takes the share done, in [0, 1].
    Raises an error with a sentence when the neuron is not one that can be measured, or is wrong.
    """

    def __call__(
        self,
        settings: Any,
        neuron: NeuronSettings,
        *,
        seed: int,
        device: torch.device,
        report: Callable[[float], None],
    ) -> dict[str, Any]:
        """The columns of the result."""


def standard_normal(*shape: int, seed: int, draw: int, device: torch.device) -> Tensor:
    """The `draw`-th sample of N(0, 1) of a run with this seed: the same on every device."""
    seed_torch(seed, "noise", draw)
    return torch.randn(shape).to(device)
