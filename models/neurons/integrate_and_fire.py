"""The leaky integrate-and-fire neurons, all of which are the operator `refractory_lif` under different rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.neurons.base import Neuron, ThresholdSettings, threshold_of
from spike_ssm.models.neurons.parameter import INVERSE_SOFTPLUS, LOGIT, ChannelParameter
from spike_ssm.models.ops.refractory_lif import Options, Rules, check_options, check_parameter, solve
from spike_ssm.models.ops.refractory_lif.options import choose_solver
from spike_ssm.models.ops.refractory_lif.parameters import stack_parameters
from spike_ssm.models.ops.refractory_lif.step import step
from spike_ssm.models.ssm.choice import SCANNED_AGAIN, numbers_of
from spike_ssm.models.ssm.scan import spiking_scan


@dataclass
class IntegrateAndFireSettings(ThresholdSettings):
    """Settings that all integrate-and-fire neurons have; leak, in (0, 1), is the fraction kept per step."""

    leak: float = 0.5
    leak_trainable: bool = False
    detach_reset: bool = True
    solver: str = "auto"

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        check_parameter("leak", self.leak)
        check_options(self.options())

    def rules(self) -> Rules:
        """The operator's rules."""
        return Rules(surrogate=self.surrogate, surrogate_width=self.surrogate_width, detach_reset=self.detach_reset)

    def options(self) -> Options:
        """The operator's options."""
        return Options(self.rules(), self.solver)


class State(NamedTuple):
    """State between steps: the potential after reset and the refractory current, each [B, H]."""

    after_reset: Tensor
    refractory_current: Tensor


class IntegrateAndFire(Neuron):
    """A neuron with a leak and a threshold; a subclass may give it a refractory current or an adaptive threshold.

    `_refractory` is in units of the threshold, so that scaling input and threshold together leaves the spikes as
    they are.
    """

    threshold: ChannelParameter

    def __init__(self, channels: int, settings: IntegrateAndFireSettings) -> None:
        super().__init__(channels, settings)
        self._options = settings.options()
        self.leak = ChannelParameter(channels, settings.leak, LOGIT, trainable=settings.leak_trainable)
        self.threshold = threshold_of(channels, settings)
        self._refractory: ChannelParameter | None = None
        self._decay: ChannelParameter | None = None

    def _add_refractory(
        self, channels: int, magnitude: float, magnitude_trainable: bool, decay: float, decay_trainable: bool
    ) -> None:
        self._refractory = ChannelParameter(channels, magnitude, INVERSE_SOFTPLUS, trainable=magnitude_trainable)
        self._decay = ChannelParameter(channels, decay, LOGIT, trainable=decay_trainable)

    def parameters_now(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Parameters leak, threshold, refractory magnitude (in units of potential) and decay, each [H]."""
        threshold = self.threshold()
        if self._refractory is None or self._decay is None:
            return self.leak(), threshold, torch.zeros_like(threshold), torch.zeros_like(threshold)
        return self.leak(), threshold, threshold * self._refractory(), self._decay()

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        found = solve(x, *self.parameters_now(), self._options)
        self.undetermined = found.undetermined
        return found.spikes

    def after_scan(
        self, x: Tensor, model: tuple[Tensor, Tensor, Tensor], affine: Tensor | None, lengths: Tensor | None
    ) -> Tensor:
        """Spikes [B, H, L] of `scan` of the same arguments, in one pass where that exists and is no slower."""
        exists = x.device.type == "cpu" and choose_solver(self._options, x) == "fused"
        if not exists or numbers_of(model) > SCANNED_AGAIN:
            return super().after_scan(x, model, affine, lengths)
        self.undetermined = x.new_zeros((), dtype=torch.float64)
        return spiking_scan(x, *model, self.parameters_now(), self.rules, affine=affine, lengths=lengths)

    @torch.no_grad()
    def potential(self, x: Tensor) -> Tensor:
        """Potentials [B, H, L] of x [B, H, L]; where the refractory current raises the threshold, less that current."""
        found = solve(x, *self.parameters_now(), self._options, return_potential=True).potential
        assert found is not None
        return found

    def stacked_parameters(self, x: Tensor) -> Tensor:
        """The parameters [4, H] of now, as a stream of steps x [B, H] takes them."""
        return stack_parameters(*self.parameters_now(), x[..., None], x.dtype)

    @property
    def rules(self) -> Rules:
        """The operator's rules."""
        return self._options.rules

    @torch.no_grad()
    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Spikes [B, H] of one time step x [B, H]; the same as `forward` gives for the sequence."""
        before = x.new_zeros(2, *x.shape) if state is None else torch.stack(state)
        spikes, after = step(x, self.stacked_parameters(x), self.rules, before)
        return spikes, State(*after)

    @torch.no_grad()
    def parameter_summary(self) -> dict[str, float]:
        """Means over channels of leak, threshold, refractory (in units of the threshold) and decay."""
        leak, threshold, refractory, decay = self.parameters_now()
        return {
            "leak": float(leak.mean()),
            "threshold": float(threshold.mean()),
            "refractory": float((refractory / threshold).mean()),
            "decay": float(decay.mean()),
        }

    def operations_per_step(self) -> tuple[float, float]:
        """The leak's 1 MAC; where there is a refractory current, its 1 MAC and 1 AC to subtract it."""
        refractory = self._refractory is not None and bool((self._refractory() > 0).any())
        return (2.0, 1.0) if refractory else (1.0, 0.0)
