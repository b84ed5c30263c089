"""The dendritic resonate-and-fire neuron: its equations step by step, its threshold, its gradients."""

from __future__ import annotations

import cmath

import pytest
import torch
from torch import Tensor

from spike_ssm.models.neurons.drf import DRF, DRFSettings
from spike_ssm.models.ops.surrogate import spike


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def neuron(channels: int = 4, **changes: object) -> DRF:
    torch.manual_seed(0)
    return DRF(channels, DRFSettings(**changes)).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [5, 300])  # short sequences are computed otherwise
@pytest.mark.parametrize("adaptive", [True, False])
def test_it_is_its_equations_step_by_step(adaptive: bool, length: int) -> None:
    built, x = neuron(3, adaptive_threshold=adaptive, dendrites=5, window=4), 2 * gaussian(2, 3, length)
    spikes, potential = built(x).detach(), built.potential(x)
    log_decay, frequency, weight = (each.detach() for each in (built.log_decay, built.frequency, built.weight))
    alphas = built.alpha_logit.sigmoid().tolist()[::-1] if built.alpha_logit is not None else []
    threshold = float(built.threshold()[0].detach())
    for b in range(2):
        for h in range(3):
            kept = [cmath.exp(complex(-d.exp(), f)) for d, f in zip(log_decay[h], frequency[h], strict=True)]
            z, crossed = [0j] * 5, [False] * 4  # the latest first
            for t, x_t in enumerate(x[b, h].tolist()):
                z = [k * before + x_t for k, before in zip(kept, z, strict=True)]
                soma = sum(float(c) * each.real for c, each in zip(weight[h], z, strict=True))
                raised = threshold * sum(alpha * was for alpha, was in zip(alphas, crossed, strict=False))
                assert soma - raised == pytest.approx(float(potential[b, h, t]), abs=1e-9)
                assert (soma >= threshold + raised) == bool(spikes[b, h, t])
                crossed = [soma >= threshold, *crossed[:3]]
    assert length < 100 or 0 < spikes.mean() < 0.5


@pytest.mark.parametrize("adaptive", [True, False])
def test_its_gradients_are_those_of_the_loop(adaptive: bool) -> None:
    built, x, grad = neuron(adaptive_threshold=adaptive), gaussian(2, 4, 90), gaussian(2, 4, 90, seed=1)
    leaves = [x.requires_grad_(), *(each for each in built.parameters() if each.requires_grad)]
    found = torch.autograd.grad(built(x), leaves, grad)
    of_its_own_loop = torch.autograd.grad(built.loop(x), leaves, grad)
    expected = torch.autograd.grad(looped(built, x), leaves, grad)
    for got, same, wanted in zip(found, of_its_own_loop, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(same, wanted, rtol=1e-8, atol=1e-9)
    assert torch.equal(built(x), built.loop(x))


def looped(built: DRF, x: Tensor) -> Tensor:
    """Spikes [B, H, L] in a loop over time, whose gradients are autograd's."""
    kept, threshold = torch.complex(-built.log_decay.exp(), built.frequency).exp(), built.threshold()
    z, crossed, spikes = torch.zeros_like(kept), list[Tensor](), list[Tensor]()
    for x_t in x.unbind(-1):
        z = kept * z + x_t[..., None]
        soma = (built.weight * z.real).sum(-1)
        potential = soma
        if built.alpha_logit is not None:
            for alpha, was in zip(built.alpha_logit.sigmoid().flip(0), crossed[::-1], strict=False):
                potential = potential - threshold * alpha * was
        crossed.append(spike(soma, threshold, "piecewise_quadratic", 1.0))
        spikes.append(spike(potential, threshold, "piecewise_quadratic", 1.0))
    return torch.stack(spikes, -1)


def test_a_crossing_raises_the_threshold_for_its_window_and_no_longer_whether_it_was_a_spike_or_not() -> None:
    built = neuron(1, dendrites=1, window=3, alpha=0.5)
    with torch.no_grad():
        built.log_decay.fill_(5.0)  # nothing is kept: h is the input
        built.weight.fill_(1.0)
    x = torch.tensor([0.0, 1.2, 1.2, 0.0, 0.0, 1.2, 0.0, 0.0, 0.0, 1.2], dtype=torch.float64)[None, None]
    raised = (x - built.potential(x)).flatten().tolist()
    assert raised == pytest.approx([0, 0, 0.5, 0.75, 0.375, 0.125, 0.5, 0.25, 0.125, 0], abs=1e-6)
    assert built(x).flatten().tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_an_adaptive_threshold_makes_spikes_rarer_and_none_that_were_not_there() -> None:
    x = gaussian(2, 16, 400)
    fixed, adaptive = neuron(16, adaptive_threshold=False)(x), neuron(16)(x)
    assert (adaptive <= fixed).all()
    assert adaptive.mean() < 0.8 * fixed.mean()


def test_an_untrained_neuron_fires_at_a_fair_rate_on_input_of_unit_size() -> None:
    built, x = neuron(64), gaussian(4, 64, 1000)
    assert 0.05 < built(x).mean() < 0.4
    long_run = built.potential(gaussian(2, 64, 4000))[..., 2000:]
    assert 0.5 < float(neuron(64, adaptive_threshold=False).potential(gaussian(2, 64, 4000))[..., 2000:].std()) < 1.5
    assert long_run.isfinite().all()


def test_what_a_step_takes_by_hand() -> None:
    """A dendrite: four products that turn it, one for its weight, and the input added; the window's crossings added."""
    assert neuron().operations_per_step() == (5 * 8, 8 + 8)
    assert neuron(dendrites=2, adaptive_threshold=False).operations_per_step() == (10, 2)


def test_what_is_drawn_after_it_does_not_depend_on_it() -> None:
    torch.manual_seed(5)
    expected, built = torch.get_rng_state(), DRF(4, DRFSettings())
    assert torch.equal(torch.get_rng_state(), expected)
    assert not torch.equal(neuron(4).weight, built.weight), "another seed, other dendrites"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dendrites": 0}, "dendrites must be at least 1, but it is 0"),
        ({"window": 0}, "window must be at least 1, but it is 0"),
        ({"dt_min": 0.0}, "0 < dt_min <= dt_max"),
        ({"dt_max": 0.0001}, "0 < dt_min <= dt_max, but they are 0.001 and 0.0001"),
        ({"alpha": 1.0}, r"alpha must be in \(0, 1\), but it is 1"),
    ],
)
def test_settings_that_make_no_sense_get_a_sentence(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        DRFSettings(**changes)  # type: ignore[arg-type]
