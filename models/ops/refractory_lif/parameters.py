"""Arguments of the operator besides x: four parameters with their ranges, and the rules of the neuron."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.ops.checks import can_be_asked, check_in_graph

RESETS = ("soft", "none", "hard")
"""Resets, what a spike does to the potential: takes one threshold off, nothing, or sets it to 0. The order is the
numbering that compiled kernels use."""


class Rules(NamedTuple):
    """Rules of the neuron, and of its gradient; `models.ops.refractory_lif.refractory_lif` explains each."""

    reset: str = "soft"
    raises_threshold: bool = False  # the refractory current raises the threshold instead of lowering the potential
    surrogate: str = "piecewise_quadratic"
    surrogate_width: float = 1.0
    detach_reset: bool = True


SMALLEST_THRESHOLD = 1e-30
"""Least threshold allowed: what a potential is divided by must not be so small that quotients overflow float32."""

RANGES = {
    "leak": ("in (0, 1)", 0.0, True, 1.0),
    "threshold": (f"> 0 and at least {SMALLEST_THRESHOLD:g}", SMALLEST_THRESHOLD, False, math.inf),
    "refractory": (">= 0", 0.0, False, math.inf),
    "decay": ("in [0, 1)", 0.0, False, 1.0),
}
"""Parameter -> (its range in words, lower end, whether that end is excluded, upper end, always excluded)."""


def check_parameter(label: str, value: float) -> None:
    """Raise ValueError unless `value` lies in the range of `label` (leak, threshold, refractory or decay)."""
    words, low, low_excluded, high = RANGES[label]
    if not (low < value < high or (value == low and not low_excluded)):
        raise ValueError(f"{label} must be {words}, but it is {value}.")


def _check_all(parameters: Tensor) -> None:
    """Raise ValueError, in compiled code RuntimeError, unless all of the parameters [4, H] are in their ranges."""
    if torch.compiler.is_compiling():
        for values, (label, (words, low, low_excluded, high)) in zip(parameters, RANGES.items(), strict=True):
            check_in_graph(
                ((values > low) if low_excluded else (values >= low)) & (values < high), f"{label} must be {words}."
            )
        return
    for extremes in parameters.aminmax(dim=1):
        for label, value in zip(RANGES, extremes.tolist(), strict=True):
            check_parameter(label, value)


def _expand(label: str, value: float | Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """`value` expanded to [H] of the given dtype; a float is checked. Raises ValueError for another shape or type."""
    channels = x.shape[1]
    if not isinstance(value, (Tensor, int, float)):
        raise TypeError(f"{label} must be a float or a tensor [{channels}], but it is {value!r}.")
    if not isinstance(value, Tensor):
        check_parameter(label, float(value))
        return torch.full((channels,), float(value), dtype=dtype, device=x.device)
    if value.dim() > 1 or (value.numel() != 1 and value.numel() != channels):  # sizes may be symbols
        raise ValueError(
            f"{label} must be a float or a tensor [{channels}] for x {list(x.shape)}, "
            f"but its shape is {list(value.shape)}."
        )
    value = value.to(device=x.device, dtype=dtype)
    return value if value.dim() == 1 and value.shape[0] == channels else value.expand(channels)


def stack_parameters(
    leak: float | Tensor,
    threshold: float | Tensor,
    refractory: float | Tensor,
    decay: float | Tensor,
    x: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """Parameters [4, H], in this order, for x [B, H, L]. Raises ValueError or TypeError for what is not allowed.

    The values of tensors are not checked on a GPU, because the CPU would have to wait for it.
    """
    parameters = torch.stack(
        (
            _expand("leak", leak, x, dtype),
            _expand("threshold", threshold, x, dtype),
            _expand("refractory", refractory, x, dtype),
            _expand("decay", decay, x, dtype),
        )
    )
    if can_be_asked(parameters):
        _check_all(parameters.detach())
    return parameters
