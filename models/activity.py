"""What neurons did during a stretch of evaluation: firing rates, silent and saturated channels, input spread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from models.block import Block

SILENT_BELOW = 0.001
SATURATED_ABOVE = 0.9


class LayerActivity:
    """Sums over all real tokens that one layer's neurons have seen; firing rates are in [0, 1]."""

    def __init__(self) -> None:
        self.tokens = 0.0
        self._spikes: Tensor | float = 0.0
        self._input: Tensor | float = 0.0
        self._input_squared: Tensor | float = 0.0
        self._undetermined = 0.0
        self._batches = 0

    def add(self, x: Tensor, spikes: Tensor, mask: Tensor | None, undetermined: Tensor | None) -> None:
        """Count one batch: input and spikes [B, H, L], mask [B, 1, L] or None, PMBC's undetermined fraction."""
        spikes = spikes.detach()
        kept = torch.ones_like(x[:, :1]) if mask is None else mask.to(x.dtype)
        self.tokens += float(kept.sum())
        self._spikes += (spikes * kept).sum((0, 2)).double()
        self._input += (x * kept).sum((0, 2)).double()
        self._input_squared += (x.square() * kept).sum((0, 2)).double()
        self._undetermined += 0.0 if undetermined is None else float(undetermined)
        self._batches += 1

    @property
    def rates(self) -> Tensor:
        """Firing rate of each channel, [H] float64."""
        return torch.as_tensor(self._spikes) / self.tokens

    @property
    def firing_rate(self) -> float:
        """Spikes / (channels * tokens)."""
        return float(self.rates.mean())

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
def record_activity(network: torch.nn.Module) -> Iterator[list[LayerActivity]]:
    """Every block of `network`, in order, counts its activity while the context is open."""
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    for block in blocks:
        block.observer = LayerActivity()
    try:
        yield [block.observer for block in blocks if isinstance(block.observer, LayerActivity)]
    finally:
        for block in blocks:
            block.observer = None
