"""Corruptions of a trained network: of what it reads, of its spikes, and of its thresholds.

Those of tokens or pixels and of the length make another split of a split, so that padding, which only batches have,
cannot be touched. The others change nothing of the network: hooks change what its modules give while a context is open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import Flat, Integers, Sequences, Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.models.network import Network, real_tokens
from spike_ssm.results.errors import UserError

GREY_LEVELS = 256


def corrupted_tokens(split: Split, share: float, vocabulary: int | None, generator: torch.Generator) -> Split:
    """`split` with each token replaced with probability `share`, in [0, 1], by another one, all others alike.

    Of a `vocabulary`, all entries but 0, the padding, may come; where it is None, all grey levels from 0 to 255. A
    larger share replaces what a smaller one does, too, and more.
    """
    lowest, entries = (0, GREY_LEVELS) if vocabulary is None else (1, vocabulary - 1)

    def corrupted(part: Flat) -> Flat:
        chosen = torch.rand(len(part.values), generator=generator).numpy() < share
        shift = torch.randint(1, entries, (len(part.values),), generator=generator).numpy()
        other = lowest + (part.values.astype(np.int64) - lowest + shift) % entries
        return Flat(np.where(chosen, other, part.values).astype(part.values.dtype), part.offsets)

    sequences = tuple(Sequences(*map(corrupted, each.parts)) for each in split.sequences)
    return replace(split, sequences=sequences)


def shortened(split: Split, factor: float) -> Split:
    """`split` with of each sequence the first part alone: its length times `factor`, in (0, 1], rounded up."""
    return replace(
        split,
        sequences=tuple(
            _sequences([row[: math.ceil(factor * len(row))] for row in each], each) for each in split.sequences
        ),
    )


def first_examples(split: Split, count: int) -> Split:
    """The first `count` examples, or all there are."""
    return _chosen(split, np.arange(min(count, len(split))))


def other_length(
    task: TaskSettings, factor: float, train: Split, prepare: Callable[[TaskSettings], Dataset]
) -> Split | None:
    """New test examples, both bounds of whose lengths are the task's times `factor`; None where none can be made.

    Those that are examples of `train` are left out. Raises `UserError` when none are left.
    """
    other = task.at_length(factor)
    if other is None:
        return None
    test = prepare(other).test
    seen = {row.tobytes() for row in train.sequences[0]}
    new = np.array([place for place, row in enumerate(test.sequences[0]) if row.tobytes() not in seen], np.int64)
    if not len(new):
        raise UserError(
            f"robustness.length={factor:g}: every example of {other} is a training example; choose a larger factor."
        )
    return _chosen(test, new)


@contextmanager
def input_noise(network: Network, deviation: float, generator: torch.Generator) -> Iterator[None]:
    """Normal noise of standard `deviation` on what the encoder gives for real tokens, while the context is open."""

    def noisy(module: nn.Module, args: tuple[Tensor, ...], encoded: Tensor) -> Tensor:  # noqa: ARG001 (a hook's)
        noise = deviation * torch.randn(encoded.shape, generator=generator).to(encoded)
        mask = present()
        return encoded + (noise if mask is None else noise * mask.transpose(1, 2))

    with current_mask(network) as present:
        handle = network.backbone.encoder.register_forward_hook(noisy)
        try:
            yield
        finally:
            handle.remove()


@contextmanager
def encoder_deviation(network: Network) -> Iterator[list[float]]:
    """When the context has ended, the list holds the standard deviation of the encoder's output at real tokens."""
    sums = torch.zeros(3, dtype=torch.float64)
    found: list[float] = []

    def count(module: nn.Module, args: tuple[Tensor, ...], encoded: Tensor) -> None:  # noqa: ARG001 (a hook's)
        mask = present()
        real = encoded if mask is None else encoded[mask[:, 0]]
        sums.add_(torch.stack([torch.ones_like(real), real, real.square()]).flatten(1).double().sum(1).cpu())

    with current_mask(network) as present:
        handle = network.backbone.encoder.register_forward_hook(count)
        try:
            yield found
        finally:
            handle.remove()
    mean, square = (sums[1:] / sums[0]).tolist()
    found.append(math.sqrt(max(square - mean**2, 0.0)))


def _sequences(rows: list[Integers], like: Sequences) -> Sequences:
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    dtype = like.parts[0].values.dtype
    return Sequences(Flat(np.concatenate([np.zeros(0, dtype), *rows]), offsets))


def _chosen(split: Split, examples: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Split:
    sequences = tuple(_sequences([each[int(place)] for place in examples], each) for each in split.sequences)
    return replace(split, sequences=sequences, labels=split.labels[examples])


@contextmanager
def current_mask(network: Network) -> Iterator[Callable[[], Tensor | None]]:
    """A function that gives the mask [n, 1, L] of the batch in the network, or None where nothing is padding."""
    latest: list[Tensor | None] = [None]

    def note(module: nn.Module, args: tuple[Any, ...]) -> None:  # noqa: ARG001 (a hook's)
        latest[0] = real_tokens(*args)

    handle = network.backbone.register_forward_pre_hook(note)
    try:
        yield lambda: latest[0]
    finally:
        handle.remove()


@contextmanager
def spike_deletion(network: Network, probability: float, generator: torch.Generator) -> Iterator[None]:
    """Each spike at a real token gets lost with `probability`, in [0, 1].

    A larger one takes what a smaller one does, too, and more.
    """
    with _changed_spikes(network, generator, lambda spikes, drawn: spikes * (drawn >= probability)):
        yield


@contextmanager
def spike_insertion(network: Network, probability: float, generator: torch.Generator) -> Iterator[None]:
    """Each real token of a channel without a spike gets one with `probability`, in [0, 1]; nested as above."""
    with _changed_spikes(network, generator, lambda spikes, drawn: torch.where(drawn < probability, 1.0, spikes)):
        yield


@contextmanager
def _changed_spikes(
    network: Network, generator: torch.Generator, change: Callable[[Tensor, Tensor], Tensor]
) -> Iterator[None]:
    """change: of spikes [B, H, L] and as many numbers drawn uniformly from [0, 1)."""

    def hook(module: nn.Module, args: tuple[Tensor, ...], spikes: Tensor) -> Tensor:  # noqa: ARG001 (a hook's)
        drawn = torch.rand(spikes.shape, generator=generator).to(spikes)
        mask, changed = present(), change(spikes, drawn)
        return changed if mask is None else torch.where(mask, changed, spikes)

    with current_mask(network) as present, ExitStack() as stack:
        for neuron in network.neurons:
            stack.callback(neuron.register_forward_hook(hook).remove)
        yield


@contextmanager
def threshold_jitter(network: Network, sigma: float, generator: torch.Generator) -> Iterator[None]:
    """Each channel's threshold is multiplied by exp(`sigma` z), z drawn once a channel from the normal distribution.

    What neurons have in units of the threshold, resets and refractory magnitudes, moves along.
    """

    def hook_of(factor: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        return lambda module, args, threshold: threshold * factor.to(threshold)  # noqa: ARG005 (a hook's)

    with ExitStack() as stack:
        for neuron in network.neurons:
            if neuron.threshold is not None:
                factor = torch.exp(sigma * torch.randn(neuron.channels, generator=generator))
                stack.callback(neuron.threshold.register_forward_hook(hook_of(factor)).remove)
        yield
