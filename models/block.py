"""The SPikE-SSM block: norm, S4D, neuron, dropout, gated mixing, residual.

Source: arXiv 2410.17268 and its sister arXiv 2408.14909; where neurons sit is our reading, see `PLACEMENTS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn

from spike_ssm.models.mixing import gated, gated_mixing, mixed
from spike_ssm.models.neurons import Neuron
from spike_ssm.models.norm import MaskedBatchNorm, Norm, norm_operations
from spike_ssm.models.operations import Operations, linear
from spike_ssm.models.recomputation import recomputed
from spike_ssm.models.ssm import S4D
from spike_ssm.models.streaming import has_hooks, start, step

PLACEMENTS: Mapping[str, tuple[str, ...]] = {
    "after_ssm": ("after_ssm",),
    "around_ssm": ("before_ssm", "after_ssm"),
    "after_mixing": ("after_ssm", "after_mixing"),
}
"""Placement of neurons -> their places in a block, in order of computing: on the SSM's output, so that spikes drive
the mixing; also on the SSM's input; or also on what the residual adds."""


class Observer(Protocol):
    """Receiver of what a neuron is given, detached, and of what it sends, differentiable."""

    def add(self, x: Tensor, spikes: Tensor, mask: Tensor | None, undetermined: Tensor | None) -> None:
        """Take one batch: x and spikes [B, H, L], mask [B, 1, L] or None; see `models.activity.LayerActivity.add`."""


DROPOUT_PLACES = ("before_neuron", "after_neuron", "after_block")
"""Places where a block may drop out: on the SSM's output (S4), on spikes, and on what the residual adds (S4, SDN)."""


