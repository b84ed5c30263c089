"""A neuron's parameter: one number per channel, fixed or trained, stored so that training cannot leave its range.

In a state dict its key says what the number is: `value`, of a fixed parameter, or what a trained one is stored as, such
as `logarithm`. Either can be loaded into the other. Before, both were called `_stored`: such a number is taken as what
the parameter that it is loaded into stores, as it was then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from spike_ssm.models.ops.refractory_lif.parameters import SMALLEST_THRESHOLD

_BEFORE = "_stored"


@contextmanager
def own_random_numbers() -> Iterator[torch.Generator]:
    """A generator for initial values that torch's own decides, which goes on as if nothing had been drawn.

    So what other parts of a network draw does not depend on the neuron.
    """
    with torch.random.fork_rng(devices=[]):
        seed = int(torch.randint(2**62, (), device="cpu"))
    yield torch.Generator().manual_seed(seed)


class Storage(NamedTuple):
    """Storage of a trained parameter: the name of a number that may take any value, the map to it, the way back."""

    name: str
    to_raw: Callable[[float], float]
    from_raw: Callable[[Tensor], Tensor]


def _positive(raw: Tensor) -> Tensor:
    return raw.exp().clamp(min=SMALLEST_THRESHOLD)


def _logit(value: float) -> float:
    return math.log(value / (1 - value))


def _inside(raw: Tensor) -> Tensor:
    """Sigmoid, kept off its ends, which it reaches in floating point."""
    precision = torch.finfo(raw.dtype)
    return raw.sigmoid().clamp(precision.tiny, 1 - precision.eps)


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))


LOGARITHM = Storage("logarithm", math.log, _positive)  # > 0; scaling the parameter shifts it
LOGIT = Storage("logit", _logit, _inside)  # (0, 1)
INVERSE_SOFTPLUS = Storage("inverse_softplus", _inverse_softplus, softplus)  # > 0, linear when large


class ChannelParameter(nn.Module):
    """A parameter per channel; calling it gives the values [H].

    shared: one trained number for all channels.
    """

    def __init__(self, channels: int, start: float, storage: Storage, *, trainable: bool, shared: bool = False) -> None:
        super().__init__()
        self._channels, self._storage, self._trainable = channels, storage, trainable
        self._key = storage.name if trainable else "value"
        number = storage.to_raw(start) if trainable else start
        stored = nn.Parameter(torch.full((1 if shared else channels,), number), requires_grad=trainable)
        self.register_parameter(self._key, stored)

    @property
    def stored(self) -> nn.Parameter:
        """The numbers that are trained, or the fixed values, [H] or [1]."""
        return getattr(self, self._key)  # type: ignore[no-any-return]

    def forward(self) -> Tensor:
        """The values [H]."""
        values: Tensor = self._storage.from_raw(self.stored) if self._trainable else self.stored
        return values if len(values) == self._channels else values.expand(self._channels)

    @torch.no_grad()
    def draw(self, low: float, high: float, numbers: torch.Generator) -> None:
        """Draw a trained parameter's values uniformly from low to high, which its storage can hold."""
        values = torch.empty(len(self.stored), dtype=torch.float64).uniform_(low, high, generator=numbers)
        self.stored.copy_(torch.tensor([self._storage.to_raw(value) for value in values.tolist()]))

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """Multiply a fixed parameter, or a trained one stored as its logarithm, by `factor` > 0.

        Raises ValueError for a parameter that is stored otherwise.
        """
        if not self._trainable:
            self.stored.mul_(factor)
        elif self._storage.name == LOGARITHM.name:
            self.stored.add_(math.log(factor))
        else:
            raise ValueError("Only a parameter that is fixed, or stored as its logarithm, can be scaled.")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        own, kind = prefix + self._key, "value" if self._trainable else self._storage.name
        if own not in state_dict and prefix + _BEFORE in state_dict:
            state_dict[own] = state_dict.pop(prefix + _BEFORE)
        elif own not in state_dict and prefix + kind in state_dict:
            try:
                state_dict[own] = self._converted(state_dict.pop(prefix + kind))
            except ValueError:
                *_, errors = others
                errors.append(
                    f"{prefix}{kind} is at the end of its range, which no trained parameter is; keep it fixed."
                )
                return
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _converted(self, stored: Tensor) -> Tensor:
        """What this parameter stores where another that is fixed, or trained, as this one is not, stores `stored`."""
        if not self._trainable:
            return self._storage.from_raw(stored)
        return stored.new_tensor([self._storage.to_raw(value) for value in stored.tolist()])
