"""Long convolutions by FFT, with a backward that keeps nothing of their size but the input; short ones as products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from spike_ssm.models.ops.once import once
from spike_ssm.models.ops.precision import without_autocast

AT_ONCE, ROWS = 2**20, 64
"""Numbers that a CPU transforms at once, which stay in its caches, and the fewest rows that it transforms at once, for
which it prepares one transform."""


def convolution(
    x: Tensor,
    skip: Tensor | float,
    kernel: Tensor,
    reverse_kernel: Tensor | None = None,
    *,
    by_product: bool,
) -> Tensor:
    """Convolution [B, H, L] of x, which is 0 beyond its ends, with a kernel and, looking ahead, a reverse kernel.

        y_t = skip x_t + sum_j kernel_j x_{t-j} + sum_j reverse_kernel_j x_{t+1+j}

    x [B, H, L], kernels [H, L] and skip [H] or a number, of one precision: half precision is computed in single. The
    reverse kernel starts at lag -1 (as in the S4 code base): lag 0 belongs to the causal kernel alone, so that no step
    is counted twice. To be differentiated once. by_product: as a matrix product, or by FFT.
    """
    ahead = torch.zeros_like(kernel) if reverse_kernel is None else reverse_kernel.flip(-1)  # lag -1 comes last
    with without_autocast(x):
        skip = torch.as_tensor(skip, dtype=kernel.dtype, device=kernel.device).expand(len(kernel))
        x = x.to(kernel.dtype)
        way = _ByProduct if by_product else _ByFFT
        y: Tensor = way.apply(x, skip, torch.cat((kernel, ahead), -1))  # type: ignore[no-untyped-call]
    return y


class _ByProduct(torch.autograd.Function):
    """Convolution as a matrix product of x [B, H, L] with skip [H] and kernels [H, 2L], whose second half holds
    negative lags.

    torch's own backward would go through dozens of operators, which take longer than the products of few steps.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor, kernel: Tensor) -> Tensor:
        length, x = x.shape[-1], x.contiguous()  # otherwise torch takes the products one by one
        lags = kernel.roll(length, -1)  # from -L to L - 1
        lags[:, length] += skip
        matrix = lags[:, 1:].unfold(-1, length, 1).flip(1)  # [H, L, L]; row j holds lags -j to L - 1 - j
        ctx.save_for_backward(x, matrix)
        return torch.bmm(x.transpose(0, 1), matrix).transpose(0, 1).contiguous()

    @staticmethod
    @once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, matrix = ctx.saved_tensors
        (_, channels, length), grad = x.shape, grad.contiguous()
        grad_x = torch.bmm(grad.transpose(0, 1), matrix.mT).transpose(0, 1)
        of_matrix = torch.bmm(x.permute(1, 2, 0), grad.transpose(0, 1)).flip(1)
        # rows one longer than 2L, taken as rows of 2L: each begins one lag later than the one before
        by_lag = pad(of_matrix, (1, length)).flatten(1)[:, : 2 * length * length].view(channels, length, -1).sum(1)
        grad_kernel = by_lag.roll(length, -1)
        return grad_x, grad_kernel[:, 0], grad_kernel


class _ByFFT(torch.autograd.Function):
    """Convolution by FFT of x [B, H, L] with skip [H] and kernels [H, 2L], whose second half holds negative lags.

    The formula's own backward would keep the spectra, and transform complex arrays where real ones do. Channels go
    through all of it some at a time, so that no other array has the size of x twice over.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor, kernel: Tensor) -> Tensor:
        twice = 2 * x.shape[-1]
        response = torch.fft.rfft(kernel).add_(skip[:, None])  # all frequencies pass what stays in place
        ctx.save_for_backward(x, response)
        y = torch.empty_like(x)
        for some in _channels_at_once(x):
            spectrum = torch.fft.rfft(x[:, some], n=twice).mul_(response[some])
            y[:, some] = torch.fft.irfft(spectrum, n=twice)[..., : x.shape[-1]]
        return y

    @staticmethod
    @once
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, response = ctx.saved_tensors
        length, twice = x.shape[-1], 2 * x.shape[-1]
        grad_x, grad_kernel = torch.empty_like(x), x.new_empty(x.shape[1], twice)
        for some in _channels_at_once(x):
            spectrum = torch.fft.rfft(grad[:, some], n=twice)
            products = torch.fft.rfft(x[:, some], n=twice).conj_physical_().mul_(spectrum).sum(0)
            grad_kernel[some] = torch.fft.irfft(products, n=twice)
            grad_x[:, some] = torch.fft.irfft(spectrum.mul_(response[some].conj()), n=twice)[..., :length]
        return grad_x, grad_kernel[:, 0], grad_kernel


def _channels_at_once(x: Tensor) -> Iterator[slice]:
    """Slices of all channels of x [B, H, L]; on a CPU in parts."""
    batch, channels, length = x.shape
    rows = max(ROWS, AT_ONCE // (2 * length)) if x.device.type == "cpu" else batch * channels
    step = max(1, rows // max(1, batch))
    return (slice(first, first + step) for first in range(0, channels, step))
