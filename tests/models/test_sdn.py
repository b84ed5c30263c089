"""The surrogate dynamic network: how often its spikes are wrong, what it sees, and how it is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn.functional import conv1d, relu

from spike_ssm.models.neurons import sdn as module
from spike_ssm.models.neurons.lif_hard import LIFHard, LIFHardSettings
from spike_ssm.models.neurons.sdn import LEAK, SDN, ContributionNetwork, SDNSettings, past_windows
from spike_ssm.models.neurons.train_sdn import Recipe, exact_contribution, save, spike_error, train, white_input
from spike_ssm.models.ops.surrogate import surrogate_primitive


def neuron(channels: int = 4, **changes: object) -> SDN:
    return SDN(channels, SDNSettings(**changes))  # type: ignore[arg-type]


def test_the_stated_spike_error_is_what_fresh_input_shows() -> None:
    x, stated = white_input(1024, 1024, seed=30_000), SDN.stated_spike_error()
    error = spike_error(neuron().network, x)
    assert stated < 0.000239, "the published weights' error on our test input"
    assert abs(error - stated) < 5 * (stated / x.numel()) ** 0.5


def test_its_spikes_differ_from_lif_hards_as_rarely_with_any_threshold() -> None:
    x = white_input(64, 4096, seed=1).reshape(4, 16, 4096)
    spikes = neuron(16, threshold=0.7)(0.7 * x)
    expected = LIFHard(16, LIFHardSettings(threshold=0.7))(0.7 * x)
    assert (spikes != expected).float().mean() < 2 * SDN.stated_spike_error()


def test_it_has_153_frozen_parameters_beside_the_threshold() -> None:
    built = neuron()
    assert sum(p.numel() for p in built.network.parameters()) == 153
    assert [name for name, p in built.named_parameters() if p.requires_grad] == ["threshold.logarithm"]
    assert built.operations_per_step() == (136, 1)
    assert built.parameter_summary() == pytest.approx({"leak": LEAK, "threshold": 1.0})


def test_its_network_is_three_convolutions_with_a_skip_around_the_second_as_published() -> None:
    x, network = white_input(3, 40, seed=0)[:, None], neuron().network
    first, second, last = network.first, network.second, network.last
    hidden = relu(conv1d(x, first.weight[:, None], first.bias, padding=8)[..., :40])
    hidden = relu(conv1d(hidden, second.weight[..., None], second.bias) + hidden)
    expected = conv1d(hidden, last.weight[..., None], last.bias)
    torch.testing.assert_close(network(past_windows(x)), expected)


def test_the_skip_costs_nothing_as_the_second_layer_can_take_it_up() -> None:
    windows, network = white_input(100, 8, seed=0), neuron().network
    with torch.no_grad():
        network.second.weight += torch.eye(8)
    layers = torch.nn.Sequential(network.first, torch.nn.ReLU(), network.second, torch.nn.ReLU(), network.last)
    torch.testing.assert_close(layers(windows)[:, 0], neuron().network(windows))


def test_a_step_sees_itself_and_the_eight_steps_before() -> None:
    x = white_input(2, 30, seed=0)[None]
    other = x.clone()
    other[..., 10] += 0.5
    changed = (neuron(2).potential(x) != neuron(2).potential(other))[0].any(0)
    assert changed.nonzero().flatten().min() == 10
    assert changed.nonzero().flatten().max() <= 18
    assert past_windows(x)[0, 0, 12].equal(x[0, 0, 4:12])
    assert past_windows(x)[0, 0, 0].eq(0).all()


def test_no_gradient_flows_through_time() -> None:
    x = white_input(4, 50, seed=0)[None].requires_grad_()
    (gradient,) = torch.autograd.grad(neuron()(x)[..., 20].sum(), x)
    assert gradient[..., 20].any()
    assert gradient[..., :20].eq(0).all()


def test_the_threshold_divides_the_input_for_the_gradient_too() -> None:
    x, built = white_input(4, 50, seed=0)[None], neuron(threshold=0.8, threshold_shared=True)
    (got,) = torch.autograd.grad(built(x).sum(), list(built.threshold.parameters()))
    contribution = built.potential(x) / 0.8 - x / 0.8
    logarithm = torch.tensor(0.8).log().requires_grad_()  # what is stored
    soft = surrogate_primitive(contribution + x / logarithm.exp() - 1, "piecewise_quadratic", 1.0)
    (expected,) = torch.autograd.grad(soft.sum(), logarithm)
    torch.testing.assert_close(got[0], expected)


def test_it_gives_the_same_potentials_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x = white_input(5 * 4, 30, seed=0).reshape(5, 4, 30)
    whole = neuron().potential(x)
    monkeypatch.setattr(module, "_WINDOWS_AT_ONCE", 2 * 4 * 30)
    torch.testing.assert_close(neuron().potential(x), whole)


def test_the_exact_contribution_is_what_the_hard_reset_leaves() -> None:
    x = torch.tensor([[0.8, 0.96, 0.8, 0.5, 2.0, -0.4, 0.0]])
    potential = [0.8, 0.1 + 0.96, 0.8, 0.1 + 0.5, 0.075 + 2.0, -0.4, -0.05]
    torch.testing.assert_close(exact_contribution(x), torch.tensor([potential]) - x)


def test_training_lowers_the_loss_and_repeats_itself_with_a_seed() -> None:
    recipe = Recipe(rows=64, batch=256, steps=150)
    network, losses = train(0, recipe)
    again, _ = train(0, recipe)
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])
    x = white_input(64, 256, seed=5)
    assert spike_error(network, x) < spike_error(ContributionNetwork(), x)
    for parameter, other in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(parameter, other)


def test_a_networks_file_gives_back_parameters_and_metadata(tmp_path: Path) -> None:
    network, path = ContributionNetwork(), tmp_path / "network.safetensors"
    save(network, path, {"spike_error": "0.25"})
    for name, tensor in network.state_dict().items():
        assert torch.equal(load_file(path)[name], tensor)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"spike_error": "0.25"}
    assert list(tmp_path.iterdir()) == [path]


def test_the_packaged_file_says_how_it_was_made() -> None:
    with safe_open(module.NETWORK_FILE, "pt") as file:
        metadata = file.metadata()
    assert {"spike_error", "seed", "seeds_tried", "test_steps", *Recipe._fields} <= set(metadata)
    assert float(metadata["leak"]) == LEAK
