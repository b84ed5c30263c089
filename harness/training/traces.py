"""What a run keeps of the inside of its trained neurons: rates over time, membrane potentials, one example's spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spike_ssm.harness.data.splits import Split, collate
from spike_ssm.harness.system.seeds import seed_torch
from spike_ssm.models.activity import LayerActivity, observed
from spike_ssm.models.network import Network
from spike_ssm.models.neurons import Neuron
from spike_ssm.results.raster import RASTER_CHANNELS, RASTER_STEPS, pack_raster
from spike_ssm.results.schema import INTERVAL_EDGES, POTENTIAL_EDGES, TIME_BINS

EXAMPLES = 16  # whose potentials are counted: they are as large as all of a layer's activations


@torch.no_grad()
def traces(
    network: Network, test: Split, activity: Sequence[LayerActivity], device: torch.device, seed: int
) -> list[dict[str, Any]] | None:
    """Rows of `results.schema.TRACES`, `activity` being of the whole test set; None where neurons do not spike.

    The first test examples pass through the network once more, in evaluation mode: the operator gives its potentials
    only where it is asked for them.
    """
    if not all(neuron.spiking for neuron in network.neurons):
        return None
    observers = [_FirstExamples(neuron) for neuron in network.neurons]
    here = collate(test, np.arange(min(EXAMPLES, len(test)))).to(device)
    network.eval()
    seed_torch(seed, "evaluation", 0, 0)
    with observed(network, observers):
        network(here.inputs, here.lengths)
    layers = zip(activity, observers, strict=True)
    return [
        {"layer": place, **over_time(seen), **in_a_row(seen), **first.row} for place, (seen, first) in enumerate(layers)
    ]


def example_input(test: Split, symbols: Sequence[str] | None) -> dict[str, Any]:
    """The columns `example_symbols` and `example_levels` of `results.schema.RUN`: the first test example's input.

    symbols: the text of each token; None for grey levels.
    """
    tokens = test.sequences[0][0][:RASTER_STEPS].tolist()
    if symbols is None:
        return {"example_levels": [token / 255 for token in tokens]}
    return {"example_symbols": [symbols[token] for token in tokens]}


def over_time(activity: LayerActivity) -> dict[str, Any]:
    """Firing rate and real tokens in bins of equal width from the first step on; the last bin may be cut short."""
    spikes, tokens = activity.by_step
    width = math.ceil(len(tokens) / TIME_BINS)
    by_bin = [torch.stack([part.sum() for part in each.split(width)]) for each in (spikes, tokens)]
    rates = by_bin[0] / by_bin[1] / len(activity.rates)
    return {
        "bin_steps": width,
        "rate_over_time": rates.tolist(),
        "tokens_over_time": by_bin[1].long().tolist(),
    }


def in_a_row(activity: LayerActivity) -> dict[str, Any]:
    """Intervals between spikes and runs of spikes, counted by their steps in the bins of `INTERVAL_EDGES`."""
    counts = activity.intervals.counts if activity.intervals else (None, None)
    return dict(zip(("intervals", "runs"), map(_by_steps, counts), strict=True))


def _by_steps(counts: Tensor | None) -> list[int] | None:
    """Counts of 1, 2, ... steps as those of the bins."""
    if counts is None:
        return None
    whole = [0, *counts.tolist()]
    return [sum(whole[low:high]) for low, high in pairwise((*INTERVAL_EDGES, None))]


class _FirstExamples:
    """Counts a layer's potentials and keeps the spikes of the first sequence that it is shown."""

    def __init__(self, neuron: Neuron) -> None:
        self._neuron = neuron
        self.row: dict[str, Any] = {}

    def add(self, x: Tensor, spikes: Tensor, mask: Tensor | None, undetermined: Tensor | None) -> None:  # noqa: ARG002
        """See `models.activity.LayerActivity.add`."""
        real = torch.ones_like(x[:, :1], dtype=torch.bool) if mask is None else mask.bool()
        self.row = {"potential": self._counts(x, real), **_raster(spikes[0, :, real[0, 0]])}

    def _counts(self, x: Tensor, real: Tensor) -> list[int] | None:
        if self._neuron.threshold is None:
            return None
        potential = self._neuron.potential(x) / self._neuron.threshold()[:, None]
        edges = torch.tensor(POTENTIAL_EDGES, dtype=potential.dtype, device=x.device)
        bins = torch.bucketize(potential.transpose(1, 2)[real[:, 0]], edges, right=True)
        counts: list[int] = torch.bincount(bins.flatten(), minlength=len(edges) + 1).tolist()
        return counts


def _raster(spikes: Tensor) -> dict[str, Any]:
    """The packed raster of the spikes [H, L] of one sequence."""
    channels = len(spikes)
    shown = min(channels, RASTER_CHANNELS)
    chosen = spikes[[place * channels // shown for place in range(shown)], :RASTER_STEPS].cpu()
    if not bool(((chosen == 0) | (chosen == 1)).all()):
        return {"raster": None, "raster_steps": None}
    return {"raster": pack_raster(chosen.bool().numpy()), "raster_steps": chosen.shape[1]}
