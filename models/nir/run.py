"""What runs each node, by the operators that our own networks have: modules of signals [B, n, L] -> [B, m, L].

Each is made from its node. Raises ValueError for arrays of other shapes than the node's, and for numbers out of range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, layer_norm, linear

from spike_ssm.models.mixing import gated
from spike_ssm.models.nir.nodes import (
    SpikeSSMGELU,
    SpikeSSMGLU,
    SpikeSSMLayerNorm,
    SpikeSSMPooling,
    SpikeSSMRefractoryLIF,
    SpikeSSMS4D,
)
from spike_ssm.models.ops.refractory_lif import Options, Rules, check_options, solve
from spike_ssm.models.ops.refractory_lif.parameters import stack_parameters
from spike_ssm.models.settings import POOLINGS
from spike_ssm.models.ssm.scan import scan
from spike_ssm.models.ssm.scan.operator import entering


class Runner(nn.Module):
    """A module that runs a node. remembers: its output depends on earlier steps too."""

    remembers = False


class Affine(Runner):
    """nir.Affine and nir.Linear: a matrix, and a bias where there is one; tokens [B, L] choose its columns."""

    weight: Tensor
    bias: Tensor

    def __init__(self, node: nir.Affine | nir.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", numbers("weight", node.weight, None, None))
        rows, columns = self.weight.shape
        bias = numbers("bias", node.bias, rows) if isinstance(node, nir.Affine) else self.weight.new_zeros(rows)
        self.register_buffer("bias", bias)
        self.diagonal = rows == columns and torch.equal(self.weight, self.weight.diag().diag())

    def forward(self, x: Tensor) -> Tensor:
        """Channels [B, m, L] of x [B, n, L]; a diagonal matrix, such as a batch norm's, is a scale and a shift."""
        if not x.is_floating_point():
            return (embedding(x, self.weight.T) + self.bias).transpose(1, 2).contiguous()
        if self.diagonal:
            return entering(x, torch.stack((self.weight.diag(), self.bias)), None)
        return linear(x.transpose(1, 2), self.weight, self.bias).transpose(1, 2).contiguous()


class LayerNorm(Runner):
    """A layer norm over channels."""

    weight: Tensor
    bias: Tensor

    def __init__(self, node: SpikeSSMLayerNorm) -> None:
        super().__init__()
        self.register_buffer("weight", numbers("weight", node.weight, None))
        self.register_buffer("bias", numbers("bias", node.bias, *self.weight.shape))
        self.eps = float(numbers("eps", node.eps))
        if not self.eps > 0:
            raise ValueError(f"eps must be > 0, but it is {self.eps}")

    def forward(self, x: Tensor) -> Tensor:
        """Normalised x, [B, H, L] -> [B, H, L]."""
        return layer_norm(x.transpose(1, 2), self.weight.shape, self.weight, self.bias, self.eps).transpose(1, 2)


