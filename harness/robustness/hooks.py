"""Which of the steps that a network is at work on are real tokens, for what is hooked into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from spike_ssm.models.network import Network, real_tokens


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
