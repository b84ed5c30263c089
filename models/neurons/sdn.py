"""The surrogate dynamic network of SpikingSSMs: a frozen network predicts what a hard-reset LIF's membrane holds.

    v_t = x_t / threshold
    u_t = v_t + f(v_{t-8}, ..., v_{t-1})    with v = 0 before the first step
    s_t = 1 if u_t >= 1 else 0

f has 153 parameters and was trained (models/neurons/train_sdn.py) on the neuron lif_hard with leak 0.125 and threshold
1: f approximates leak * u_{t-1} * (1 - s_{t-1}), so all steps can be computed at once. How often it is wrong stands
in its file. Its contribution is a constant to the gradient, so that none flows through time. Source: Shen et al. 2024
(arXiv 2408.14909) and its public code, which trains f with batch normalisation and takes that into the layers; the
parameters are ours.

Eight steps of input do not always tell what the membrane holds. Input that stays between 0.89 and 1 thresholds makes
lif_hard fire at every second step, at which depends on the very first: there f is no better than chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.feedforward import FeedForward

NETWORK_FILE = Path(__file__).with_name("sdn.safetensors")
LEAK = 0.125
WINDOW = 8
HIDDEN = 8

_WINDOWS_AT_ONCE = 2**18  # at 8 hidden channels in float32, 8 MiB a layer


@dataclass
class SDNSettings(ThresholdSettings):
    """Settings of sdn: threshold > 0 in units of potential. The leak is the network's, 0.125."""

    revision: ClassVar[int] = 1  # the network has the published skip
    name: str = "sdn"


class ContributionNetwork(nn.Module):
    """The network f: windows [..., 8] of past input, in thresholds, -> contributions [...].

    Convolutions of width 8, 1 and 1 over 8 channels, with a skip around the second. A convolution of width 8 over one
    channel is a linear map of windows of 8. The first relu is in the published file, though not in its name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WINDOW, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Contributions [...] of windows [..., 8], both in thresholds."""
        hidden = relu(self.first(windows))
        contribution: Tensor = self.last(relu(self.second(hidden) + hidden))
        return contribution[..., 0]


def past_windows(x: Tensor) -> Tensor:
    """View [..., L, 8] of x [..., L]: the inputs x_{t-8}, ..., x_{t-1} of each step t, zero before the first."""
    return pad(x, (WINDOW, 0))[..., :-1].unfold(-1, WINDOW, 1)


class SDN(FeedForward):
    """The SDN neuron over `channels` channels H. Streaming keeps the last inputs [B, H, 8], in thresholds."""

    def __init__(self, channels: int, settings: SDNSettings) -> None:
        super().__init__(channels, settings)
        with torch.random.fork_rng(devices=[]):  # what is drawn is overwritten, and must not shift what others draw
            self.network = ContributionNetwork().requires_grad_(False)
        self.network.load_state_dict(load_file(NETWORK_FILE))

    @staticmethod
    def stated_spike_error() -> float:
        """Share of steps whose spike differs from lif_hard's on input from N(0, 1), threshold 1; in [0, 1]."""
        with safe_open(NETWORK_FILE, "pt") as file:
            return float(file.metadata()["spike_error"])

    @torch.no_grad()
    def _contribution(self, windows: Tensor) -> Tensor:
        """Contributions f [...] of windows [..., 8], both in thresholds; computed in the network's precision."""
        own = next(self.network.parameters()).dtype
        return self.network(windows.to(own)).to(windows.dtype)  # type: ignore[no-any-return]

    def _integrate(self, x: Tensor) -> Tensor:
        threshold: Tensor = self.threshold()[:, None]
        windows = past_windows((x / threshold).detach())
        # hidden layers take eight times the memory of x: some examples at a time
        examples = max(1, _WINDOWS_AT_ONCE // max(1, x.shape[1] * x.shape[2]))
        parts = [self._contribution(part) for part in windows.split(examples)]
        return threshold * torch.cat(parts) + x

    def _integrate_step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        threshold: Tensor = self.threshold()
        window = x.new_zeros(*x.shape, WINDOW) if state is None else state
        potential = threshold * self._contribution(window) + x
        return potential, torch.cat([window[..., 1:], (x / threshold).detach()[..., None]], -1)

    def parameter_summary(self) -> dict[str, float]:
        """The leak, 0.125, and the threshold's mean over channels."""
        return {"leak": LEAK, **super().parameter_summary()}

    def operations_per_step(self) -> tuple[float, float]:
        """MACs of the network, and 1 AC to add the input.

        Its biases take up the threshold, and its second layer the skip: the weights plus the identity. The neuron that
        it stands for, lif_hard, needs 1 MAC.
        """
        return float(WINDOW * HIDDEN + HIDDEN * HIDDEN + HIDDEN), 1.0
