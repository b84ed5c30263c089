"""The readable reference: the state space model as a loop over time, its gradients by autograd.

Every kernel must reproduce these numbers and gradients up to rounding. Source: Gu et al. 2022 (arXiv 2206.11893), in
recurrent form; that the second direction starts at the step that follows is the S4 code's.
"""

from __future__ import annotations

import torch
from torch import Tensor


def scan_sequential(x: Tensor, dt_a: Tensor, weights: Tensor, skip: Tensor) -> Tensor:
    """Output [B, H, L] of x [B, H, L].

        z_t = e^(dt_a) z_{t-1} + x_t
        y_t = skip x_t + 2 Re sum_n weights_n z_t

    without the factor 2 where states are real. A second direction adds the same of the steps that follow t:
    ahead_t = e^(dt_a) ahead_{t+1} + x_{t+1} with its own weights.

    dt_a: step size times A, [H, N], real, or complex for one of each conjugate pair.
    weights: C times the discretised B, likewise real or complex, [directions, H, N].
    skip: D, [H].
    """
    y = skip[:, None] * x + _one_direction(x, dt_a, weights[0])
    if len(weights) == 2:
        ahead = _one_direction(x.flip(-1), dt_a, weights[1]).flip(-1)
        y = y + torch.cat((ahead[..., 1:], torch.zeros_like(ahead[..., :1])), -1)
    return y


def _one_direction(x: Tensor, dt_a: Tensor, weights: Tensor) -> Tensor:
    """What the states of one direction add to the output, the step itself among what they have seen."""
    kept, state, outputs = dt_a.exp(), torch.zeros_like(dt_a), []
    for x_t in x.unbind(-1):
        state = kept * state + x_t[..., None]
        y = (weights * state).sum(-1)
        outputs.append(2 * y.real if y.is_complex() else y)
    return torch.stack(outputs, -1) if outputs else x.clone()
