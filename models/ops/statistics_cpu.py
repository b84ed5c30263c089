"""The CPU's kernels (numba) of the statistics of channels.

Rows (an example's channel each) are joined in double precision, in the order of the batch, by their means and squares
about them (Chan, Golub and LeVeque 1983).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import WORTH, Threaded, reduction

_U = np.uintp


@reduction
def _total(row):
    total = row.dtype.type(0)
    for t in range(_U(row.size)):
        total += row[t]
    return total


@reduction
def _squares(row, centre):
    """The sum of the squares about `centre`."""
    total = row.dtype.type(0)
    for t in range(_U(row.size)):
        total += (row[t] - centre) * (row[t] - centre)
    return total


@Threaded
def _statistics_kernel(x, lengths, means, variances, first, end):
    batch = x.shape[0]
    for h in range(first, end):
        count, mean, squares = 0, 0.0, 0.0
        for b in range(batch):
            steps = lengths[b]
            if steps > 0:
                row = x[b, h, :steps]
                of_row = _total(row) / steps
                centre = x.dtype.type(of_row)
                about = _squares(row, centre) - steps * (of_row - centre) ** 2
                apart = of_row - mean
                squares += about + apart * apart * count * steps / (count + steps)
                count += steps
                mean += apart * steps / count
        means[h], variances[h] = mean, squares / count


@Threaded
def _backward_kernel(slopes, offsets, x, lengths, grad_x, first, end):
    batch, _, length = x.shape
    for h in range(first, end):
        slope, offset = slopes[h], offsets[h]
        for b in range(batch):
            row, into = x[b, h], grad_x[b, h]
            for t in range(lengths[b]):
                into[_U(t)] = slope * row[_U(t)] + offset
            for t in range(lengths[b], length):
                into[_U(t)] = 0


def _groups(x: Tensor) -> tuple[int, int]:
    """Channels of x [B, H, L], and how many one thread has to have to be worth starting."""
    return x.shape[1], -(-WORTH // (x.shape[0] * x.shape[2]))


def _or_all(lengths: Tensor | None, x: Tensor) -> Tensor:
    return torch.full((len(x),), x.shape[2]) if lengths is None else lengths


def statistics(x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """Means and variances [H] of x [B, H, L]; see statistics.py."""
    mean, variance = x.new_empty(x.shape[1]), x.new_empty(x.shape[1])
    _statistics_kernel(*_groups(x), x.numpy(force=True), _or_all(lengths, x).numpy(), mean.numpy(), variance.numpy())
    return mean, variance


def statistics_backward(
    by_mean: Tensor, by_variance: Tensor, x: Tensor, lengths: Tensor | None, mean: Tensor
) -> Tensor:
    """Gradient [B, H, L] of x; see statistics.py."""
    lengths, grad_x = _or_all(lengths, x), torch.empty_like(x)
    slopes = 2 * by_variance / lengths.sum()
    offsets = by_mean / lengths.sum() - slopes * mean
    numbers = [each.numpy(force=True) for each in (slopes, offsets, x, lengths, grad_x)]
    _backward_kernel(*_groups(x), *numbers)
    return grad_x
