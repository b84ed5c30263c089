"""What a network computes for one token, counted by hand, and the energy it stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spike_ssm.models.network import Inputs, LanguageModel, ModelSettings, Network, build_network
from spike_ssm.models.neurons import RefractoryLIFSettings
from spike_ssm.models.neurons.gelu import GELUSettings
from spike_ssm.models.operations import PARTS, Operations
from spike_ssm.results.energy import energy_nj, energy_of

H, N, CLASSES, LENGTH = 12, 4, 10, 50
MODEL = ModelSettings(layers=2, channels=H, state_size=N)
TOKENS, NUMBERS = Inputs(18), Inputs(None, 3)


def network(model: ModelSettings = MODEL, inputs: Inputs = TOKENS, kind: str = "classification") -> Network:
    return build_network(kind, inputs, CLASSES, model, RefractoryLIFSettings())


def parts(net: Network, *, dense: bool = False) -> dict[tuple[str, int | None], Operations]:
    return {(part.name, part.layer): part.operations for part in net.operations_per_step(LENGTH, dense=dense)}


def total(net: Network, *, dense: bool = False, rate: float = 0.0) -> tuple[float, float]:
    found = [part.operations.at(rate) for part in net.operations_per_step(LENGTH, dense=dense)]
    return sum(each[0] for each in found), sum(each[1] for each in found)


def test_the_parts_of_a_block_by_hand() -> None:
    found = parts(network())
    assert {name for name, _ in found} == set(PARTS)
    for layer in (0, 1):
        assert found["ssm", layer] == (H * (2 * N // 2 * 8 + 1), 0, 0), "two directions: decay 4, input 2, output 2; D"
        assert found["neuron", layer] == (2 * H, H, H), "leak, decay; the current; the reset"
        assert found["projection", layer] == (0, 2 * H, 2 * H * H)
        assert (found["norm", layer], found["gate", layer]) == ((H, 0, 0), (H, 0, 0))
        assert found["residual", layer] == (0, H, 0)


def test_a_dense_activation_multiplies_in_the_projection_and_has_no_neuron() -> None:
    found = parts(network(), dense=True)
    assert ("neuron", 0) not in found
    assert found["projection", 0] == (2 * H * H, 2 * H, 0)
    gelu = build_network("classification", TOKENS, CLASSES, MODEL, GELUSettings())
    assert gelu.operations_per_step(LENGTH) == gelu.operations_per_step(LENGTH, dense=True)
    assert parts(gelu) == found


def test_encoder_last_norm_and_head_of_a_classifier() -> None:
    found = parts(network(replace(MODEL, prenorm=True), NUMBERS))
    assert found["encoder", None] == (3 * H, H, 0)
    assert found["norm", None] == (H, 0, 0)
    assert found["head", None] == pytest.approx((H * CLASSES / LENGTH, CLASSES / LENGTH + H, 0))
    assert parts(network())["encoder", None] == (0, 0, 0), "looking up an embedding"


def test_a_pairs_head_is_shared_by_the_tokens_of_both() -> None:
    macs = 4 * H * H + H * CLASSES + H
    found = parts(network(kind="pairs"))["head", None]
    assert found == pytest.approx((macs / (2 * LENGTH), (H + CLASSES + H) / (2 * LENGTH) + H, 0))


@pytest.mark.parametrize("cutoffs", [[], [6]])
def test_a_language_models_head_works_at_every_token(cutoffs: list[int]) -> None:
    model = replace(MODEL, bidirectional=False, norm="layer", softmax_cutoffs=cutoffs, softmax_divisor=2)
    net = network(model, kind="language")
    assert isinstance(net, LanguageModel)
    weights = sum(weight.numel() for name, weight in net.words.named_parameters() if name.endswith("weight"))
    assert parts(net)["head", None].multiply_accumulates == weights


def test_spikes_of_each_direction_cost_twice_the_neurons_and_their_accumulates_and_no_more() -> None:
    summed, apart = parts(network()), parts(network(replace(MODEL, spikes_per_direction=True)))
    assert apart["projection", 0].accumulates_per_rate == 2 * summed["projection", 0].accumulates_per_rate
    assert tuple(apart["neuron", 0]) == tuple(2 * count for count in summed["neuron", 0])
    same = ("ssm", "norm", "gate", "residual")
    assert [apart[name, 0] for name in same] == [summed[name, 0] for name in same]


def test_energy_grows_with_the_firing_rate_and_is_below_dense_wherever_an_accumulate_is_cheaper() -> None:
    net = network()
    energies = [energy_nj(*total(net, rate=rate)) for rate in (0.0, 0.1, 0.5, 1.0)]
    assert energies == sorted(energies)
    assert energies[-1] < energy_nj(*total(net, dense=True))


def test_the_published_example_of_wikitext103() -> None:
    """SpikingSSMs (arXiv 2408.14909): 275.2 G MAC = 1.265 J against 72.66 G AC = 65.4 mJ."""
    assert energy_nj(275.2e9, 0) == pytest.approx(1.265e9, rel=2e-3)
    assert energy_nj(0, 72.66e9) == pytest.approx(65.4e6, rel=2e-3)
    layers, channels, length = 16, 1024, 8192
    block = network(ModelSettings(layers=1, channels=channels, state_size=2)).blocks[0]
    dense, spiking = (block.operations_per_step(dense=dense)["after_ssm", "projection"] for dense in (True, False))
    assert layers * length * dense.multiply_accumulates == pytest.approx(275.2e9, rel=2e-3)
    rate = 72.66 / 275.2
    accumulates = layers * length * rate * spiking.accumulates_per_rate
    assert energy_nj(0, accumulates) == pytest.approx(65.4e6, rel=2e-3)


def test_the_energy_of_some_parts_adds_up_to_that_of_all() -> None:
    rows = [
        {"part": name, "multiply_accumulates": part.multiply_accumulates, "accumulates": part.accumulates}
        for (name, _), part in parts(network()).items()
    ]
    assert sum(energy_of(rows, name) for name in PARTS) == pytest.approx(energy_of(rows))
