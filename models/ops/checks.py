"""Checks of the values of tensors, in compiled code too, which cannot stop to look at them.

A GPU is not asked, because the CPU would have to wait for it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def can_be_asked(values: Tensor) -> bool:
    """Whether there are values, and they are on a CPU."""
    return values.device.type == "cpu" and bool(values.numel())


def check_in_graph(holds: Tensor, sentence: str) -> None:
    """Make compiled code raise RuntimeError with this sentence, each time it is run, unless all of `holds` is True."""
    torch._assert_async(holds.all(), sentence)


def check_finite(values: Tensor) -> None:
    """Raise ValueError, in compiled code RuntimeError, unless all values of a neuron's last step are finite.

    NaN and infinity never leave a membrane that leaks by a factor, so its last step tells of the input.
    """
    if not can_be_asked(values):
        return
    sentence = (
        "The neuron's input x holds NaN or infinite values (or its potential overflowed). "
        "Look at the layer before: a learning rate that is too high is the usual reason."
    )
    if torch.compiler.is_compiling():
        check_in_graph(values.detach().isfinite(), sentence)
    elif not all(math.isfinite(extreme) for extreme in values.detach().aminmax()):  # which NaN goes through
        raise ValueError(sentence)


def check_lengths(lengths: Tensor, examples: int, longest: int, *, least: int = 1) -> None:
    """Raise ValueError, in compiled code RuntimeError, unless `lengths` [examples] are in `least` to `longest`."""
    sentence = f"lengths must be {examples} integers from {least} to the {longest} steps there are"
    if lengths.shape != (examples,) or lengths.is_floating_point():
        raise ValueError(f"{sentence}, but they are {lengths.dtype} {list(lengths.shape)}.")
    if not can_be_asked(lengths):
        return
    if torch.compiler.is_compiling():
        check_in_graph(
            (lengths >= least) & (lengths <= longest), f"lengths must be from {least} to the steps there are."
        )
        return
    lowest, highest = (int(extreme) for extreme in lengths.aminmax())
    if lowest < least or highest > longest:
        raise ValueError(f"{sentence}, but they are from {lowest} to {highest}.")
