"""An alternative to the convolutions of models/: chunks of a few steps as matrix products, with states carried between.

`python -m benchmarks.convolution` measures it, and gates it against S4D's own forward.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from spike_ssm.models.ssm import S4D


def in_chunks(layer: S4D, x: Tensor, steps: int) -> Tensor:
    """Output [B, H, L] of `layer(x)` in chunks of `steps`, a divisor of L; for bidirectional, complex layers."""
    batch, channels, length = x.shape
    dt_a, discrete_b = layer._discretised()
    causal, ahead = torch.view_as_complex(layer.c)
    powers = torch.exp(dt_a[..., None] * torch.arange(steps))  # [H, N, T]
    begins, inputs = dt_a.exp()[..., None] * powers, discrete_b[..., None] * powers
    across = torch.exp(dt_a * steps)[..., None]
    chunks = x.view(batch, channels, -1, steps).permute(1, 3, 2, 0)  # [H, T, C, B]
    order = range(chunks.shape[2])
    y = _within(layer, chunks)
    y = y + _carried(chunks, inputs.flip(-1), across, causal[..., None] * begins, order)
    y = y + _carried(chunks, inputs, across, ahead[..., None] * powers.flip(-1), reversed(order))
    return y.permute(3, 0, 2, 1).reshape(batch, channels, length)


def _within(layer: S4D, chunks: Tensor) -> Tensor:
    """Contributions of a chunk's steps to each other, [H, T, C, B] -> [H, T, C, B], with the skip."""
    steps = chunks.shape[1]
    causal, ahead = layer.kernels(steps)
    lags = torch.cat((ahead[:, : steps - 1].flip(-1), causal[:, :1] + layer.d[:, None], causal[:, 1:]), -1)
    return torch.bmm(lags.unfold(-1, steps, 1).flip(-1), chunks.flatten(2)).view_as(chunks)


def _carried(chunks: Tensor, into: Tensor, across: Tensor, out: Tensor, order: Iterable[int]) -> Tensor:
    """Contributions to chunks [H, T, C, B] of those earlier in `order`.

    into, out [H, N, T]: from a chunk's steps into the state that it leaves, and from the state that it gets to them.
    across [H, N, 1]: the factor of a state over a chunk.
    """
    channels, _, count, batch = chunks.shape
    parts = torch.bmm(_as_real(into), chunks.flatten(2)).view(channels, 2, -1, count, batch)
    left = torch.complex(parts[:, 0], parts[:, 1])  # [H, N, C, B]
    state, got = torch.zeros_like(left[:, :, 0]), [left[:, :, 0]] * count
    for chunk in order:
        got[chunk] = state
        state = across * state + left[:, :, chunk]
    return 2 * torch.bmm(_as_real(out.conj()).transpose(1, 2), _as_real(torch.stack(got, 2)).flatten(2)).view_as(chunks)


def _as_real(values: Tensor) -> Tensor:
    """Complex [H, N, ...] -> real [H, 2N, ...]: real parts first."""
    return torch.cat((values.real, values.imag), 1)
