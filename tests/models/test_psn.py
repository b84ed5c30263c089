"""Parallel spiking neurons: their matrix and filter, how long a sequence may be, and where they start from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.data.tasks.listops import ListOps
from spike_ssm.models.neurons import RefractoryLIF, RefractoryLIFSettings
from spike_ssm.models.neurons.psn import PSN, PSNSettings
from spike_ssm.models.neurons.sliding_psn import SlidingPSN, SlidingPSNSettings


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_a_causal_psn_starts_as_a_leaky_integrator_without_reset() -> None:
    x = gaussian(3, 4, 100)
    lif = RefractoryLIFSettings(leak=0.7, reset="none", refractory=0.0, refractory_trainable=False)
    psn = PSN(4, PSNSettings(length=120, leak=0.7))
    torch.testing.assert_close(psn.potential(x), RefractoryLIF(4, lif).potential(x))


def test_a_longer_sequence_than_the_matrix_is_refused_by_sequence_and_stream() -> None:
    psn, x = PSN(4, PSNSettings(length=10)), gaussian(2, 4, 11)
    with pytest.raises(ValueError, match=r"at most neuron\.length=10 time steps, but this one has 11"):
        psn(x)
    state = None
    for x_t in x[..., :10].unbind(-1):
        _, state = psn.step(x_t, state)
    with pytest.raises(ValueError, match=r"at most neuron\.length=10 time steps, but this one has 11"):
        psn.step(x[..., 10], state)


def test_a_psn_that_looks_ahead_says_what_can_be_streamed_instead() -> None:
    psn = PSN(4, PSNSettings(length=10, causal=False))
    with pytest.raises(ValueError, match=r"neuron\.causal=true or use the neuron sliding_psn"):
        psn.step(gaussian(2, 4), None)


def test_the_gradient_of_a_causal_matrix_stays_below_its_diagonal() -> None:
    psn = PSN(4, PSNSettings(length=20, surrogate="arctan"))  # nowhere 0
    psn(gaussian(2, 4, 15)).sum().backward()
    assert psn.weight.grad is not None
    assert torch.equal(psn.weight.grad != 0, torch.ones(20, 20).tril().mul(torch.arange(20)[:, None] < 15).bool())


@pytest.mark.parametrize("causal", [True, False])
def test_its_gradients_are_those_of_the_softened_equations(causal: bool) -> None:
    x, grad = gaussian(2, 3, 15).double().requires_grad_(), gaussian(2, 3, 15).flip(0).double()
    psn = PSN(3, PSNSettings(length=15, causal=causal, surrogate="sigmoid")).double()
    leaves = [x, psn.weight, *psn.threshold.parameters()]
    got = torch.autograd.grad(psn(x), leaves, grad)
    potential = torch.einsum("tj,bhj->bht", psn.weight.tril() if causal else psn.weight, x)
    soft = torch.sigmoid(potential / psn.threshold()[:, None] - 1)
    torch.testing.assert_close(got, torch.autograd.grad(soft, leaves, grad))


def test_a_sliding_psn_is_a_causal_psn_whose_matrix_repeats_the_filter() -> None:
    x, sliding = gaussian(3, 4, 41), SlidingPSN(4, SlidingPSNSettings(order=5, initialisation="uniform"))
    psn = PSN(4, PSNSettings(length=41))
    with torch.no_grad():
        psn.weight.copy_(sum(w * torch.diag(torch.ones(41 - i), -i) for i, w in enumerate(sliding.weight.flip(0))))
    torch.testing.assert_close(sliding.potential(x), psn.potential(x))


def test_operations_are_the_multiplications_of_the_matrix_or_filter() -> None:
    assert PSN(1, PSNSettings(length=7)).operations_per_step() == (4, 0)
    assert PSN(1, PSNSettings(length=7, causal=False)).operations_per_step() == (7, 0)
    assert SlidingPSN(1, SlidingPSNSettings(order=7)).operations_per_step() == (7, 0)


def test_the_task_decides_the_length_and_none_of_its_sequences_is_longer(tmp_path: Path) -> None:
    sizes = {"task.min_length": 20, "task.max_length": 25, "task.train": 2000, "task.validation": 20, "task.test": 20}
    settings = Composer().settings({"neuron": "psn", **sizes})
    length = settings.neuron.length
    assert (length, type(length)) == (25, int)
    longest = ListOps(settings.task).prepare(tmp_path, files=tmp_path).train.lengths.max()
    assert longest == length, "the longest possible sequence is there, its end token included"


@pytest.mark.parametrize(
    ("settings", "changes", "sentence"),
    [
        (PSNSettings, {"length": 0}, "length must be at least 1"),
        (PSNSettings, {"leak": 1.0}, r"leak must be in \(0, 1\)"),
        (SlidingPSNSettings, {"order": 0}, "order must be at least 1"),
        (SlidingPSNSettings, {"initialisation": "magic"}, "choose one of exponential, uniform"),
    ],
)
def test_settings_that_make_no_sense_get_a_sentence(settings: type, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        settings(**changes)
