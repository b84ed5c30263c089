"""What a network makes of inputs at the edge of what it takes, and beyond: it works, or says what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from spike_ssm.models.network import Classifier, Inputs, LanguageModel, ModelSettings, Network, PairClassifier
from spike_ssm.models.neurons import NEURONS, RefractoryLIFSettings
from spike_ssm.models.ops.statistics import batch_norm, channel_statistics
from spike_ssm.models.ssm.scan import scan

MODEL = ModelSettings(layers=2, channels=4, state_size=4)
CAUSAL = replace(MODEL, bidirectional=False)
EVERY_NEURON = pytest.mark.parametrize("name", NEURONS)


def classifier(name: str = "refractory_lif", **changes: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(Inputs(10), 3, replace(MODEL, **changes), NEURONS[name][1]())


def tokens(batch: int, length: int) -> Tensor:
    return torch.randint(10, (batch, length), generator=torch.Generator().manual_seed(1))


NETWORKS: list[Network] = [
    classifier(),
    PairClassifier(Inputs(10), 3, MODEL, RefractoryLIFSettings()),
    LanguageModel(Inputs(10), CAUSAL, RefractoryLIFSettings()),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([12, 0, 3, 4], "but they are from 0 to 12"),
        ([12, -1, 3, 4], "but they are from -1 to 12"),
        ([12, 13, 3, 4], "but they are from 3 to 13"),
        ([12, 3, 4], r"but they are torch\.int64 \[3\]"),
        ([12.0, 3.0, 4.0, 5.0], r"but they are torch\.float32 \[4\]"),
    ],
)
def test_lengths_that_cannot_be_get_a_sentence(network: Network, lengths: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=rf"^lengths must be 4 integers from 1 to the 12 steps there are, {said}\.$"):
        network(tokens(4, 12), torch.tensor(lengths))


def test_a_batch_without_steps_gets_a_sentence_and_one_without_examples_has_no_scores() -> None:
    with pytest.raises(ValueError, match="from 1 to the 0 steps there are"):
        classifier()(tokens(2, 0), torch.tensor([0, 0]))
    assert classifier().eval()(tokens(0, 12), torch.zeros(0, dtype=torch.int64)).shape == (0, 3)


@pytest.mark.parametrize("most", [21, -1])
def test_operators_take_no_lengths_beyond_their_input(most: int) -> None:
    x, lengths, ones = torch.randn(2, 3, 20), torch.tensor([5, most]), torch.ones(3)
    for operator in (
        lambda: scan(x, -torch.ones(3, 2), torch.ones(1, 3, 2), ones, lengths=lengths),
        lambda: channel_statistics(x, lengths),
        lambda: batch_norm(x, lengths, ones, ones, 1e-5),
    ):
        with pytest.raises(ValueError, match="lengths must be 2 integers from 0 to the 20 steps there are"):
            operator()


@EVERY_NEURON
def test_on_the_meta_device_it_tells_the_shape(name: str) -> None:
    network = classifier(name).to("meta")
    assert network(tokens(4, 12).to("meta"), torch.tensor([12, 5, 9, 1])).shape == (4, 3)


def test_a_scan_on_the_meta_device_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"kernels for cpu and cuda, but x is on meta; set model\.convolution=fft"):
        classifier(convolution="scan").to("meta")(tokens(4, 12).to("meta"), torch.full((4,), 12))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("convolution", ["scan", "fft", "product"])
def test_a_network_of_half_precision_gets_a_sentence_that_names_autocast(dtype: torch.dtype, convolution: str) -> None:
    network = classifier(convolution=convolution)
    with pytest.raises(TypeError, match=rf"float32 or float64, but its parameters are {dtype}; .* torch\.autocast"):
        network.to(dtype)(tokens(4, 12), torch.full((4,), 12))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert classifier()(tokens(4, 12), torch.full((4,), 12)).isfinite().all()


@pytest.mark.parametrize(
    "changes",
    [{"convolution": "scan"}, {"convolution": "fft", "norm": "layer", "prenorm": True}],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_one_compiled_graph_serves_all_sizes_and_checks_the_lengths(changes: dict[str, Any]) -> None:
    network = classifier(layers=1, **changes)
    torch.compiler.reset()
    compiled = torch.compile(network, dynamic=True, fullgraph=True, backend="aot_eager")
    for batch, length in ((4, 12), (5, 90)):
        lengths = torch.arange(length - batch + 1, length + 1)
        got, expected = (each(tokens(batch, length), lengths) for each in (compiled, network))
        torch.testing.assert_close(got, expected)
        got.sum().backward()
    for wrong in (0, -1, 91):
        with pytest.raises(RuntimeError, match="lengths must be from 1 to the steps there are"):
            compiled(tokens(5, 90), torch.tensor([90, 80, wrong, 4, 5]))
