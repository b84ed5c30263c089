"""The ways to compute an S4D layer give the same numbers; which one is taken follows the rules written here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.models.network import Inputs, ModelSettings, build_network
from spike_ssm.models.neurons import NEURONS, integrate_and_fire
from spike_ssm.models.ssm import S4D, s4d
from spike_ssm.models.ssm.choice import LONG, MOST_NUMBERS, WAYS, for_length, resolved
from spike_ssm.models.ssm.s4d import INITIALISATIONS

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FINAL = ("scan", "fft", "product")


def processor(monkeypatch: pytest.MonkeyPatch, instructions: str) -> None:
    monkeypatch.setattr("spike_ssm.models.ssm.choice._HERE", instructions)


def outcome(layer: S4D, x: torch.Tensor, way: str) -> dict[str, torch.Tensor]:
    """The output, and the gradients of the input and of all parameters."""
    layer.convolution = way
    y = layer(x)
    leaves = {"x": x, **dict(layer.named_parameters())}
    grad = torch.linspace(-1, 1, y.numel()).view(y.shape).cos()
    return {"y": y.detach(), **dict(zip(leaves, torch.autograd.grad(y, list(leaves.values()), grad), strict=True))}


@pytest.mark.parametrize("length", [1, 2, 17, 64, 65, 200])
@pytest.mark.parametrize("directions", ["causal", "bidirectional", "apart"])
@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_all_ways_agree_in_the_output_and_in_all_gradients(initialisation: str, directions: str, length: int) -> None:
    torch.manual_seed(length)
    options = {"bidirectional": directions != "causal", "directions_apart": directions == "apart"}
    layer, x = S4D(3, 8, initialisation=initialisation, **options), torch.randn(5, 3, length, requires_grad=True)
    expected = outcome(layer, x, "fft")
    for way in WAYS:
        for name, value in outcome(layer, x, way).items():
            tolerance = 1e-5 * max(1.0, float(expected[name].abs().max()))
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=tolerance, msg=f"{way}: {name}")


# --- what `auto` is


@pytest.mark.parametrize("instructions", MOST_NUMBERS)
def test_auto_is_the_scan_up_to_a_number_of_states_that_depends_on_the_processor(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, instructions)
    most, most_if_long = MOST_NUMBERS[instructions]
    assert resolved("auto", most, CPU) == "scan_or_product"
    if most_if_long > most:
        assert {resolved("auto", n, CPU) for n in (most + 2, most_if_long)} == {"scan_if_long_or_product"}
    assert resolved("auto", most_if_long + 2, CPU) == "fft_or_product"


def test_auto_is_the_fft_on_processors_that_have_not_been_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "AVX2")
    assert resolved("auto", 2, CUDA) == "fft_or_product"
    processor(monkeypatch, "DEFAULT")
    assert resolved("auto", 2, CPU) == "fft_or_product"


def test_the_states_of_both_directions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, "AVX2")
    monkeypatch.setitem(MOST_NUMBERS, "AVX2", (8, 8))
    ways = {bidirectional: S4D(2, 8, bidirectional=bidirectional).way(CPU) for bidirectional in (False, True)}
    assert ways == {False: "scan_or_product", True: "fft_or_product"}


@pytest.mark.parametrize("initialisation", ["lin", "real"])
def test_a_neuron_is_scanned_for_again_where_states_are_few_and_comes_out_the_same(
    initialisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ModelSettings(layers=1, channels=6, state_size=8, initialisation=initialisation, convolution="scan")
    torch.manual_seed(0)
    network = build_network("classification", Inputs(18), 4, settings, NEURONS["refractory_lif"][1]())
    once: list[torch.Tensor] = []
    real = integrate_and_fire.spiking_scan
    monkeypatch.setattr(integrate_and_fire, "spiking_scan", lambda *a, **k: once.append(real(*a, **k)) or once[-1])
    outcomes = []
    for most in (15, 16):  # 8 numbers a channel in each of two directions
        monkeypatch.setattr(integrate_and_fire, "SCANNED_AGAIN", most)
        loss = network(torch.arange(60).view(2, 30) % 18, torch.tensor([30, 21])).square().sum()
        outcomes.append(torch.autograd.grad(loss, [p for p in network.parameters() if p.requires_grad]))
        assert len(once) == most - 15
    torch.testing.assert_close(*outcomes, rtol=1e-4, atol=1e-6)


# --- what depends on the sequences


@pytest.mark.parametrize(
    ("way", "batch", "length", "expected"),
    [
        ("scan_or_product", 64, 64, "product"),
        ("scan_or_product", 64, 65, "scan"),
        ("scan_or_product", 16, 33, "scan"),
        ("scan_or_product", 1, 16, "product"),
        ("scan_or_product", 1, 17, "scan"),
        ("scan_if_long_or_product", 16, 32, "product"),
        ("scan_if_long_or_product", 16, LONG - 1, "fft"),
        ("scan_if_long_or_product", 16, LONG, "scan"),
        ("fft_or_product", 64, 64, "product"),
        ("fft_or_product", 64, 65, "fft"),
        ("fft_or_product", 16, 32, "product"),
        ("fft_or_product", 16, 33, "fft"),
    ],
)
def test_few_steps_of_many_sequences_are_a_product_and_many_may_be_a_scan(
    way: str, batch: int, length: int, expected: str
) -> None:
    assert for_length(way, batch, length) == expected


sizes = st.integers(1, 10_000)


@given(st.sampled_from(FINAL), sizes, sizes, sizes)
def test_an_explicit_way_is_never_replaced(way: str, numbers: int, batch: int, length: int) -> None:
    for device in (CPU, CUDA):
        assert resolved(way, numbers, device) == way
    assert for_length(way, batch, length) == way


@given(st.sampled_from(WAYS), sizes, sizes, sizes)
def test_every_way_comes_down_to_one_that_can_be_computed(way: str, numbers: int, batch: int, length: int) -> None:
    assert for_length(resolved(way, numbers, CPU), batch, length) in FINAL


@pytest.mark.parametrize("length", [8, 300])
@pytest.mark.parametrize("way", FINAL)
def test_a_layer_is_computed_in_the_way_that_it_is_told(way: str, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def by_convolution(*arguments: Any, by_product: bool) -> torch.Tensor:
        seen.append("product" if by_product else "fft")
        return arguments[0]  # type: ignore[no-any-return]

    def by_scan(*arguments: Any) -> torch.Tensor:
        seen.append("scan")
        return arguments[0]  # type: ignore[no-any-return]

    monkeypatch.setattr(s4d, "convolution", by_convolution)
    monkeypatch.setattr(s4d, "scan", by_scan)
    S4D(2, 4, convolution=way)(torch.randn(20, 2, length))
    assert seen == [way]


# --- a network's way


def test_a_networks_way_is_that_of_its_settings_and_may_be_set_for_all_its_layers() -> None:
    settings = ModelSettings(layers=3, channels=4, convolution="scan")
    network = build_network("classification", Inputs(5), 2, settings, NEURONS["lif_soft"][1]())
    assert network.convolution == "scan"
    network.convolution = "fft"
    assert [block.ssm.convolution for block in network.blocks] == ["fft"] * 3


def test_an_unknown_way_is_refused_in_one_sentence() -> None:
    sentence = "^convolution 'winograd' does not exist; choose one of auto, scan, fft, product, "
    with pytest.raises(ValueError, match=sentence):
        S4D(4, 4, convolution="winograd")
    with pytest.raises(ValueError, match=sentence):
        ModelSettings(convolution="winograd")
