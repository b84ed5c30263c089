"""What the operator is given besides x: four parameters with their ranges, and the rules of the neuron."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

Parameters = tuple[Tensor, Tensor, Tensor, Tensor]
"""leak, threshold, refractory, decay, each [H]."""

RESETS = ("soft", "none", "hard")
"""What a spike does to the potential: takes one threshold off, nothing, or sets it to 0. The order is the numbering
that compiled kernels use."""


class Rules(NamedTuple):
    """Which neuron it is, and how its gradient flows."""

    reset: str = "soft"
    raises_threshold: bool = False  # the refractory current raises the threshold instead of lowering the potential
    surrogate: str = "piecewise_quadratic"
    surrogate_width: float = 1.0
    detach_reset: bool = True


RANGES = {
    "leak": ("in (0, 1)", 0.0, True, 1.0),
    "threshold": ("> 0", 0.0, True, math.inf),
    "refractory": (">= 0", 0.0, False, math.inf),
    "decay": ("in [0, 1)", 0.0, False, 1.0),
}
"""Parameter -> (its range in words, lower end, whether that end is excluded, upper end, always excluded)."""


def check_parameter(label: str, value: float) -> None:
    """Raise ValueError unless `value` lies in the range of `label` (leak, threshold, refractory or decay)."""
    words, low, low_excluded, high = RANGES[label]
    if not (low < value < high or (value == low and not low_excluded)):
        raise ValueError(f"{label} must be {words}, but it is {value}.")


def _expand(label: str, value: float | Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """`value` checked and expanded to [H] of the given dtype."""
    channels = x.shape[1]
    if not isinstance(value, Tensor):
        check_parameter(label, float(value))
        return torch.full((channels,), float(value), dtype=dtype, device=x.device)
    if value.shape not in ((), (1,), (channels,)):
        raise ValueError(
            f"{label} must be a float or a tensor [{channels}] for x {list(x.shape)}, "
            f"but its shape is {list(value.shape)}."
        )
    if value.device.type == "cpu" and value.numel() and not torch.compiler.is_compiling():
        smallest, largest = value.detach().aminmax()
        check_parameter(label, float(smallest))
        check_parameter(label, float(largest))
    return value.to(device=x.device, dtype=dtype).expand(channels)


def expand_parameters(
    leak: float | Tensor,
    threshold: float | Tensor,
    refractory: float | Tensor,
    decay: float | Tensor,
    x: Tensor,
    dtype: torch.dtype,
) -> Parameters:
    """Each checked and expanded to [H] for x [B, H, L]. Raises ValueError when a value or shape is not allowed."""
    return (
        _expand("leak", leak, x, dtype),
        _expand("threshold", threshold, x, dtype),
        _expand("refractory", refractory, x, dtype),
        _expand("decay", decay, x, dtype),
    )
