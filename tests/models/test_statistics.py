"""Means and variances of channels are torch's, over the real steps alone, and so are their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spike_ssm.models.ops.statistics import channel_statistics


def by_torch(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    if lengths is None:
        return x.mean((0, 2)), x.var((0, 2), unbiased=False)
    real = torch.cat([row[:, :length] for row, length in zip(x, lengths.tolist(), strict=True)], 1)
    return real.mean(1), real.var(1, unbiased=False)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 33), (8, 64, 1000)])
def test_statistics_and_gradients_are_torchs(shape: tuple[int, int, int], padded: bool) -> None:
    x = (5 + torch.randn(shape, dtype=torch.float64)).requires_grad_()
    lengths = 1 + torch.arange(shape[0]) * 5 % shape[2] if padded else None
    outcomes = []
    for way in (channel_statistics, by_torch):
        mean, variance = way(x, lengths)
        outcomes.append((mean, variance, *torch.autograd.grad(mean.sin().sum() + variance.cos().sum(), x)))
    for got, expected in zip(*outcomes, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)


def test_a_mean_far_from_zero_costs_no_digits_of_the_variance() -> None:
    x = 1000 + torch.randn(4, 3, 5000)
    _, variance = channel_statistics(x, None)
    torch.testing.assert_close(variance.double(), x.double().var((0, 2), unbiased=False), rtol=1e-4, atol=0)


def test_an_example_without_steps_counts_for_nothing() -> None:
    x = torch.randn(3, 2, 10)
    torch.testing.assert_close(channel_statistics(x, torch.tensor([4, 0, 10])), by_torch(x, torch.tensor([4, 0, 10])))


def test_the_numbers_are_the_same_with_any_number_of_threads() -> None:
    x, found = torch.randn(40, 8, 500), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(torch.stack(channel_statistics(x, None)))
    assert torch.equal(*found)


def test_the_operator_passes_torchs_own_check() -> None:
    x = torch.randn(2, 3, 20, requires_grad=True)
    for lengths in (None, torch.tensor([20, 3])):
        torch.library.opcheck(torch.ops.spike_ssm.channel_statistics.default, (x, lengths))
