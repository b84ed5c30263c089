"""Means, variances and norms of channels are torch's, over the real steps alone, and so are their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spike_ssm.models.norm import MaskedBatchNorm
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


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("shape", [(2, 1, 1), (3, 5, 33), (8, 64, 1000)])
def test_norms_and_gradients_are_torchs_where_steps_are_real(shape: tuple[int, int, int], padded: bool) -> None:
    x = (5 + torch.randn(shape, dtype=torch.float64)).requires_grad_()
    lengths = 1 + torch.arange(shape[0]) * 5 % shape[2] if padded else torch.full(shape[:1], shape[2])
    real = (torch.arange(shape[2]) < lengths[:, None])[:, None].expand(shape)
    ours, theirs = MaskedBatchNorm(shape[1]).double(), torch.nn.BatchNorm1d(shape[1]).double()
    for norm in (ours, theirs):
        torch.nn.init.constant_(norm.weight, 0.7)
        torch.nn.init.constant_(norm.bias, -0.2)
    y = ours(x, real[:, :1])[real]
    steps = torch.cat([row[:, :length] for row, length in zip(x, lengths.tolist(), strict=True)], 1)
    of_examples = theirs(steps.T).T.split(lengths.tolist(), 1)
    expected = torch.cat([part.flatten() for part in of_examples])
    torch.testing.assert_close(y, expected, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()), rtol=1e-11, atol=1e-13)
    for got, true in zip(
        torch.autograd.grad(y.sin().sum(), (x, ours.weight, ours.bias)),
        torch.autograd.grad(expected.sin().sum(), (x, theirs.weight, theirs.bias)),
        strict=True,
    ):
        torch.testing.assert_close(got, true, rtol=1e-9, atol=1e-11)


def test_the_operators_pass_torchs_own_check() -> None:
    x, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((2, 3, 20), (3,), (3,)))
    for lengths in (None, torch.tensor([20, 3])):
        torch.library.opcheck(torch.ops.spike_ssm.channel_statistics.default, (x, lengths))
        torch.library.opcheck(torch.ops.spike_ssm.batch_norm.default, (x, lengths, weight, bias, 1e-5))
