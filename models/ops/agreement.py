"""Agreement of two solvers in floating point.

A potential within rounding of the threshold may fall on either side, and one flipped spike changes all that follows,
so spikes cannot simply be compared. Instead each solver answers for its own: the potentials that its spikes lead to are
recomputed in float64 (spikes forced), and every spike must be the right decision for them, except where they lie
within the tolerance of the threshold. A row that never comes that close therefore equals the reference, and the first
difference of any other row lies within the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ops.refractory_lif.sequential import potential_given_spikes

ROUNDINGS = 4
"""Roundings that a step is allowed of each number, a unit in the last place each."""


class Agreement(NamedTuple):
    """Counts of what `assert_agreement` found besides no error."""

    close_calls: int  # positions whose decision lies within the tolerance
    flips: int  # of these, decided the other way than in float64


def rounding_tolerance(
    x: Tensor, spikes: Tensor, potential: Tensor, parameters: Sequence[Tensor], dtype: torch.dtype
) -> Tensor:
    """Bound [B, H, L] on how far rounding in `dtype` may move each potential; all tensors in float64.

    x, spikes and the potential that they lead to are [B, H, L]; parameters are leak, threshold, refractory and decay,
    each [H].

    Each step rounds numbers as large as its input, the refractory current and the potential before and after the reset.
    The current passes its errors on with the decay and to the potential, the potential with the leak. Errors are
    counted from the numbers that occur, not from the largest that could: the bound stays sharp for slow neurons, where
    sums of |x| would exceed the threshold. No rule makes any of these numbers larger than here.
    """
    leak, threshold, refractory, decay = parameters
    none, ones, zeros = torch.zeros_like(x), torch.ones_like(threshold), torch.zeros_like(threshold)
    current = -potential_given_spikes(none, spikes, zeros, threshold, refractory, decay)
    of_current = potential_given_spikes(current, none, decay, ones, zeros, decay)
    size = x.abs() + potential.abs() + current + threshold[:, None]
    errors = potential_given_spikes(size + of_current, none, leak, ones, zeros, decay)
    return ROUNDINGS * torch.finfo(dtype).eps * errors


def assert_agreement(
    x: Tensor, parameters: Sequence[Tensor], spikes: Tensor, potential: Tensor, rules: Rules = Rules()
) -> Agreement:
    """Raise AssertionError, naming the first position, unless spikes and potentials [B, H, L] are right for x.

    parameters: leak, threshold, refractory and decay, each [H].
    """
    if spikes.numel() == 0:
        return Agreement(0, 0)
    leak, threshold, refractory, decay = (p.detach().double() for p in parameters)
    exact = (leak, threshold, refractory, decay)
    forced = spikes.detach().double()
    u = potential_given_spikes(x.detach().double(), forced, *exact, rules)
    tolerance = rounding_tolerance(x.detach().double(), forced, u, exact, potential.dtype)
    threshold = threshold[:, None]
    close = (u - threshold).abs() <= tolerance
    flipped = (forced == 1) != (u >= threshold)
    for name, wrong in (
        ("spike", (flipped & ~close) | ((forced != 0) & (forced != 1))),
        ("potential", ~((potential.double() - u).abs() <= tolerance)),
    ):
        if wrong.any():
            b, h, t = wrong.nonzero()[0].tolist()
            raise AssertionError(
                f"The {name} at b={b}, h={h}, t={t} is wrong: potential {potential[b, h, t]:.9g}, in float64 "
                f"{u[b, h, t]:.9g}, threshold {threshold[h, 0]:.9g}, spike {spikes[b, h, t]:g}, "
                f"tolerance {tolerance[b, h, t]:.3g}; {int(wrong.sum())} such positions of {wrong.numel()}."
            )
    return Agreement(int(close.sum()), int(flipped.sum()))
