"""Every part with parameters is called as the module that it is, so that hooks, pruning and other tools see it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from spike_ssm.models.network import Inputs, ModelSettings, Network, build_network
from spike_ssm.models.neurons import NEURONS
from spike_ssm.models.settings import ModelSettings as Settings

SMALL = ModelSettings(layers=2, channels=8, state_size=4, dropout=0.2, dropout_places=["before_neuron", "after_block"])
KINDS = {
    "classification": SMALL,
    "classification, directions apart": replace(SMALL, spikes_per_direction=True, neuron_placement="around_ssm"),
    "classification, norms first": replace(SMALL, prenorm=True, norm="layer", neuron_placement="after_mixing"),
    "pairs": replace(SMALL, prenorm=True),
    "language": replace(SMALL, bidirectional=False, norm="layer", softmax_cutoffs=[4, 8], softmax_divisor=2),
}


def network(kind: str, model: Settings, neuron: str = "refractory_lif") -> Network:
    torch.manual_seed(0)
    settings = NEURONS[neuron][1](**({"length": 12} if neuron == "psn" else {}))
    return build_network(kind.split(",")[0], Inputs(18), 3, model, settings)


def scored(net: Network, kind: str) -> Tensor:
    inputs = torch.randint(3, 18, (4, 12), generator=torch.Generator().manual_seed(1))
    labels = inputs if kind == "language" else torch.arange(4 if kind != "pairs" else 2) % 3
    return net.score(inputs, torch.tensor([12, 9, 12, 5]), labels).loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_on_any_module_with_parameters_fires(kind: str) -> None:
    net, fired = network(kind, KINDS[kind]), set[str]()
    own = {name: module for name, module in net.named_modules() if list(module.parameters(recurse=False))}
    for name, module in own.items():
        module.register_forward_hook(lambda *_, name=name: fired.add(name))
    scored(net, kind)
    assert fired == set(own)


@pytest.mark.parametrize("neuron", NEURONS)
def test_the_modules_of_every_neuron_are_called_too(neuron: str) -> None:
    kind = "classification"
    net, fired = network(kind, SMALL, neuron), set[str]()
    own = {name: module for name, module in net.named_modules() if list(module.parameters(recurse=False))}
    for name, module in own.items():
        module.register_forward_hook(lambda *_, name=name: fired.add(name))
    scored(net, kind)
    assert fired == set(own)


def test_a_pruned_network_is_trained_on_and_stays_pruned() -> None:
    net = network("classification", SMALL)
    for block in net.blocks:
        prune.random_unstructured(block.mixing, "weight", amount=0.5)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    before = net.blocks[0].mixing.weight_orig.detach().clone()
    for _ in range(3):
        optimiser.zero_grad()
        scored(net, "classification").backward()
        optimiser.step()
    mixing = net.blocks[0].mixing
    assert not torch.equal(mixing.weight_orig, before)
    net(torch.randint(3, 18, (2, 12)), torch.tensor([12, 12]))  # the mask is applied as the module is called
    assert float((mixing.weight == 0).float().mean()) == pytest.approx(0.5)


def test_the_mixing_is_a_convolution_of_width_one() -> None:
    mixing = network("classification", SMALL).blocks[0].mixing
    x = torch.randn(3, 8, 20)
    torch.testing.assert_close(mixing(x), nn.functional.conv1d(x, mixing.weight, mixing.bias))


def test_without_norms_a_block_adds_its_output_to_its_input_as_it_is() -> None:
    net = network("classification", replace(SMALL, norm="none", dropout=0.0)).eval()
    block, x = net.blocks[0], torch.randn(2, 8, 12)
    added = nn.functional.glu(block.mixing(block.neuron(block.ssm(x))), dim=1)
    torch.testing.assert_close(block(x, None), x + added)
    norms = [part.operations.multiply_accumulates for part in net.operations_per_step(12) if part.name == "norm"]
    assert norms == [0, 0, 0]


def test_a_last_norm_follows_norms_that_come_first_unless_it_is_left_out() -> None:
    first = replace(SMALL, prenorm=True)
    assert network("classification", first).backbone.final_norm is not None
    assert network("classification", replace(first, final_norm=False)).backbone.final_norm is None


def test_a_tied_dropout_drops_a_channel_at_all_steps_or_at_none() -> None:
    dropped = {}
    for tied in (False, True):
        model = replace(SMALL, dropout=0.5, dropout_tied=tied, dropout_places=["after_neuron", "after_block"])
        block = network("classification", model).blocks[0]
        for place in ("after_neuron", "after_block"):
            share = (block.dropout_at[place](torch.ones(16, 8, 40)) == 0).float().mean(-1)
            dropped[tied, place] = {*share.flatten().tolist()} <= {0.0, 1.0}
    assert dropped == {
        (False, "after_neuron"): False, (False, "after_block"): False,
        (True, "after_neuron"): True, (True, "after_block"): True,
    }  # fmt: skip


def test_dropout_acts_at_the_places_that_are_named_and_nowhere_else() -> None:
    block = network("classification", replace(SMALL, dropout=0.2, dropout_places=["after_block"])).blocks[0]
    assert list(block.dropout_at) == ["after_block"]
    assert list(network("classification", replace(SMALL, dropout=0.0)).blocks[0].dropout_at) == []


def test_what_a_language_model_reads_and_what_its_softmax_sees_can_be_dropped() -> None:
    model = replace(KINDS["language"], dropout=0.0, embedding_dropout=0.5, softmax_dropout=0.25)
    net = network("language", model)
    seen: dict[str, Tensor] = {}
    net.backbone.embedding_dropout.register_forward_hook(lambda _, __, out: seen.update(embedding=out))
    net.words.dropout.register_forward_hook(lambda _, __, out: seen.update(softmax=out))
    scored(net, "language")
    shares = {name: float((out == 0).float().mean()) for name, out in seen.items()}
    assert shares["embedding"] == pytest.approx(0.5, abs=0.1)
    assert shares["softmax"] == pytest.approx(0.25, abs=0.1)
    net.eval()
    assert scored(net, "language") == scored(net, "language")


def test_a_fixed_b_stays_one() -> None:
    net = network("classification", replace(SMALL, b_trainable=False))
    scored(net, "classification").backward()
    ssm = net.blocks[0].ssm
    assert ssm.b.grad is None
    assert torch.equal(torch.view_as_complex(ssm.b), torch.ones(8, 2, dtype=torch.complex64))