class Scan(Runner):
    """An S4D layer as a recurrence."""

    remembers = True
    dt_a: Tensor
    weights: Tensor
    skip: Tensor

    def __init__(self, node: SpikeSSMS4D) -> None:
        super().__init__()
        pair = [2] if np.ndim(node.dt_a) == 3 else []
        self.register_buffer("skip", numbers("skip", node.skip, None))
        self.register_buffer("dt_a", numbers("dt_a", node.dt_a, *self.skip.shape, None, *pair))
        self.register_buffer("weights", numbers("weights", node.weights, *self.dt_a.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Output [B, H, L] of x [B, H, L]."""
        dt_a, weights = self.dt_a, self.weights
        if dt_a.ndim == 3:
            dt_a, weights = torch.view_as_complex(dt_a), torch.view_as_complex(weights)
        return scan(x, dt_a, weights[None], self.skip)


class IntegrateAndFire(Runner):
    """A neuron with a leak and a threshold, by our operator, whose rules and parameters [H] it is given."""

    remembers = True
    stacked: Tensor

    def __init__(self, rules: Rules, leak: Tensor, threshold: Tensor, refractory: Tensor, decay: Tensor) -> None:
        super().__init__()
        self.options = Options(rules)
        check_options(self.options)
        x = threshold.new_empty(0, len(threshold), 0)
        self.register_buffer("stacked", stack_parameters(leak, threshold, refractory, decay, x, x.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        leak, threshold, refractory, decay = self.stacked
        return solve(x, leak, threshold, refractory, decay, self.options).spikes


class LIF(IntegrateAndFire):
    """nir.LIF by forward Euler with a step of 1, where it leaks and resets to 0."""

    gain: Tensor

    def __init__(self, node: nir.LIF) -> None:
        threshold = _above(numbers("v_threshold", node.v_threshold, None))
        given = {name: numbers(name, getattr(node, name), len(threshold)) for name in ("tau", "r", "v_leak", "v_reset")}
        if given["v_leak"].any() or given["v_reset"].any():
            raise ValueError("v_leak and v_reset must be 0, to which our neurons leak and reset")
        if not (given["tau"] > 1).all():
            raise ValueError("tau must be above the time step, which is 1")
        none = torch.zeros_like(threshold)
        super().__init__(Rules(reset="hard"), 1 - 1 / given["tau"], threshold, none, none)
        self.register_buffer("gain", (given["r"] / given["tau"]).to(threshold.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        return super().forward(self.gain[:, None] * x)


class Threshold(Runner):
    """nir.Threshold."""

    threshold: Tensor

    def __init__(self, node: nir.Threshold) -> None:
        super().__init__()
        self.register_buffer("threshold", _above(numbers("threshold", node.threshold, None)))

    def forward(self, x: Tensor) -> Tensor:
        """Spikes [B, H, L] of x [B, H, L]."""
        return (x >= self.threshold[:, None]).to(x.dtype)


class Pooling(Runner):
    """The mean over the steps, or the last of them."""

    remembers = True

    def __init__(self, node: SpikeSSMPooling) -> None:
        super().__init__()
        if node.over not in POOLINGS:
            raise ValueError(f"over must be {' or '.join(POOLINGS)}, but it is {node.over!r}")
        self.over = node.over

    def forward(self, x: Tensor, mask: Tensor | None, lengths: Tensor) -> Tensor:
        """One value [B, H, 1] of each sequence of x [B, H, L], with the mask of `models.backbone.real_tokens`."""
        if self.over == "last":
            return x[torch.arange(len(x)), :, lengths - 1][..., None]
        total = x.mean(-1) if mask is None else (x * mask).sum(-1) / lengths[:, None]
        return total[..., None]


class Elementwise(Runner):
    """A function without numbers of its own."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """The function of x [B, n, L]."""
        return self.function(x)


def numbers(label: str, values: Any, *shape: int | None) -> Tensor:
    """The numbers `values` of a node, float64 where they are that, else float32.

    Raises ValueError unless they are real and finite, and of this shape, in which None is any size.
    """
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(wanted in (None, n) for wanted, n in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in "fiu" or not fits or not array.size:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{label} must be numbers of the shape [{wanted}], not {array.dtype} {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{label} must be finite, but {array[~np.isfinite(array)][0]} is among its numbers")
    found = torch.tensor(array)
    return found if found.dtype == torch.float64 else found.float()


def _above(threshold: Tensor) -> Tensor:
    """The least numbers above `threshold`: what reaches them is above it."""
    return threshold.nextafter(torch.full_like(threshold, math.inf))


def _refractory_lif(node: SpikeSSMRefractoryLIF) -> Runner:
    if not isinstance(node.raises_threshold, bool | np.bool_):
        raise ValueError(f"raises_threshold must be true or false, but it is {node.raises_threshold!r}")
    channels = len(node.threshold)
    leak, threshold, refractory, decay = (
        numbers(name, getattr(node, name), channels) for name in ("leak", "threshold", "refractory", "decay")
    )
    return IntegrateAndFire(Rules(str(node.reset), bool(node.raises_threshold)), leak, threshold, refractory, decay)


RUNNERS: dict[type[nir.NIRNode], Callable[[Any], Runner]] = {
    nir.Affine: Affine,
    nir.Linear: Affine,
    nir.LIF: LIF,
    nir.Threshold: Threshold,
    SpikeSSMS4D: Scan,
    SpikeSSMRefractoryLIF: _refractory_lif,
    SpikeSSMGLU: lambda _: Elementwise(lambda z: gated(z, None)),
    SpikeSSMGELU: lambda _: Elementwise(gelu),
    SpikeSSMLayerNorm: LayerNorm,
    SpikeSSMPooling: Pooling,
}
"""Node -> what makes the module that runs it."""
