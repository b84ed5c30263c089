"""A diagonal state space model of one direction and without a skip, by the way that is fastest for its sizes."""

from __future__ import annotations

from torch import Tensor

from spike_ssm.models.ssm.choice import for_length, resolved
from spike_ssm.models.ssm.convolution import convolution
from spike_ssm.models.ssm.kernel import s4d_kernel
from spike_ssm.models.ssm.scan import scan


def causal(x: Tensor, dt_a: Tensor, weights: Tensor) -> Tensor:
    """Output [B, H, L] of x [B, H, L], float32 or float64: z_t = e^(dt_a) z_{t-1} + x_t, y_t = 2 Re sum weights z_t.

    dt_a and weights: complex [H, N], real parts of dt_a below 0. To be differentiated once.
    """
    way = for_length(resolved("auto", 2 * dt_a.shape[-1], x.device), len(x), x.shape[-1])
    if way == "scan":
        return scan(x, dt_a, weights[None], x.new_zeros(len(dt_a)))
    (kernel,) = s4d_kernel(dt_a, weights[None], x.shape[-1])
    return convolution(x, 0.0, kernel, by_product=way == "product")
