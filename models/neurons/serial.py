"""The neurons of `models.ops.serial`: each step waits for the spikes of the one before, and a spike acts not linearly
on one potential alone, so that they are not the refractory LIF under other rules."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spike_ssm.models.neurons.base import Neuron, ThresholdSettings, threshold_of
from spike_ssm.models.neurons.parameter import ChannelParameter
from spike_ssm.models.ops.precision import without_autocast
from spike_ssm.models.ops.serial import Rules, State, check_solver, serial
from spike_ssm.models.ops.serial.interface import start, step


@dataclass
class SerialSettings(ThresholdSettings):
    """Settings that all serial neurons have.

    detach_reset: spikes that act on the next step are constants to the gradient; by default it flows through them, as
    in the neurons' own codes. solver: `auto`, `sequential` or `fused` (on a CPU); the same spikes.
    """

    detach_reset: bool = False
    solver: str = "auto"

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        check_solver(self.solver)


class Serial(Neuron):
    """A serial neuron; a subclass says which of `DYNAMICS` it is, how its states are called, and its parameters now."""

    dynamics: ClassVar[str]
    names: ClassVar[Callable[..., State]]  # a named tuple of its states
    threshold: ChannelParameter

    def __init__(self, channels: int, settings: SerialSettings) -> None:
        super().__init__(channels, settings)
        self._rules = Rules(settings.surrogate, settings.surrogate_width, settings.detach_reset)
        self._solver = settings.solver
        self.threshold = threshold_of(channels, settings)

    @abstractmethod
    def parameters_now(self) -> Tensor:
        """Parameters [P, H], those of `DYNAMICS[self.dynamics]` in its order, in at least float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        with without_autocast(x):
            return serial(x, self.parameters_now(), self.dynamics, self._rules, self._solver)[0]

    @torch.no_grad()
    def potential(self, x: Tensor) -> Tensor:
        """Potentials [B, H, L] of x [B, H, L] that the threshold is compared with."""
        with without_autocast(x):
            given = self.parameters_now(), self.dynamics, self._rules, self._solver
            potential = serial(x, *given, keep_potential=True)[1]
        assert potential is not None
        return potential

    @torch.no_grad()
    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Spikes [B, H] of one time step x [B, H]; the same as `forward` gives for the sequence."""
        dtype = x.dtype if x.dtype == torch.float64 else torch.float32
        with without_autocast(x):
            given, parameters = x.to(dtype), self.parameters_now().to(dtype)
            spikes, after = step(
                given, start(given, self.dynamics) if state is None else state, parameters, self.dynamics
            )
        return spikes.to(x.dtype), self.names(*after)
