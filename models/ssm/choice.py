"""Which of the ways to compute a layer is taken; all give the same numbers up to rounding."""

from __future__ import annotations

import torch
from torch import Tensor

WAYS = ("auto", "scan", "fft", "product", "scan_or_product", "scan_if_long_or_product", "fft_or_product")
"""What `model.convolution` may be: the recurrence; the convolution with the kernel of all lags, by FFT or as a matrix
product; or what is faster for a sequence's length: the product, else the scan, the FFT, or either, the scan for long
sequences. `auto` is one of these last three, which a run keeps."""

MOST_NUMBERS = {"AVX2": (64, 128), "AVX512": (64, 128)}
"""Vector instructions of the CPU -> the most real numbers in a channel's states, of all directions, with which the scan
is no slower than the FFT: from the first step on, and for long sequences (`python -m benchmarks.convolution` and
`.network`, on processors of AMD)."""

LONG = 2048
"""Least steps of a long sequence."""

SCANNED_AGAIN = 32
"""Most real numbers in a channel's states with which it is no slower to scan again, for the backward of a neuron, than
to keep what the neuron was given."""

FEW, SHORT = 16, 64
"""Most steps at which a product with the matrix of all pairs of steps is faster: with any number of examples, and with
at least half as many examples as steps."""

_HERE = torch.backends.cpu.get_cpu_capability()


def numbers_of(model: tuple[Tensor, Tensor, Tensor]) -> int:
    """Real numbers in a channel's states, of all directions: step size times A, weights [directions, H, N] and skip."""
    dt_a, weights, _ = model
    return (2 if dt_a.is_complex() else 1) * weights.shape[0] * weights.shape[-1]


def check_way(way: str) -> None:
    """Raise ValueError unless `way` exists."""
    if way not in WAYS:
        raise ValueError(f"convolution {way!r} does not exist; choose one of {', '.join(WAYS)}.")


def resolved(way: str, numbers: int, device: torch.device) -> str:
    """`way`, or for `auto` what it is on `device`. numbers: real numbers in a channel's states, of all directions.

    On a GPU nothing has been measured yet, so `auto` is the FFT there.
    """
    if way != "auto":
        return way
    most, most_if_long = MOST_NUMBERS.get(_HERE, (0, 0)) if device.type == "cpu" else (0, 0)
    if numbers <= most:
        return "scan_or_product"
    return "scan_if_long_or_product" if numbers <= most_if_long else "fft_or_product"


def for_length(way: str, batch: int, length: int) -> str:
    """`scan`, `fft` or `product`: a resolved way for `batch` sequences of `length` steps.

    A product with the matrix of all pairs of steps is faster for few steps and, because each channel has a matrix of
    its own, many examples (`python -m benchmarks.convolution`).
    """
    other, _, either = way.partition("_or_")
    if not either:
        return way
    if length <= min(SHORT, max(FEW, 2 * batch)):
        return "product"
    if other == "scan_if_long":
        return "scan" if length >= LONG else "fft"
    return other
