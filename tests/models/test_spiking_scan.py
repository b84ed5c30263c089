"""The scan and its neuron in one pass are the two one after the other: the same spikes, bit for bit, and gradients."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from spike_ssm.models.network import Inputs, ModelSettings, Network, build_network
from spike_ssm.models.neurons import NEURONS
from spike_ssm.models.ops.agreement import assert_agreement
from spike_ssm.models.ops.refractory_lif import RESETS, Options, Rules, solve
from spike_ssm.models.ops.surrogate import SURROGATES
from spike_ssm.models.ssm.scan import scan, scan_sequential, spiking_scan

RULES = [
    Rules(reset, raises, surrogate, 0.8, detach)
    for (reset, raises, detach), surrogate in zip(
        itertools.product(RESETS, (False, True), (False, True)), itertools.cycle(SURROGATES)
    )
]


def problem(batch: int, length: int, directions: int = 2, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """x, dt_a, weights and skip of a model of 3 channels, and its neurons' four parameters."""
    generator = torch.Generator().manual_seed(length)

    def drawn(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=dtype)

    dt_a = torch.complex(-drawn(3, 2) / 10, 6 * drawn(3, 2) - 3)
    weights = torch.complex(drawn(directions, 3, 2), drawn(directions, 3, 2)) - 0.4
    neuron = (0.1 + 0.8 * drawn(3), 0.5 + drawn(3), drawn(3), 0.9 * drawn(3))
    values = (2 * drawn(batch, 3, length) - 0.8, dt_a, weights, drawn(3), *neuron)
    return [value.requires_grad_() for value in values]


def in_one_pass(values: list[Tensor], rules: Rules) -> Tensor:
    return spiking_scan(*values[:4], tuple(values[4:]), rules)  # type: ignore[arg-type]


def in_two(values: list[Tensor], rules: Rules) -> Tensor:
    return solve(scan(*values[:4]), *values[4:], Options(rules, "fused")).spikes


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (7, 130)])
def test_spikes_and_gradients_are_those_of_the_two_under_all_rules(rules: Rules, batch: int, length: int) -> None:
    values = problem(batch, length)
    one, two = in_one_pass(values, rules), in_two(values, rules)
    assert torch.equal(one, two)
    grad = torch.linspace(-1, 1, one.numel()).view(one.shape)
    for g, e in zip(torch.autograd.grad(one, values, grad), torch.autograd.grad(two, values, grad), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-5, atol=1e-6 * float(e.abs().max()))


@pytest.mark.parametrize(("batch", "length"), [(2, 300), (70, 40), (33, 16)])
def test_inputs_are_scaled_shifted_and_end_where_their_example_does(batch: int, length: int) -> None:
    values, lengths = problem(batch, length), 1 + torch.arange(batch) * 7 % length
    x, *model, leak, threshold, refractory, decay = values
    affine = torch.tensor([[0.5, -2.0, 1.0], [0.3, 0.0, -1.0]], requires_grad=True)
    neuron = leak, threshold, refractory, decay
    one = spiking_scan(x, *model, neuron, Rules(), affine=affine, lengths=lengths)  # type: ignore[call-arg, arg-type]
    two = solve(scan(x, *model, affine=affine, lengths=lengths), *neuron, Options(solver="fused")).spikes
    assert torch.equal(one, two)
    grad, leaves = torch.linspace(-1, 1, one.numel()).view(one.shape), [*values, affine]
    for g, e in zip(torch.autograd.grad(one, leaves, grad), torch.autograd.grad(two, leaves, grad), strict=True):
        torch.testing.assert_close(g, e, rtol=1e-5, atol=1e-6 * float(e.abs().max()))


@pytest.mark.parametrize("length", [1, 63, 64, 65, 1000])
def test_spikes_agree_with_the_reference_of_what_the_neurons_are_given(length: int) -> None:
    values = [value.detach() for value in problem(6, length, dtype=torch.float64)]
    given = scan_sequential(*values[:4])
    spikes = in_one_pass(values, Rules())
    potential = solve(given, *values[4:], Options(solver="sequential"), return_potential=True).potential
    assert potential is not None
    assert 0 < spikes.mean() < 1 or length == 1
    assert_agreement(given, values[4:], spikes, potential)


def test_the_operator_passes_torchs_own_check_and_compiles_without_a_graph_break() -> None:
    *model, leak, threshold, refractory, decay = problem(2, 40)
    parameters = torch.stack((leak, threshold, refractory, decay)).detach().requires_grad_()
    x, *model = model
    arguments = (x, None, None, *model, parameters, *Rules())
    torch.library.opcheck(torch.ops.spike_ssm.spiking_scan.default, arguments)


def test_no_examples_and_no_steps_give_none() -> None:
    values = [value.detach() for value in problem(2, 5)]
    for x in (values[0][:0], values[0][..., :0]):
        assert in_one_pass([x.requires_grad_(), *values[1:]], Rules()).shape == x.shape


def test_a_number_that_is_none_is_named() -> None:
    values = [value.detach() for value in problem(2, 100)]
    values[0][1, 2, 50] = math.nan
    with pytest.raises(ValueError, match="The neuron's input x holds NaN"):
        in_one_pass(values, Rules())


def network(neuron: str, **settings: object) -> Network:
    torch.manual_seed(0)
    model = ModelSettings(layers=2, channels=8, state_size=4, convolution="scan", **settings)  # type: ignore[arg-type]
    return build_network("classification", Inputs(9), 3, model, NEURONS[neuron][1]())


@pytest.mark.parametrize("neuron", ["refractory_lif", "lif_soft", "lif_hard", "alif", "psn", "gelu"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_network_that_is_watched_sends_the_same_spikes(neuron: str, bidirectional: bool) -> None:
    net = network(neuron, bidirectional=bidirectional).eval()
    tokens, lengths = torch.randint(1, 9, (3, 90)), torch.tensor([90, 50, 1])
    alone, shown = net(tokens, lengths), []
    for block in net.blocks:
        block.ssm.register_forward_hook(lambda _module, _inputs, given: shown.append(given))
    assert torch.equal(net(tokens, lengths), alone)
    assert [given.shape for given in shown] == 2 * [torch.Size([3, 8, 90])]


def test_nothing_of_the_size_of_what_neurons_are_given_is_kept() -> None:
    values, kept = problem(4, 640), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda x: x):
        in_one_pass(values, Rules())
    size = values[0].numel()
    assert sorted(kept)[-1] == size, "the input itself"
    assert sum(kept) < 1.2 * size
