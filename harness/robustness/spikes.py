"""Corruptions of the neurons: spikes that get lost or come from nowhere, thresholds that differ from device to device.

Nothing of the network is changed: hooks change what its modules give while a context is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from spike_ssm.harness.robustness.hooks import current_mask
from spike_ssm.models.network import Network


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
