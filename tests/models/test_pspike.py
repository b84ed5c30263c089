"""The stochastic neuron: its probability, its noise and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spike_ssm.models.neurons.pspike import PSpike, PSpikeSettings
from spike_ssm.models.ops.surrogate import SURROGATES, surrogate_gradient


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


PROBABILITIES = [name for name, surrogate in SURROGATES.items() if surrogate.monotone]


def expectation(channels: int = 3, **changes: object) -> PSpike:
    """The neuron that gives its probability."""
    neuron = PSpike(channels, PSpikeSettings(expectation_at_evaluation=True, **changes))  # type: ignore[arg-type]
    return neuron.eval()


def test_by_default_the_probability_is_the_input_clamped_to_0_and_1() -> None:
    x = 2 * gaussian(4, 3, 50)
    torch.testing.assert_close(expectation()(x), x.clamp(0, 1))


def test_the_expectation_is_given_in_evaluation_only_and_only_where_asked_for() -> None:
    x = torch.full((2, 3, 50), 0.5)
    assert expectation()(x).unique().tolist() == [0.5]
    assert expectation().train()(x).unique().tolist() == [0, 1]
    assert PSpike(3, PSpikeSettings()).eval()(x).unique().tolist() == [0, 1]


@pytest.mark.parametrize("surrogate", PROBABILITIES)
def test_neurons_fire_as_often_as_their_probability_says(surrogate: str) -> None:
    x = torch.tensor([-0.5, 0.3, 0.5, 0.9, 2.0])[:, None].expand(1, 5, 40_000)
    torch.manual_seed(0)
    rate = PSpike(5, PSpikeSettings(surrogate=surrogate))(x).mean(-1)
    p = expectation(5, surrogate=surrogate)(x)[..., 0]
    assert ((rate - p).abs() <= 5 * (p * (1 - p) / 40_000).sqrt()).all()


def test_every_pass_draws_anew_and_a_seed_repeats_it() -> None:
    neuron, x = PSpike(3, PSpikeSettings()), torch.full((2, 3, 200), 0.5)
    torch.manual_seed(0)
    first, second = neuron(x), neuron(x)
    torch.manual_seed(0)
    assert torch.equal(neuron(x), first)
    assert 0.4 < (first != second).float().mean() < 0.6
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0, 0], first[0, 1])


@pytest.mark.parametrize("surrogate", PROBABILITIES)
def test_the_gradient_is_the_density_of_the_surrogate_whatever_was_drawn(surrogate: str) -> None:
    x = gaussian(4, 3, 50).double().requires_grad_()
    neuron = PSpike(3, PSpikeSettings(surrogate=surrogate, threshold=0.8, surrogate_width=1.3)).double()
    (gradient,) = torch.autograd.grad(neuron(x).sum(), x)
    threshold = neuron.threshold()[:, None]
    expected = surrogate_gradient(x / threshold - 1, surrogate, 1.3) / threshold
    torch.testing.assert_close(gradient, expected.detach())


def test_the_gradients_of_the_expectation_are_its_differences() -> None:
    neuron = expectation(surrogate="sigmoid").double()
    x = gaussian(2, 3, 4).double().requires_grad_()
    (raw,) = neuron.parameters()

    def probability(x: Tensor, threshold: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(neuron, {"threshold.logarithm": threshold}, (x,))
        return result

    assert torch.autograd.gradcheck(probability, (x, raw.detach().clone().requires_grad_()))


def test_a_surrogate_that_is_negative_in_places_gives_no_probability() -> None:
    with pytest.raises(ValueError, match="pspike needs a probability, which the primitive of double_gaussian is not"):
        PSpikeSettings(surrogate="double_gaussian")
