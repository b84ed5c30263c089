"""Classifiers in NIR: a network comes back from its file with the same spikes and class scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spike_ssm.models.network import Classifier, Inputs, ModelSettings, build_network
from spike_ssm.models.neurons import NEURONS, RefractoryLIFSettings
from spike_ssm.models.neurons.integrate_and_fire import IntegrateAndFire
from spike_ssm.models.nir import NIRNetwork, read_nir, to_nir, write_nir
from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import solve

TOKENS = Inputs(18)
MODEL = ModelSettings(layers=2, channels=12, state_size=8, bidirectional=False)
NAMES = ("refractory_lif", "lif_soft", "lif_hard", "alif", "binary", "gelu")
ARRANGED: list[dict[str, Any]] = [
    {"norm": "batch"},
    {"norm": "layer", "pooling": "last"},
    {"norm": "batch", "prenorm": True, "pooling": "last"},
    {"norm": "layer", "prenorm": True},
    {"norm": "none", "initialisation": "real"},
]


def trained(name: str, dtype: torch.dtype = torch.float64, inputs: Inputs = TOKENS, **changes: Any) -> Classifier:
    """A network whose numbers and running statistics are not those of the start."""
    torch.manual_seed(0)
    net = Classifier(inputs, 10, replace(MODEL, **changes), NEURONS[name][1]()).to(dtype)
    with torch.no_grad():
        for each in net.parameters():
            each += 0.05 * torch.randn(each.shape) * each.requires_grad
        for _ in range(3):
            net(given(net, 2, 500), torch.tensor([500, 300]))
    return net.eval()


def given(net: Classifier, batch: int, length: int) -> Tensor:
    """Tokens [B, L], or numbers [B, L, features] in the network's precision."""
    generator, encoder = torch.Generator().manual_seed(1), net.backbone.encoder
    if isinstance(encoder, nn.Linear):
        return torch.randn(batch, length, encoder.in_features, generator=generator).to(encoder.weight.dtype)
    return torch.randint(0, encoder.num_embeddings, (batch, length), generator=generator)


def written_and_read(net: Classifier, path: Path) -> NIRNetwork:
    write_nir(to_nir(net), path / "network.nir")
    return read_nir(path / "network.nir")


Seen = list[tuple[Tensor, Tensor]]


@contextmanager
def seen(modules: list[nn.Module]) -> Iterator[Seen]:
    """What each of these modules is given and gives, [B, H, L] each."""
    found: Seen = []
    hooks = [each.register_forward_hook(lambda _, args, y: found.append((args[0], y))) for each in modules]
    yield found
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def compared(net: Classifier, read: NIRNetwork, x: Tensor, lengths: Tensor) -> tuple[Seen, Seen]:
    """What the neurons of both are given and give; the scores of both are the same."""
    with seen(list(net.neurons)) as ours, seen([read.runner(f"block{n}_after_ssm") for n in range(2)]) as theirs:
        torch.testing.assert_close(read(x, lengths), net(x, lengths))
    return ours, theirs


