"""The readable reference: the neuron's equations as a loop over time, its gradients by autograd.

Every other solver must reproduce these spikes and these gradients (models/ops/agreement.py says what that means in
floating point). Source: arXiv 2410.17268 with the reading of docs/method.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ops.surrogate import spike


def after_spike(u: Tensor, s: Tensor, threshold: Tensor, reset: str) -> Tensor:
    """Membrane potential u once the neuron has fired (s = 1) or not (s = 0); u and s [..., H], threshold [H]."""
    if reset == "hard":
        return u - u * s
    return u - threshold * s if reset == "soft" else u


def solve_sequential(
    x: Tensor, leak: Tensor, threshold: Tensor, refractory: Tensor, decay: Tensor, rules: Rules
) -> tuple[Tensor, Tensor]:
    """Spikes and potentials, both [B, H, L], of input x [B, H, L]; the four parameters are [H].

        eta_t = decay * eta_{t-1} + refractory * s_{t-1}
        u_t   = leak * after_spike(u_{t-1}, s_{t-1}) + x_t - eta_t
        s_t   = 1 if u_t >= threshold else 0

    with u_0 = s_0 = eta_0 = 0. With `raises_threshold` the last two lines are u_t = leak * ... + x_t and
    s_t = 1 if u_t - eta_t >= threshold; the potential returned is what is compared with the threshold. With
    `detach_reset` the spikes inside the first two lines are constants.
    """
    after_reset = x.new_zeros(x.shape[:2])
    refractory_current = x.new_zeros(x.shape[:2])
    spikes, potentials = [], []
    # unbind, not x[..., t]: the backward of the latter allocates all of x once a step
    for x_t in x.unbind(-1):
        u = leak * after_reset + x_t
        if not rules.raises_threshold:
            u = u - refractory_current
        potential = u - refractory_current if rules.raises_threshold else u
        s = spike(potential, threshold, rules.surrogate, rules.surrogate_width)
        spikes.append(s)
        potentials.append(potential)
        past = s.detach() if rules.detach_reset else s
        after_reset = after_spike(u, past, threshold, rules.reset)
        refractory_current = decay * refractory_current + refractory * past
    if not spikes:
        return x.clone(), x.clone()  # no step, no spike
    return torch.stack(spikes, -1), torch.stack(potentials, -1)


def potential_given_spikes(
    x: Tensor,
    spikes: Tensor,
    leak: Tensor,
    threshold: Tensor,
    refractory: Tensor,
    decay: Tensor,
    rules: Rules = Rules(),
) -> Tensor:
    """Potentials [B, H, L] that these `spikes` [B, H, L] would have led to, whether or not they are right.

    x is [B, H, L], the four parameters are [H].
    """
    after_reset = x.new_zeros(x.shape[:2])
    refractory_current = x.new_zeros(x.shape[:2])
    potentials = []
    for x_t, s in zip(x.unbind(-1), spikes.unbind(-1), strict=True):
        potential = leak * after_reset + x_t - refractory_current
        potentials.append(potential)
        u = potential + refractory_current if rules.raises_threshold else potential
        after_reset = after_spike(u, s, threshold, rules.reset)
        refractory_current = decay * refractory_current + refractory * s
    return torch.stack(potentials, -1) if potentials else torch.empty_like(x)
