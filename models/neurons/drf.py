"""The dendritic resonate-and-fire neuron: damped oscillators side by side, and a threshold that recent input raises.

    z_i[t] = e^(delta (-1 / tau_i + i omega_i)) z_i[t-1] + x[t]      for dendrites i = 1..n
    h[t]   = sum_i c_i Re z_i[t]
    r[t]   = threshold sum_{k=1..window} alpha_k [h[t-k] >= threshold]
    s[t]   = 1 if h[t] >= threshold + r[t] else 0

What raises the threshold is not a spike but the first comparison, so that no step waits for another. Source: Zhang et
al. 2025 (NeurIPS, arXiv 2509.17186). No public code of theirs is known to us, and this is our reading: c_i takes up
their gain gamma_i of the input, and decay and frequency their delta; the alpha_k, one a step of the past, are shared by
all channels; window, initial values and units, alpha in thresholds, are ours. Dendrites begin as the states of S4D-Lin
that turn, tau_i = 2 and omega_i = pi i with delta drawn per channel, and c_i so that h is about N(0, 1) where x is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.feedforward import FeedForward
from spike_ssm.models.neurons.parameter import own_random_numbers
from spike_ssm.models.neurons.sliding_psn import causal_filter
from spike_ssm.models.ops.surrogate import spike
from spike_ssm.models.ssm.causal import causal


@dataclass
class DRFSettings(ThresholdSettings):
    """Settings of drf.

    dendrites n >= 1 a channel. dt_min, dt_max: each channel's delta is drawn log-uniformly from here, > 0.
    adaptive_threshold: false leaves it where it is, r[t] = 0. window >= 1: steps of the past that raise it.
    alpha in (0, 1): alpha_k begins as alpha^k.
    """

    name: str = "drf"
    dendrites: int = 8
    dt_min: float = 1e-3
    dt_max: float = 1e-1
    adaptive_threshold: bool = True
    window: int = 8
    alpha: float = 0.3

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        super().__post_init__()
        for label, value in (("dendrites", self.dendrites), ("window", self.window)):
            if value < 1:
                raise ValueError(f"{label} must be at least 1, but it is {value}.")
        if not 0 < self.dt_min <= self.dt_max < math.inf:
            raise ValueError(
                f"dt_min and dt_max must obey 0 < dt_min <= dt_max, but they are {self.dt_min} and {self.dt_max}."
            )
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be in (0, 1), but it is {self.alpha}.")


class State(NamedTuple):
    """State between steps: the dendrites, complex [B, H, n], and what the latest steps compared, [B, H, window]."""

    dendrites: Tensor
    crossed: Tensor


class DRF(FeedForward):
    """The dendritic neuron over `channels` channels H; its potential is h - r, to be compared with `threshold`."""

    def __init__(self, channels: int, settings: DRFSettings) -> None:
        super().__init__(channels, settings)
        n = settings.dendrites
        with own_random_numbers() as numbers:
            low, high = math.log(settings.dt_min), math.log(settings.dt_max)
            log_dt = torch.empty(channels, 1).uniform_(low, high, generator=numbers)
            c = normalize(torch.randn(channels, n, generator=numbers))
        self.log_decay = nn.Parameter((log_dt - math.log(2)).repeat(1, n))  # delta / tau_i
        self.frequency = nn.Parameter(log_dt.exp() * math.pi * torch.arange(1, n + 1))  # delta omega_i
        self.weight = nn.Parameter(c * (2 * log_dt.exp()).sqrt())
        raw = torch.logit(settings.alpha ** torch.arange(settings.window, 0, -1))  # the latest step comes last
        self.alpha_logit = nn.Parameter(raw) if settings.adaptive_threshold else None

    def _dendrites(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of what dendrites keep, complex [H, n], and their weights, [H, n], in the precision of x."""
        return torch.complex(-self.log_decay.to(x.dtype).exp(), self.frequency.to(x.dtype)), self.weight.to(x.dtype)

    def _raising(self, x: Tensor) -> Tensor:
        """What a comparison of a step of the past, or of the present, adds to the threshold, [window + 1]."""
        assert self.alpha_logit is not None
        raising: Tensor = pad(self.alpha_logit.to(x.dtype).sigmoid(), (0, 1))
        return raising

    def _integrate(self, x: Tensor) -> Tensor:
        log_kept, weight = self._dendrites(x)
        h = causal(x, log_kept, torch.complex(weight / 2, torch.zeros_like(weight)))  # it takes the real part twice
        if self.alpha_logit is None:
            return h
        threshold: Tensor = self.threshold().to(x.dtype)[:, None]
        crossed = spike(h, threshold, *self._surrogate)
        return h - threshold * causal_filter(crossed, self._raising(x))

    def _integrate_step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        log_kept, weight = self._dendrites(x)
        before = 0 if state is None else log_kept.exp() * state.dendrites
        dendrites = before + x[..., None].to(log_kept.dtype)
        h = (weight * dendrites.real).sum(-1)
        if self.alpha_logit is None:
            return h, State(dendrites, x.new_zeros(*x.shape, 0))
        threshold = self.threshold().to(x.dtype)
        past = x.new_zeros(*x.shape, len(self.alpha_logit)) if state is None else state.crossed
        raised = threshold * (past @ self._raising(x)[:-1])
        crossed = spike(h, threshold, *self._surrogate)[..., None]
        return h - raised, State(dendrites, torch.cat((past[..., 1:], crossed), -1))

    @torch.no_grad()
    def parameter_summary(self) -> dict[str, float]:
        """The mean of what a dendrite keeps per step (`leak`), and the threshold's over channels."""
        leak = (-self.log_decay.exp()).exp()
        return {"leak": float(leak.mean()), **super().parameter_summary()}

    def operations_per_step(self) -> tuple[float, float]:
        """5 MACs a dendrite, 4 that turn it and 1 for its weight; 1 AC for the input; and where the threshold adapts an
        AC for each step of the window, as if all had raised it."""
        n, window = self.weight.shape[1], 0 if self.alpha_logit is None else len(self.alpha_logit)
        return 5.0 * n, float(n + window)
