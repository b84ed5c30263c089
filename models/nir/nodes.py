"""The nodes that NIR has no type for, as NIR's own are: dataclasses of arrays, which `nir.write` takes as they are.

Each acts on the channels of every time step t, from 1 on; states are 0 before the first. NIR's own reader does not know
them: `read_nir` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _types(node: nir.NIRNode, channels: int, outputs: int | None = None) -> None:
    """Give a node its types: `channels` in and as many out, or `outputs`."""
    node.input_type = {"input": np.array([channels])}
    node.output_type = {"output": np.array([channels if outputs is None else outputs])}


def _size(shape: Array) -> int:
    """The number that a shape [H] is. Raises ValueError where it is no whole number, or not one."""
    sizes = np.asarray(shape)
    if sizes.shape != (1,) or sizes.dtype.kind not in "iu":
        raise ValueError(f"shape must be one whole number, but it is {sizes.tolist()}")
    return int(sizes[0])


@dataclass(eq=False)
class SpikeSSMS4D(nir.NIRNode):
    """A diagonal state space model of each of H channels.

        h_t = exp(dt_a) h_{t-1} + x_t
        y_t = 2 Re sum_n weights_n h_t + skip x_t

    without 2 Re where states are real. Source: Gu et al. 2022 (arXiv 2206.11893), with zero-order hold.

    dt_a: step size times A: real and imaginary part of one of each conjugate pair, [H, N, 2]; [H, N] of real states.
    weights: C times the discretised B, likewise.
    skip: D, [H].
    """

    dt_a: Array
    weights: Array
    skip: Array

    def __post_init__(self) -> None:
        """Give it its types."""
        _types(self, len(self.skip))


@dataclass(eq=False)
class SpikeSSMRefractoryLIF(nir.NIRNode):
    """A leaky integrate-and-fire neuron with a refractory current, per channel; all parameters are [H].

        eta_t = decay eta_{t-1} + refractory s_{t-1}
        u_t   = leak after_{t-1} + x_t - eta_t
        s_t   = 1 if u_t >= threshold else 0
        after_t = u_t - threshold s_t

    With reset `none`, after_t = u_t. Where `raises_threshold`, eta_t raises the threshold instead of entering u_t:
    s_t = 1 if u_t >= threshold + eta_t. Source: arXiv 2410.17268, as docs/method.md reads it.

    leak, decay: fractions kept per step, in (0, 1) and [0, 1).
    threshold, refractory: in units of potential, > 0 and >= 0.
    """

    leak: Array
    threshold: Array
    refractory: Array
    decay: Array
    reset: str
    raises_threshold: bool

    def __post_init__(self) -> None:
        """Give it its types."""
        _types(self, len(self.threshold))


@dataclass(eq=False)
class SpikeSSMGLU(nir.NIRNode):
    """A gate: the first H of 2H channels times the sigmoid of the others. shape: [H], that of the output."""

    shape: Array

    def __post_init__(self) -> None:
        """Give it its types."""
        _types(self, 2 * _size(self.shape), _size(self.shape))


@dataclass(eq=False)
class SpikeSSMGELU(nir.NIRNode):
    """The activation x_t Phi(x_t), with Phi the normal distribution function. shape: [H]."""

    shape: Array

    def __post_init__(self) -> None:
        """Give it its types."""
        _types(self, _size(self.shape))


@dataclass(eq=False)
class SpikeSSMLayerNorm(nir.NIRNode):
    """A layer norm over the H channels of each step: weight (x - mean) / sqrt(variance + eps) + bias.

    weight, bias: [H]. eps: a number > 0; the variance is that of the channels, divided by H.
    """

    weight: Array
    bias: Array
    eps: float

    def __post_init__(self) -> None:
        """Give it its types."""
        _types(self, len(self.weight))


@dataclass(eq=False)
class SpikeSSMPooling(nir.NIRNode):
    """One value of each channel for a sequence, given at its end: over `mean`, of all its steps; `last`, of the last.

    shape: [H].
    """

    shape: Array
    over: str

    def __post_init__(self) -> None:
        """Give it its types."""
        _types(self, _size(self.shape))


EXTENSIONS: dict[str, type[nir.NIRNode]] = {
    node.__name__: node
    for node in (
        *(SpikeSSMS4D, SpikeSSMRefractoryLIF, SpikeSSMGLU, SpikeSSMGELU, SpikeSSMLayerNorm),
        SpikeSSMPooling,
    )
}
"""Type name in a file -> node, of the nodes that NIR does not have."""

NODES: dict[str, type[nir.NIRNode]] = {
    **{node.__name__: node for node in (nir.Input, nir.Output, nir.Affine, nir.Linear, nir.LIF, nir.Threshold)},
    **EXTENSIONS,
}
"""Type name in a file -> node, of all that are read."""
