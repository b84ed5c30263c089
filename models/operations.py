"""Operations of a network per token, counted part by part, in recurrent execution.

Counted are multiply-accumulates and accumulates of real numbers; a product with a complex number is four, an addition
to a sum an accumulate. An accumulate that only a spike causes counts with the firing rate. Not counted: exponentials,
square roots and comparisons, looking up an embedding, and moving data.
"""

from __future__ import annotations

from typing import NamedTuple

PARTS = ("encoder", "norm", "ssm", "neuron", "projection", "gate", "residual", "head")
"""Parts of a network. The projection is what spikes drive: the mixing of the channels."""


class Operations(NamedTuple):
    """Real operations per time step."""

    multiply_accumulates: float = 0.0
    accumulates: float = 0.0  # independent of spikes
    accumulates_per_rate: float = 0.0  # to be multiplied with the firing rate

    def at(self, firing_rate: float) -> tuple[float, float]:
        """Multiply-accumulates and accumulates where neurons fire at this rate, in [0, 1]."""
        return self.multiply_accumulates, self.accumulates + firing_rate * self.accumulates_per_rate


def linear(inputs: int, outputs: int, share: float = 1.0) -> Operations:
    """Operations of a dense linear layer with bias that `share`, in [0, 1], of the steps go through."""
    return Operations(share * inputs * outputs, share * outputs)


class Part(NamedTuple):
    """Operations of one of `PARTS`, in the layer of this number, counted from 0, or in none."""

    name: str
    layer: int | None
    operations: Operations
