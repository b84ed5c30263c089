"""The neurons that SpikingJelly has too: the same spikes, spike for spike."""

from __future__ import annotations

import math

import pytest
import torch
from spikingjelly.activation_based import neuron as theirs
from torch import Tensor

from spike_ssm.models.neurons import build_neuron
from spike_ssm.models.neurons.lif_hard import LIFHardSettings
from spike_ssm.models.neurons.lif_soft import LIFSoftSettings
from spike_ssm.models.neurons.psn import PSN, PSNSettings
from spike_ssm.models.neurons.sliding_psn import SlidingPSN, SlidingPSNSettings

CHANNELS = 16


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def time_first(module: torch.nn.Module, x: Tensor) -> Tensor:
    """SpikingJelly's spikes [B, H, L] of x [B, H, L]: its modules take [L, B, H]."""
    with torch.no_grad():
        spikes: Tensor = module(x.movedim(-1, 0)).movedim(0, -1)
    assert 0 < spikes.mean() < 1
    return spikes


@pytest.mark.parametrize("leak", [0.125, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize(("settings", "reset"), [(LIFSoftSettings, None), (LIFHardSettings, 0.0)])
def test_a_plain_lif_is_spikingjellys(
    leak: float, settings: type[LIFSoftSettings | LIFHardSettings], reset: float | None
) -> None:
    x = gaussian(4, CHANNELS, 1024) + 0.2
    node = theirs.LIFNode(tau=1 / (1 - leak), decay_input=False, v_threshold=1.0, v_reset=reset, step_mode="m")
    kept = 1 - 1 / node.tau  # the leak as SpikingJelly rounds it
    assert torch.equal(build_neuron(CHANNELS, settings(leak=kept))(x), time_first(node, x))


def test_the_psn_that_looks_ahead_is_spikingjellys() -> None:
    x, peer = gaussian(4, CHANNELS, 200), theirs.PSN(T=200)
    ours = PSN(CHANNELS, PSNSettings(length=200, causal=False))
    with torch.no_grad():
        peer.weight.copy_(3 * gaussian(200, 200) / math.sqrt(200))
        ours.weight.copy_(peer.weight)
    assert torch.equal(ours(x), time_first(peer, x))


def test_the_causal_psn_is_spikingjellys_masked_psn_of_full_order() -> None:
    x, peer = gaussian(4, CHANNELS, 200), theirs.MaskedPSN(k=200, T=200, lambda_init=1.0, step_mode="m")
    ours = PSN(CHANNELS, PSNSettings(length=200))
    with torch.no_grad():
        peer.weight.copy_(3 * gaussian(200, 200) / math.sqrt(200))
        ours.weight.copy_(peer.weight)
    assert torch.equal(ours(x), time_first(peer, x))


@pytest.mark.parametrize(("order", "length"), [(1, 50), (2, 200), (32, 200), (64, 50)])
def test_the_sliding_psn_is_spikingjellys(order: int, length: int) -> None:
    x, peer = gaussian(4, CHANNELS, length), theirs.SlidingPSN(k=order, step_mode="m")
    ours = SlidingPSN(CHANNELS, SlidingPSNSettings(order=order))
    assert torch.equal(ours.weight, peer.weight), "the initial weights"
    assert torch.equal(ours(x), time_first(peer, x))
    with torch.no_grad():
        peer.weight.copy_(gaussian(order))
        ours.weight.copy_(peer.weight)
    assert torch.equal(ours(x), time_first(peer, x))
