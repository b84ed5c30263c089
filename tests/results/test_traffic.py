"""Bytes that a token moves, and the dense network of as many bits, counted by hand for a tiny network."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from spike_ssm.harness.training.network_measures import energy_measures
from spike_ssm.models.network import Inputs, ModelSettings, build_network
from spike_ssm.models.neurons import NEURONS, NeuronSettings, RefractoryLIFSettings
from spike_ssm.models.neurons.gelu import GELUSettings
from spike_ssm.models.neurons.lif_soft import LIFSoftSettings
from spike_ssm.results.traffic import E_BYTE_NJ, STATES_PER_MAC, Token

H, N, CLASSES, LENGTH, RATE = 12, 4, 10, 50, 0.25
MODEL = ModelSettings(layers=1, channels=H, state_size=N)
REFRACTORY = RefractoryLIFSettings()
NUMBER_PJ = 4 * 12.5


def token(model: ModelSettings = MODEL, neuron: NeuronSettings = REFRACTORY, rate: float | None = RATE) -> Token:
    network = build_network("classification", Inputs(18), CLASSES, model, neuron)
    rates = [rate] * len(network.neurons)
    rows = energy_measures(network, LENGTH, [each or 0.0 for each in rates])["operations"]
    return Token(rows, rates, {"model": asdict(model), "neuron": asdict(neuron)})


def moved(tokens: Token, part: str) -> tuple[float, float]:
    cost = replace(tokens, operations=[row for row in tokens.operations if row["part"] == part]).cost()
    return cost.parameters, cost.states


def test_the_numbers_that_each_part_moves_by_hand() -> None:
    complex_states = 2 * H * N // 2  # of two directions
    found = {part: moved(token(), part) for part in ("encoder", "norm", "ssm", "gate", "residual", "head")}
    assert found == {
        "encoder": (H, 0),  # a row of the embedding
        "norm": (2 * H, 0),
        "ssm": (complex_states * 6 + H, complex_states * 4),  # decay, input, output and the skip; read and written
        "gate": (0, 0),
        "residual": (0, 0),
        "head": (pytest.approx((H + 1) * CLASSES / LENGTH + H), 0),
    }
    both = replace(token(), operations=[row for row in token().operations if row["layer"] == 0])
    assert moved(both, "projection") == (RATE * H * 2 * H + 2 * H, 0), "weights of silent inputs are not read"
    assert moved(both, "neuron") == (3 * H, 4 * H), "leak, decay and threshold; potential and current, twice"


def test_energy_is_that_of_the_operations_and_of_the_bytes() -> None:
    tiny = token()
    cost = tiny.cost()
    assert (cost.parameters, cost.states) == pytest.approx((12 + 24 + 300 + 36 + 96 + 14.6, 192 + 48))
    assert cost.bytes_moved == 4 * (cost.parameters + cost.states)
    operations = 4.6e-3 * cost.multiply_accumulates + 0.9e-3 * cost.accumulates
    assert cost.energy_nj() == pytest.approx(operations + cost.bytes_moved * E_BYTE_NJ)
    assert cost.energy_nj(weights_held=True) == pytest.approx(operations + 4 * cost.states * E_BYTE_NJ)


def test_the_matched_network_reads_and_accumulates_every_weight_and_has_no_state_in_the_neurons_place() -> None:
    spiking, dense = token(rate=1.0).cost(), token().matched_cost()
    assert spiking.multiply_accumulates - dense.multiply_accumulates == 2 * H
    assert spiking.accumulates - dense.accumulates == 2 * H, "the current and the reset"
    assert (spiking.parameters - dense.parameters, spiking.states - dense.states) == (2 * H, 4 * H)


def test_the_break_even_rate_by_hand() -> None:
    weights, weight_pj = H * 2 * H, 0.9 + NUMBER_PJ
    neurons_pj = H * (
        2 * 4.6 + 0.9 + 6 * NUMBER_PJ
    )  # two parameters and four accesses to the states, beside thresholds
    expected = (weights * weight_pj - neurons_pj) / (weights * weight_pj + H * 0.9)
    assert token().break_even() == pytest.approx(expected)
    assert token(rate=0.9).break_even() == pytest.approx(expected), "whatever the rate at which it was counted"
    assert token().break_even(weights_held=True) == 0, "states alone cost more than so few accumulates"


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "changes", [{}, {"spikes_per_direction": True}, {"neuron_placement": "around_ssm"}, {"initialisation": "real"}]
)
def test_at_the_break_even_rate_both_take_the_same(changes: dict[str, Any], held: bool) -> None:
    wide = token(replace(MODEL, channels=512, **changes), LIFSoftSettings())
    rate = wide.break_even(weights_held=held)
    assert 0 < rate < 1
    assert wide.cost(rate).energy_nj(weights_held=held) == pytest.approx(
        wide.matched_cost().energy_nj(weights_held=held)
    )


@pytest.mark.parametrize("changes", [{}, {"spikes_per_direction": True}, {"neuron_placement": "after_mixing"}])
def test_a_cost_at_another_rate_is_the_one_that_is_counted_there(changes: dict[str, Any]) -> None:
    model = replace(MODEL, layers=2, **changes)
    assert token(model, rate=0.1).cost(0.7) == pytest.approx(token(model, rate=0.7).cost())


def test_real_states_are_single_numbers() -> None:
    states = 2 * H * N
    assert moved(token(replace(MODEL, initialisation="real")), "ssm") == (3 * states + H, 2 * states)


def test_dense_networks_have_a_cost_and_nothing_to_be_matched_with() -> None:
    dense = token(neuron=GELUSettings(), rate=None)
    assert dense.countable
    assert not dense.spikes
    assert moved(dense, "projection") == (H * 2 * H + 2 * H, 0)


@pytest.mark.parametrize(("name", "numbers"), [("lif_soft", 1), ("brf", 3), ("tc_lif", 2), ("drf", 2 * 8)])
def test_a_neurons_state_is_read_and_written_once_a_step(name: str, numbers: int) -> None:
    _, states = moved(token(neuron=NEURONS[name][1]()), "neuron")
    assert states == pytest.approx(2 * H * numbers)


def test_every_neuron_is_countable_and_one_of_your_own_is_not() -> None:
    assert set(STATES_PER_MAC) == set(NEURONS)
    tiny = token()
    assert not replace(tiny, config={**tiny.config, "neuron": {"name": "delta"}}).countable
    assert not replace(tiny, config={}).countable
    assert not replace(tiny, operations=[]).countable
    assert not replace(tiny, firing_rates=[]).spikes
