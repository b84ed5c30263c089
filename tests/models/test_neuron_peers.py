"""The neurons that others have published code of: the same spikes, spike for spike.

SpikingJelly's run here. What the public code of `brf` and `tc_lif` gave is in peers/NAME.json, with the repository, the
commit and the seed; peers/published.py is the script that made it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import neuron as theirs
from torch import Tensor

from spike_ssm.models.neurons import build_neuron
from spike_ssm.models.neurons.brf import BRF, BRFSettings
from spike_ssm.models.neurons.lif_hard import LIFHardSettings
from spike_ssm.models.neurons.lif_soft import LIFSoftSettings
from spike_ssm.models.neurons.psn import PSN, PSNSettings
from spike_ssm.models.neurons.sliding_psn import SlidingPSN, SlidingPSNSettings
from spike_ssm.models.neurons.tc_lif import TCLIF, TCLIFSettings
from tests.models.peers import published

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


def asked(name: str) -> list[dict[str, Any]]:
    """What is stored of the public code of `name`, case by case."""
    found = json.loads((Path(__file__).parent / "peers" / f"{name}.json").read_text())
    cases: list[dict[str, Any]] = found.pop("cases")
    assert found == published.described(name), "made by this script, of this commit and with this seed"
    return cases


def unpacked(found: dict[str, Any]) -> Tensor:
    """The stored spikes, [B, H, L]."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(found["packed"]), np.uint8), count=math.prod(published.SHAPE))
    spikes = torch.from_numpy(bits.astype(np.float64)).view(published.SHAPE)
    assert float(spikes.mean()) == pytest.approx(found["rate"])
    return spikes


@pytest.mark.parametrize("solver", ["sequential", "fused"])
def test_the_balanced_resonator_is_its_authors(solver: str) -> None:
    """At the threshold 1 / dt, because there the input is multiplied by dt."""
    (found,) = asked("brf")
    x, omega, b_offset = published.given_to_brf()
    settings = BRFSettings(threshold=found["theta"] / found["dt"], threshold_trainable=False, solver=solver)
    ours = BRF(published.CHANNELS, settings).double()
    with torch.no_grad():
        ours.rotation.stored.copy_((found["dt"] * omega).logit())
        ours.b_offset.stored.copy_(b_offset.expm1().log())
    assert torch.equal(ours(x), unpacked(found))


@pytest.mark.parametrize("solver", ["sequential", "fused"])
@pytest.mark.parametrize("case", range(4))
def test_the_two_compartments_are_their_authors_and_so_are_the_gradients(case: int, solver: str) -> None:
    """Theirs is the triangle of half-width 1 in units of potential, and a gradient through every reset."""
    found = asked("tc_lif")[case]
    (x, weights), threshold = published.given_to_tc_lif(), found["threshold"]
    settings = TCLIFSettings(
        threshold=threshold,
        threshold_trainable=False,
        betas_shared=True,
        gamma=found["gamma"] / threshold,
        surrogate_width=1 / threshold,
        detach_reset=found["detach_reset"],
        solver=solver,
    )
    ours = TCLIF(published.CHANNELS, settings).double()
    raw = [ours.beta_1.stored, ours.beta_2.stored]
    with torch.no_grad():
        ours.threshold.stored.fill_(threshold)  # which was rounded to single precision
        for stored, value in zip(raw, found["raw"], strict=True):
            stored.fill_(value)
    spikes = ours(x.requires_grad_())
    assert torch.equal(spikes, unpacked(found))
    by_x, *by_raw = torch.autograd.grad((spikes * weights).sum(), (x, *raw))
    # the public code's gradient of a spike is in single precision
    torch.testing.assert_close(torch.cat(by_raw), torch.tensor(found["by_raw"]).double(), rtol=1e-4, atol=1e-4)
    expected = torch.tensor(found["by_input"]).double()
    torch.testing.assert_close(by_x[..., ::60].flatten(), expected, rtol=1e-4, atol=1e-5)
