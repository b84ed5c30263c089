"""The readable reference: the neuron's equations as a loop over time, its gradients by autograd.

Every other solver must reproduce these spikes and these gradients (models/ops/agreement.py says what that means in
floating point). Source: arXiv 2410.17268 with the reading of docs/method.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.ops.surrogate import spike


def solve_sequential(
    x: Tensor,
    leak: Tensor,
    threshold: Tensor,
    refractory: Tensor,
    decay: Tensor,
    surrogate: str,
    surrogate_width: float,
    detach_reset: bool,
) -> tuple[Tensor, Tensor]:
    """Spikes and potentials, both [B, H, L], of input x [B, H, L]; the four parameters are [H].

        eta_t = decay * eta_{t-1} + refractory * s_{t-1}
        u_t   = leak * (u_{t-1} - threshold * s_{t-1}) + x_t - eta_t
        s_t   = 1 if u_t >= threshold else 0

    with u_0 = s_0 = eta_0 = 0. With `detach_reset` the spikes inside the first two lines are constants.
    """
    after_reset = x.new_zeros(x.shape[:2])
    refractory_current = x.new_zeros(x.shape[:2])
    spikes, potentials = [], []
    # unbind, not x[..., t]: the backward of the latter allocates all of x once a step
    for x_t in x.unbind(-1):
        u = leak * after_reset + x_t - refractory_current
        s = spike(u, threshold, surrogate, surrogate_width)
        spikes.append(s)
        potentials.append(u)
        past = s.detach() if detach_reset else s
        after_reset = u - threshold * past
        refractory_current = decay * refractory_current + refractory * past
    if not spikes:
        return x.clone(), x.clone()  # no step, no spike
    return torch.stack(spikes, -1), torch.stack(potentials, -1)


def potential_given_spikes(
    x: Tensor, spikes: Tensor, leak: Tensor, threshold: Tensor, refractory: Tensor, decay: Tensor
) -> Tensor:
    """The potentials [B, H, L] that these `spikes` [B, H, L] would have led to, whether or not they are right."""
    after_reset = x.new_zeros(x.shape[:2])
    refractory_current = x.new_zeros(x.shape[:2])
    potentials = []
    for x_t, s in zip(x.unbind(-1), spikes.unbind(-1), strict=True):
        u = leak * after_reset + x_t - refractory_current
        potentials.append(u)
        after_reset = u - threshold * s
        refractory_current = decay * refractory_current + refractory * s
    return torch.stack(potentials, -1) if potentials else torch.empty_like(x)
