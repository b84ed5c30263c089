"""The CPU's kernels (numba) of the statistics of channels.

Rows (an example's channel each) are joined in double precision, in the order of the batch, by their means and squares
about them (Chan, Golub and LeVeque 1983).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import WORTH, Threaded, kernel, reduction

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


@kernel
def _moments(x, lengths, h):
    """Mean and variance of a channel."""
    count, mean, squares = 0, 0.0, 0.0
    for b in range(x.shape[0]):
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
    return mean, squares / count


@Threaded
def _statistics_kernel(x, lengths, means, variances, first, end):
    for h in range(first, end):
        means[h], variances[h] = _moments(x, lengths, h)


@kernel
def _scale_row(row, scale, shift, target):
    for t in range(_U(row.size)):
        target[t] = row[t] * scale + shift


@Threaded
def _norm_kernel(x, lengths, weight, bias, eps, y, means, variances, first, end):
    batch, _, length = x.shape
    kind = x.dtype.type
    for h in range(first, end):
        means[h], variances[h] = _moments(x, lengths, h)
        scale = weight[h] / np.sqrt(variances[h] + eps)
        shift = bias[h] - means[h] * scale
        for b in range(batch):
            _scale_row(x[b, h, : lengths[b]], kind(scale), kind(shift), y[b, h])
            for t in range(lengths[b], length):
                y[b, h, t] = 0


@reduction
def _products(grad, row, centre):
    """Sums of a gradient, and of its products with a row less `centre`."""
    total, by_row = row.dtype.type(0), row.dtype.type(0)
    for t in range(_U(row.size)):
        total += grad[t]
        by_row += grad[t] * (row[t] - centre)
    return total, by_row


@kernel
def _combine(grad, row, by_grad, by_row, constant, target):
    for t in range(_U(row.size)):
        target[t] = by_grad * grad[t] + by_row * row[t] + constant


@Threaded
def _norm_backward_kernel(grad, x, lengths, weight, eps, means, variances, grad_x, by_weight, by_bias, first, end):
    batch, _, length = x.shape
    kind, count = x.dtype.type, lengths.sum()
    for h in range(first, end):
        total, products = 0.0, 0.0
        for b in range(batch):
            ones, others = _products(grad[b, h, : lengths[b]], x[b, h, : lengths[b]], means[h])
            total += ones
            products += others
        deviation = np.sqrt(variances[h] + eps)
        by_weight[h], by_bias[h] = products / deviation, total
        scale = weight[h] / deviation
        slope = -scale * products / (deviation * deviation * count)
        constant = -scale * total / count - slope * means[h]
        for b in range(batch):
            steps = lengths[b]
            _combine(grad[b, h, :steps], x[b, h, :steps], kind(scale), kind(slope), kind(constant), grad_x[b, h])
            for t in range(steps, length):
                grad_x[b, h, t] = 0


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


def batch_norm(
    x: Tensor, lengths: Tensor | None, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised x [B, H, L], and the means and variances [H]; see statistics.py."""
    y, mean, variance = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
    inputs = [each.numpy(force=True) for each in (x, _or_all(lengths, x), weight, bias)]
    _norm_kernel(*_groups(x), *inputs, eps, y.numpy(), mean.numpy(), variance.numpy())
    return y, mean, variance


def batch_norm_backward(
    grad: Tensor, x: Tensor, lengths: Tensor | None, weight: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias; see statistics.py."""
    grad_x, by_weight, by_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
    arrays = [each.numpy(force=True) for each in (grad, x, _or_all(lengths, x), weight)]
    _norm_backward_kernel(
        *_groups(x), *arrays, eps, mean.numpy(force=True), variance.numpy(force=True),
        grad_x.numpy(), by_weight.numpy(), by_bias.numpy(),
    )  # fmt: skip
    return grad_x, by_weight, by_bias
