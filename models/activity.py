"""Activity of neurons: counts over a stretch of evaluation, and a batch's firing rates for the training loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from spike_ssm.models.block import Block, Observer
from spike_ssm.models.distributed import sum_over_parts
from spike_ssm.models.intervals import SpikeIntervals
from spike_ssm.models.recomputation import is_again

SILENT_BELOW = 0.001
SATURATED_ABOVE = 0.9


def firing_rate(spikes: Tensor, mask: Tensor | None) -> Tensor:
    """Firing rate [] of spikes [B, H, L]: their mean over channels and real tokens. Differentiable.

    mask [B, 1, L], True at real tokens, or None where all are. The rate is the whole batch's, where processes share it.
    """
    kept = spikes.new_ones(spikes.shape[0], 1, spikes.shape[2]) if mask is None else mask.to(spikes.dtype)
    return sum_over_parts((spikes * kept).sum()) / (sum_over_parts(kept.sum()) * spikes.shape[1])


class LayerActivity:
    """Sums over all real tokens that one layer's neurons have seen; firing rates are in [0, 1].

    Where the neurons do not spike, only the spread of their input has a meaning. `intervals`, where they are asked
    for, say how spikes follow each other.
    """

    def __init__(self, *, intervals: bool = False) -> None:
        self.tokens = 0.0
        self.intervals: SpikeIntervals | None = None
        self._with_intervals = intervals
        self._spikes: Tensor | float = 0.0
        self._input: Tensor | float = 0.0
        self._input_squared: Tensor | float = 0.0
        self._by_step = torch.zeros(2, 0, dtype=torch.float64)  # spikes, summed over channels, and real tokens
        self._undetermined = 0.0
        self._batches = 0

    def add(self, x: Tensor, spikes: Tensor, mask: Tensor | None, undetermined: Tensor | None) -> None:
        """Count one batch: input and spikes [B, H, L], mask [B, 1, L] or None, PMBC's undetermined fraction."""
        spikes = spikes.detach()
        kept = torch.ones_like(x[:, :1]) if mask is None else mask.to(x.dtype)
        self.tokens += float(kept.sum())
        counted = spikes * kept
        if self._with_intervals:
            self.intervals = self.intervals or SpikeIntervals(spikes.shape[1])
            self.intervals.add(counted, kept)
        self._spikes += counted.sum((0, 2)).double()
        self._by_step = _added(self._by_step, torch.stack([counted.sum((0, 1)), kept.sum((0, 1))]).double())
        self._input += (x * kept).sum((0, 2)).double()
        self._input_squared += (x.square() * kept).sum((0, 2)).double()
        self._undetermined += 0.0 if undetermined is None else float(undetermined)
        self._batches += 1

    @property
    def by_step(self) -> tuple[Tensor, Tensor]:
        """Spikes, summed over channels, and real tokens per step, both [L] float64; L is the longest sequence's."""
        spikes, tokens = self._by_step[:, self._by_step[1] > 0].cpu()
        return spikes, tokens

    @property
    def rates(self) -> Tensor:
        """Firing rate per channel, [H] float64."""
        return torch.as_tensor(self._spikes) / self.tokens

    @property
    def firing_rate(self) -> float:
        """Firing rate of the layer: spikes / (channels * tokens)."""
        return float(self.rates.mean())

    @property
    def spike_after_spike_by_chance(self) -> float | None:
        """Share of spikes that another would follow a step later if each channel fired at random, at its own rate.

        None without spikes. See `SpikeIntervals.spike_after_spike`, which is above it where spikes come in runs.
        """
        total = float(self.rates.sum())
        return float(self.rates.square().sum()) / total if total else None

    @property
    def silent(self) -> float:
        """Share of channels that fire at less than 0.1 % of the tokens."""
        return float((self.rates < SILENT_BELOW).double().mean())

    @property
    def saturated(self) -> float:
        """Share of channels that fire at more than 90 % of the tokens."""
        return float((self.rates > SATURATED_ABOVE).double().mean())

    @property
    def input_std(self) -> float:
        """Standard deviation of the neuron's input over tokens, mean over channels."""
        mean = torch.as_tensor(self._input) / self.tokens
        variance = torch.as_tensor(self._input_squared) / self.tokens - mean.square()
        return float(variance.clamp(min=0).sqrt().mean())

    @property
    def undetermined(self) -> float:
        """PMBC's undetermined fraction, mean over batches; padded steps count, as the solver sees them."""
        return self._undetermined / max(self._batches, 1)


@contextmanager
def record_activity(network: nn.Module, *, intervals: bool = False) -> Iterator[list[LayerActivity]]:
    """Activity of every neuron of `network`'s blocks, in order of computing, counted in this context.

    intervals: count those between spikes too, where neurons spike, which takes longer than all else.
    """
    spiking = [block.neurons[place].spiking for block, place in _places(network)]
    activity = [LayerActivity(intervals=intervals and spikes) for spikes in spiking]
    with observed(network, activity):
        yield activity


@torch.no_grad()
def input_deviations(network: nn.Module, inputs: Tensor, lengths: Tensor) -> list[float]:
    """Standard deviation of every neuron's input (`LayerActivity.input_std`) on one batch, in the network's own mode.

    inputs and lengths as `Backbone.forward` takes them. The network stays as it is; noise is drawn from torch's
    generator, as a single pass would draw it.
    """
    with record_activity(network) as activity, buffers_kept(network):
        network(inputs, lengths)
    return [layer.input_std for layer in activity]


@contextmanager
def buffers_kept(network: nn.Module) -> Iterator[None]:
    """Restore `network`'s buffers at the end: in training mode passes change the running statistics of batch norms."""
    before = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(network.buffers(), before, strict=True):
            buffer.copy_(value)


class _RateCollector:
    def __init__(self) -> None:
        self.rates: list[Tensor] = []

    def add(self, x: Tensor, spikes: Tensor, mask: Tensor | None, undetermined: Tensor | None) -> None:  # noqa: ARG002
        rate = firing_rate(spikes, mask)  # also when computed again: the backward wants the same tensors kept
        if not is_again():
            self.rates.append(rate)


@contextmanager
def collect_firing_rates(network: nn.Module) -> Iterator[list[Tensor]]:
    """Firing rates [] of all layers that spike, in order of computing: a list that each forward of `network` extends.

    Gradients flow from a rate through the spikes' surrogate.
    """
    collector = _RateCollector()
    spiking = [block.neurons[place].spiking for block, place in _places(network)]
    with observed(network, [collector if spikes else None for spikes in spiking]):
        yield collector.rates


def _places(network: nn.Module) -> list[tuple[Block, str]]:
    """Block and place of every neuron, in order of computing."""
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    return [(block, place) for block in blocks for place in block.neurons]


def _added(total: Tensor, more: Tensor) -> Tensor:
    """Sum of [n, L] and [n, M]; the shorter counts as 0 beyond its end."""
    length = max(total.shape[1], more.shape[1])
    total, more = (pad(each, (0, length - each.shape[1])) for each in (total.to(more.device), more))
    return total + more


@contextmanager
def observed(network: nn.Module, observers: Sequence[Observer | None]) -> Iterator[None]:
    """Let each neuron, in order of computing, show its observer, and no other, what it does in this context."""
    places = _places(network)
    for (block, place), observer in zip(places, observers, strict=True):
        if observer is not None:
            block.observers[place] = observer
    try:
        yield
    finally:
        for block, _ in places:
            block.observers.clear()
