"""What a network computes for one token, counted part by part, in recurrent execution.

Counted are multiply-accumulates and accumulates of real numbers; a product with a complex number is four, an addition
to a sum an accumulate. An accumulate that only a spike causes counts with the firing rate. Not counted: exponentials,
square roots and comparisons, looking up an embedding, and moving data.
"""

from __future__ import annotations

from typing import NamedTuple

PARTS = ("encoder", "norm", "ssm", "neuron", "projection", "gate", "residual", "head")
"""What a network is made of. The projection is what spikes drive: the mixing of the channels."""


class Operations(NamedTuple):
    """Real operations of one time step."""

    multiply_accumulates: float = 0.0
    accumulates: float = 0.0  # independent of spikes
    accumulates_per_rate: float = 0.0  # to be multiplied with the firing rate

    def at(self, firing_rate: float) -> tuple[float, float]:
        """Multiply-accumulates and accumulates where neurons fire at this rate, in [0, 1]."""
        return self.multiply_accumulates, self.accumulates + firing_rate * self.accumulates_per_rate


def linear(inputs: int, outputs: int, share: float = 1.0) -> Operations:
    """A dense linear layer with bias that `share` of the steps go through."""
    return Operations(share * inputs * outputs, share * outputs)


class Part(NamedTuple):
    """One of `PARTS`: of the layer of this number, counted from 0, or of none."""

    name: str
    layer: int | None
    operations: Operations
