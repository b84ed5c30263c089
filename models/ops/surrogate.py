"""Surrogate gradients of the spike, as functions of the normalised potential z = u / threshold - 1.

The spike is a step of z; its derivative is replaced by a density g(z) of unit area and half-width `width`. The
density's primitive G, a soft step from 0 to 1, is what the surrogate gradient is the true gradient of; tests use it
for finite differences. Sources: piecewise quadratic SPikE-SSM's default here (our reading), arctan Fang et al. 2021
(arXiv 2007.05785), sigmoid and rectangular Wu et al. 2018 (arXiv 1706.02609), fast sigmoid Zenke & Ganguli 2018
(arXiv 1705.11146), double Gaussian the code of Higuchi et al. 2024 (arXiv 2402.14603), whose sigma of 1/2 is at the
width 1; the normalisation to unit area is ours. All but the double Gaussian are nowhere negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Surrogate(NamedTuple):
    """A surrogate's density g and primitive G, functions of z / width; the density still has to be divided by width."""

    density: Callable[[Tensor], Tensor]
    primitive: Callable[[Tensor], Tensor]
    monotone: bool = True  # the primitive, so that it is a probability


def _quadratic_primitive(z: Tensor) -> Tensor:
    inside = z.clamp(-1, 1)
    return 0.5 + inside - 0.5 * inside * inside.abs()


TALL, WIDE = (share / (sigma * 0.85 * math.sqrt(2 * math.pi)) for share, sigma in ((1.15, 0.5), (0.3, 3.0)))
"""Heights of the double Gaussian's parts, of areas 1.15 and 0.3 and standard deviations 1/2 and 3, over 0.85."""


def _double_gaussian(z: Tensor) -> Tensor:
    return TALL * torch.exp(-2 * z * z) - WIDE * torch.exp(-z * z / 18)


def _double_gaussian_primitive(z: Tensor) -> Tensor:
    tall, wide = (torch.special.ndtr(z / sigma) for sigma in (0.5, 3.0))
    primitive: Tensor = (1.15 * tall - 0.3 * wide) / 0.85
    return primitive


SURROGATES: dict[str, Surrogate] = {
    "piecewise_quadratic": Surrogate(lambda z: (1 - z.abs()).clamp(min=0), _quadratic_primitive),
    "arctan": Surrogate(lambda z: 1 / (1 + (math.pi * z) ** 2), lambda z: 0.5 + torch.atan(math.pi * z) / math.pi),
    "sigmoid": Surrogate(lambda z: torch.sigmoid(z) * torch.sigmoid(-z), torch.sigmoid),
    "rectangular": Surrogate(lambda z: 0.5 * (z.abs() < 1).to(z.dtype), lambda z: 0.5 + 0.5 * z.clamp(-1, 1)),
    "fast_sigmoid": Surrogate(lambda z: 0.5 / (1 + z.abs()) ** 2, lambda z: 0.5 + 0.5 * z / (1 + z.abs())),
    "double_gaussian": Surrogate(_double_gaussian, _double_gaussian_primitive, monotone=False),
}
"""Surrogate name -> its functions. The order is the numbering that compiled kernels use."""


def surrogate_gradient(z: Tensor, name: str, width: float) -> Tensor:
    """Density g(z), any shape, at half-width `width` > 0; integrates to one over z."""
    return SURROGATES[name].density(z / width) / width


def surrogate_primitive(z: Tensor, name: str, width: float) -> Tensor:
    """Primitive G(z), any shape, at half-width `width` > 0; its derivative is `surrogate_gradient`.

    In [0, 1] where it is monotone.
    """
    return SURROGATES[name].primitive(z / width)


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, fired: Tensor, _name: str, _width: float) -> Tensor:
        return fired.to(z.dtype)

    @staticmethod
    def setup_context(ctx, inputs, _output):  # type: ignore[no-untyped-def]
        z, _, *ctx.surrogate = inputs
        ctx.save_for_backward(z)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (z,) = ctx.saved_tensors
        return grad * surrogate_gradient(z, *ctx.surrogate), None, None, None


def spike(potential: Tensor, threshold: Tensor, name: str, width: float) -> Tensor:
    """Spikes: 1 where potential >= threshold, else 0, in the potential's dtype; differentiable by the surrogate."""
    spikes: Tensor = _Spike.apply(potential / threshold - 1, potential >= threshold, name, width)  # type: ignore[no-untyped-call]
    return spikes