class Mixing(nn.Conv1d):
    """A linear map of the channels of each step: a convolution of width 1, computed as a batched product."""

    def __init__(self, inputs: int, outputs: int, *, of_spikes: bool) -> None:
        """of_spikes: most inputs are 0, so that gate and residual are best computed in one pass with the map."""
        super().__init__(inputs, outputs, kernel_size=1)
        self.fused = of_spikes

    def forward(self, x: Tensor) -> Tensor:
        """Channels [B, outputs, L] of x [B, inputs, L]; the product is faster than the convolution."""
        assert self.bias is not None
        return mixed(x, self.weight[..., 0], self.bias)

    def gated(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Channels [B, outputs / 2, L]: the gate (GLU) of those of x, plus the residual if there is one."""
        if not self.fused or has_hooks(self):
            return gated(self(x), residual)
        assert self.bias is not None
        return gated_mixing(x, self.weight[..., 0], self.bias, residual)


class Block(nn.Module):
    """One block, [B, H, L] -> [B, H, L].

    No norm stands between SSM and neuron: the threshold would cease to be a gauge (docs/method.md).

    neurons: by place, one of the values of `PLACEMENTS`.
    prenorm: the norm acts on the block's input; else on the sum of residual and output.
    dropout: by place, some of `DROPOUT_PLACES`.
    """

    def __init__(
        self,
        ssm: S4D,
        neurons: Mapping[str, Neuron],
        norm: Norm,
        *,
        channels: int,
        prenorm: bool,
        dropout: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        self.channels = channels
        self.prenorm = prenorm
        self.norm = norm
        self.ssm = ssm
        self.neuron_at = nn.ModuleDict(neurons)
        self.dropout_at = nn.ModuleDict(dropout)
        self.mixing = Mixing(neurons["after_ssm"].channels, 2 * channels, of_spikes=neurons["after_ssm"].spiking)
        self.observers: dict[str, Observer] = {}  # by place

    @property
    def neurons(self) -> dict[str, Neuron]:
        """The neurons by place, in order of computing."""
        return dict(self.neuron_at.items())  # type: ignore[arg-type]

    @property
    def neuron(self) -> Neuron:
        """The neuron after the SSM, which every block has."""
        return self.neurons["after_ssm"]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Output [B, H, L] of x [B, H, L]; mask [B, 1, L], True at real tokens, or None when there is no padding."""
        spikes = self._dropped("after_neuron", self._driven(x, mask))
        x = self._mixed(spikes, x, mask)
        return x if self.prenorm else self.norm(x, mask)

    def recomputed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`forward` with only its inputs kept for the backward; observers are shown everything twice."""
        return recomputed(self, x, mask, inside=partial(self._observed_by, dict(self.observers)))

    @contextmanager
    def _observed_by(self, observers: dict[str, Observer]) -> Iterator[None]:
        before, self.observers = self.observers, observers
        try:
            yield
        finally:
            self.observers = before

    def _driven(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Output of the neuron after the SSM for the block's input; in one pass where nothing needs what is between."""
        watched = self.observers or any(map(has_hooks, (self.norm, self.ssm, self.neuron)))
        if not watched and "before_neuron" not in self.dropout_at and (model := self.ssm.for_scan(x)):
            lengths = None if mask is None else mask.sum((1, 2))
            if norm := self._norm_of_the_ssm():
                return self.neuron.after_scan(x, model, norm.scale_and_shift(x, mask), lengths)
            return self.neuron.after_scan(self._entering(x, mask), model, None, lengths)
        drive = self._entering(x, mask)
        if mask is not None:
            drive = drive * mask  # the convolution reaches across padding
        return self._fired("after_ssm", self._dropped("before_neuron", self.ssm(drive)), mask)

    def _norm_of_the_ssm(self) -> MaskedBatchNorm | None:
        """The norm, if it is but a scale and a shift of what the SSM is given, which may apply them as it reads."""
        alone = self.prenorm and "before_ssm" not in self.neurons
        return self.norm if alone and isinstance(self.norm, MaskedBatchNorm) else None

    def _entering(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What the SSM is given for the block's input, where nothing is padding."""
        return self._fired("before_ssm", self.norm(x, mask) if self.prenorm else x, mask)

    def _mixed(self, spikes: Tensor, residual: Tensor, mask: Tensor | None) -> Tensor:
        """The residual and the gated mixing of spikes; in one pass where nothing is between."""
        if "after_mixing" in self.neurons or "after_block" in self.dropout_at:
            return residual + self._dropped("after_block", self._fired("after_mixing", self.mixing.gated(spikes), mask))
        return self.mixing.gated(spikes, residual)

    def _fired(self, place: str, x: Tensor, mask: Tensor | None) -> Tensor:
        """Output of the neuron at `place` for `x`; `x` itself where there is none."""
        neuron = self.neurons.get(place)
        if neuron is None:
            return x
        spikes: Tensor = neuron(x)
        if place in self.observers:
            self.observers[place].add(x.detach(), spikes, mask, neuron.undetermined)
        return spikes

    def _dropped(self, place: str, x: Tensor) -> Tensor:
        """`x` after the dropout at `place`, if there is one."""
        return self.dropout_at[place](x) if place in self.dropout_at else x

    def step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """One time step of `forward` in evaluation mode: x [B, H] -> [B, H], and the state, None at first.

        No gradient flows. The state has, as `spikes`, those of the neuron after the SSM at this step.
        """
        return step(x, start(self, x) if state is None else state)

    def operations_per_step(self, *, dense: bool = False) -> dict[tuple[str, str], Operations]:
        """Operations of each part per token, by the place of the neuron whose firing rate they depend on, and part.

        dense: with a dense activation, whose mixing multiplies. The SSM multiplies also when its input is spikes, and
        the residual adds a neuron's output at every step.
        """
        h, main = self.channels, "after_ssm"
        parts = {
            (main, "norm"): norm_operations(self.norm, h),
            (main, "ssm"): Operations(self.ssm.multiplications_per_step()),
            (main, "projection"): linear(self.neuron.channels, 2 * h),
            (main, "gate"): Operations(h),
            (main, "residual"): Operations(0, h),
        }
        if dense:
            return parts
        for place, neuron in self.neurons.items():
            if neuron.spiking:
                multiply_accumulates, accumulates = neuron.operations_per_step()
                n = neuron.channels
                parts[place, "neuron"] = Operations(n * multiply_accumulates, n * accumulates, n)  # and the reset
        if self.neuron.spiking:
            parts[main, "projection"] = Operations(0, 2 * h, 2 * h * self.neuron.channels)
        return parts
