"""Weights and states in few bits, and networks that compute step by step."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.harness.config.robustness import FULL_PRECISION
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.splits import Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.robustness.rounding import (
    StateRounding,
    causal_parts,
    rounded,
    rounded_parameters,
    rounded_weights,
)
from spike_ssm.harness.training.evaluation import Evaluation, evaluate
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.models.network import Network
from spike_ssm.models.neurons import NEURONS
from spike_ssm.models.ssm import S4D

SettingsOf = Callable[..., Settings]


def network_of(settings: Settings, data: Dataset) -> Network:
    return Trainer(settings, data, lambda _: None).network.eval()


def answers(network: Network, split: Split) -> Evaluation:
    return evaluate(network, split, 16, torch.device("cpu"))


# --- weights

numbers = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=20).map(torch.tensor)


@settings(deadline=None)
@given(numbers, st.integers(2, 12))
def test_rounding_is_to_the_nearest_of_equal_steps_symmetric_around_0(x: Tensor, bits: int) -> None:
    largest = float(x.abs().max())
    found = rounded(x, largest, bits)
    step = largest / (2 ** (bits - 1) - 1)
    assert ((found - x).abs() <= step / 2 + 1e-5).all()
    assert torch.equal(rounded(-x, largest, bits), -found)
    assert len(set(found.tolist())) <= 2**bits - 1
    torch.testing.assert_close(rounded(found, largest, bits), found)


def test_beyond_its_range_a_state_is_clipped() -> None:
    assert rounded(torch.tensor([-5.0, 0.2, 5.0]), 1.0, 2).tolist() == [-1.0, 0.0, 1.0]


def test_biases_norms_and_the_neurons_numbers_are_not_rounded(tiny: SettingsOf, data: Dataset) -> None:
    network = network_of(tiny(), data)
    chosen = {id(parameter) for parameter in rounded_parameters(network)}
    names = {name.removeprefix("backbone.") for name, each in network.named_parameters() if id(each) in chosen}
    ssm = {f"blocks.0.ssm.{name}" for name in ("log_dt", "log_decay", "frequency", "b", "c", "d")}
    assert names == {"encoder.weight", "blocks.0.mixing.weight", "head.weight", *ssm}


def test_weights_have_few_values_inside_and_are_as_before_afterwards(tiny: SettingsOf, data: Dataset) -> None:
    network = network_of(tiny(), data)
    before = copy.deepcopy(network.state_dict())
    with rounded_weights(network, 3):
        assert all(len(each.unique()) <= 7 for each in rounded_parameters(network))
        assert any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_bidirectional_ssm_is_two_that_can_be_streamed() -> None:
    ssm, x = S4D(4, 6).double(), torch.randn(2, 4, 9, dtype=torch.float64)
    causal, ahead = causal_parts(ssm)
    found = causal(x) + torch.nn.functional.pad(ahead(x.flip(-1)).flip(-1)[..., 1:], (0, 1))
    torch.testing.assert_close(found, ssm(x))


def test_rounded_states_change_answers_more_the_fewer_the_bits(tiny: SettingsOf, data: Dataset) -> None:
    network = network_of(tiny("model.layers=2"), data)
    states = StateRounding(network)
    with states.streamed(FULL_PRECISION):
        full = answers(network, data.test)
    off = []
    for bits in (12, 3):
        with states.streamed(bits):
            off.append(float((answers(network, data.test).scores - full.scores).abs().mean()))
    assert off[0] < off[1]


# --- states

STREAMED = sorted(set(NEURONS) - {"pspike"})  # it draws: streamed and at once it draws other numbers in deeper layers


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("neuron", STREAMED)
def test_streaming_without_rounding_is_the_network_itself(
    tiny: SettingsOf, data: Dataset, neuron: str, bidirectional: bool
) -> None:
    """In double precision, where rounding flips no spike."""
    network = network_of(
        tiny(f"neuron={neuron}", f"model.bidirectional={bidirectional}", "model.layers=2"), data
    ).double()
    clean = answers(network, data.test)
    with StateRounding(network).streamed(FULL_PRECISION):
        streamed = answers(network, data.test)
    assert torch.equal(streamed.predictions, clean.predictions)
    torch.testing.assert_close(streamed.scores, clean.scores, rtol=1e-6, atol=1e-8)
