"""A neuron's parameter: one number per channel, fixed or trained, stored so that training cannot leave its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from spike_ssm.models.ops.refractory_lif.parameters import SMALLEST_THRESHOLD


class Storage(NamedTuple):
    """Storage of a trained parameter: the map to a number that may take any value, and the way back."""

    to_raw: Callable[[float], float]
    from_raw: Callable[[Tensor], Tensor]


def _positive(raw: Tensor) -> Tensor:
    return raw.exp().clamp(min=SMALLEST_THRESHOLD)


def _inside(raw: Tensor) -> Tensor:
    """Sigmoid, kept off its ends, which it reaches in floating point."""
    precision = torch.finfo(raw.dtype)
    return raw.sigmoid().clamp(precision.tiny, 1 - precision.eps)


LOGARITHM = Storage(math.log, _positive)  # > 0; scaling the parameter shifts it
LOGIT = Storage(lambda value: math.log(value / (1 - value)), _inside)  # (0, 1)
INVERSE_SOFTPLUS = Storage(lambda value: value + math.log(-math.expm1(-value)), softplus)  # > 0, linear when large


class ChannelParameter(nn.Module):
    """A parameter per channel; calling it gives the values [H]. A fixed one is stored as it is, in the state dict too.

    shared: one trained number for all channels.
    """

    def __init__(self, channels: int, start: float, storage: Storage, *, trainable: bool, shared: bool = False) -> None:
        super().__init__()
        self._channels = channels
        self._storage = storage if trainable else None
        number = storage.to_raw(start) if trainable else start
        self._stored = nn.Parameter(torch.full((1 if shared else channels,), number), requires_grad=trainable)

    def forward(self) -> Tensor:
        """The values [H]."""
        values = self._stored if self._storage is None else self._storage.from_raw(self._stored)
        return values if len(values) == self._channels else values.expand(self._channels)

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """Multiply a fixed parameter, or a trained one stored as its logarithm, by `factor` > 0.

        Raises ValueError for a parameter that is stored otherwise.
        """
        if self._storage is None:
            self._stored.mul_(factor)
        elif self._storage is LOGARITHM:
            self._stored.add_(math.log(factor))
        else:
            raise ValueError("Only a parameter that is fixed, or stored as its logarithm, can be scaled.")
