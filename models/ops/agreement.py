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


class Agreement(NamedTuple):
    """Counts of what `assert_agreement` found besides no error."""

    close_calls: int  # positions whose decision lies within the tolerance
    flips: int  # of these, decided the other way than in float64


def rounding_tolerance(x: Tensor, spikes: Tensor, parameters: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Bound [B, H, L] on how far rounding in `dtype` may move each potential; all tensors in float64.

    x and spikes are [B, H, L]; parameters are leak, threshold, refractory and decay, each [H].

    Each step rounds sums no larger than the accumulated |x| and kappa * s; the membrane passes these errors on. No
    rule makes the potential larger than the soft reset's sums.
    """
    leak, threshold, refractory, decay = parameters
    none, ones = torch.zeros_like(x), torch.ones_like(threshold)
    accumulated = potential_given_spikes(x.abs(), none, leak, ones, none[0, :, 0], decay)
    inhibition = -potential_given_spikes(none, spikes, leak, threshold, refractory, decay)
    scale = accumulated + inhibition + threshold[:, None]
    errors = potential_given_spikes(scale, none, leak, ones, none[0, :, 0], decay)
    return 8 * torch.finfo(dtype).eps * errors / (1 - decay[:, None])


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
    tolerance = rounding_tolerance(x.detach().double(), forced, exact, potential.dtype)
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