@pytest.mark.parametrize("arranged", ARRANGED, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_network_comes_back_from_its_file_with_the_same_spikes(
    name: str, arranged: dict[str, Any], tmp_path: Path
) -> None:
    net = trained(name, **arranged)
    read, x = written_and_read(net, tmp_path), given(net, 1, 10_000)
    for (_, ours), (_, theirs) in zip(*compared(net, read, x, torch.tensor([10_000])), strict=True):
        if name == "gelu":
            torch.testing.assert_close(ours, theirs)
        else:
            assert torch.equal(ours, theirs)
            assert 0.001 < float(ours.mean()) < 0.9


ROUNDING = 1e-5
"""Bound on what rounding in float32 does to potentials with thresholds of about 1, after two layers."""


@pytest.mark.parametrize("arranged", ARRANGED[:3], ids=str)
@pytest.mark.parametrize("name", ["refractory_lif", "lif_hard", "alif"])
def test_in_single_precision_the_first_difference_lies_within_rounding_of_the_threshold(
    name: str, arranged: dict[str, Any], tmp_path: Path
) -> None:
    net = trained(name, torch.float32, **arranged)
    read, x = written_and_read(net, tmp_path), given(net, 1, 10_000)
    first = x.shape[1]
    for neuron, (x_ours, ours), (x_theirs, theirs) in zip(
        net.neurons, *compared(net, read, x, torch.tensor([10_000])), strict=True
    ):
        assert isinstance(neuron, IntegrateAndFire)
        parameters = [each.detach() for each in neuron.parameters_now()]
        found = solve(x_theirs, *parameters, neuron._options, return_potential=True)
        assert found.potential is not None
        assert_agreement(x_theirs, parameters, theirs, found.potential, neuron.rules)  # each is right for what it got
        assert float((x_ours - x_theirs)[..., : first + 1].abs().max()) < ROUNDING  # and both got the same
        differ = ours != theirs
        if differ[..., :first].any():
            first = int(differ.any(1)[0].nonzero()[0])
            away = (found.potential - parameters[1][:, None])[..., first][differ[..., first]]
            assert float(away.abs().max()) < ROUNDING


@pytest.mark.parametrize("placement", ["around_ssm", "after_mixing"])
@pytest.mark.parametrize("prenorm", [False, True])
def test_neurons_may_sit_elsewhere_too(placement: str, prenorm: bool, tmp_path: Path) -> None:
    net = trained("refractory_lif", neuron_placement=placement, prenorm=prenorm)
    read = written_and_read(net, tmp_path)
    compared(net, read, given(net, 2, 200), torch.tensor([200, 120]))
    assert len([name for name in read.order if name.endswith(("_ssm", "after_mixing"))]) == 2 * 3


@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_sequences_of_numbers_and_of_several_lengths_are_taken(features: int, pooling: str, tmp_path: Path) -> None:
    net = trained("lif_soft", inputs=Inputs(None, features), pooling=pooling)
    read, x, lengths = written_and_read(net, tmp_path), given(net, 3, 50), torch.tensor([50, 7, 1])
    torch.testing.assert_close(read(x, lengths), net(x, lengths))
    torch.testing.assert_close(read(x), net(x, torch.full((3,), 50)))
    if features == 1:
        assert torch.equal(read(x[..., 0], lengths), read(x, lengths))


def test_one_hot_vectors_are_tokens(tmp_path: Path) -> None:
    net = trained("lif_hard")
    read, tokens = written_and_read(net, tmp_path), given(net, 2, 60)
    torch.testing.assert_close(read(nn.functional.one_hot(tokens, 18).double()), read(tokens))


def test_without_a_last_norm_the_sum_of_all_blocks_is_pooled(tmp_path: Path) -> None:
    net = trained("lif_soft", prenorm=True, final_norm=False)
    read = written_and_read(net, tmp_path)
    assert read.sources["pooling"] == ["encoder", "block0_gate", "block1_gate"]
    compared(net, read, given(net, 2, 200), torch.tensor([200, 120]))


def test_a_batch_norm_is_a_diagonal_matrix_and_a_residual_an_edge() -> None:
    graph = to_nir(trained("binary"))
    norm = graph.nodes["block0_norm"]
    assert (norm.weight == norm.weight.diagonal() * torch.eye(12).numpy()).all()
    assert [edge for edge in graph.edges if edge[1] == "block0_norm"] == [
        ("encoder", "block0_norm"),
        ("block0_gate", "block0_norm"),
    ]


def test_the_metadata_say_what_a_step_is_and_how_neurons_compare() -> None:
    metadata = to_nir(trained("lif_hard")).metadata
    assert metadata["dt"] == 1.0
    assert {"time", "comparison", "reset", "spike_ssm"} <= set(metadata)


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("classification", {"bidirectional": True}, "bidirectional network looks ahead.*model.bidirectional=false"),
        ("classification", {"bidirectional": True, "spikes_per_direction": True}, "bidirectional network looks ahead"),
        ("pairs", {}, "A PairClassifier cannot be exported to NIR"),
        ("language", {}, "A LanguageModel cannot be exported to NIR"),
    ],
)
def test_a_network_without_a_graph_is_refused(kind: str, changes: dict[str, Any], sentence: str) -> None:
    net = build_network(kind, TOKENS, 10, replace(MODEL, **changes), RefractoryLIFSettings())
    with pytest.raises(ValueError, match=sentence):
        to_nir(net.eval())


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"call its \.eval\(\) first"):
        to_nir(trained("lif_soft").train())


def test_a_network_that_diverged_is_refused() -> None:
    net = trained("lif_soft")
    with torch.no_grad():
        net.head.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"head\.weight is not finite, as after a training that diverged"):
        to_nir(net)
