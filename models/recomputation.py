"""Activations that are computed again for the backward instead of being kept: less memory, the same numbers.

torch.utils.checkpoint does it; here is what must not happen twice: updates of running statistics and observations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_Context = AbstractContextManager[None]

_again = False


def is_again() -> bool:
    """Whether what is computed now has been computed before."""
    return _again


def recomputed(module: nn.Module, *inputs: Tensor | None, inside: Callable[[], _Context]) -> Tensor:
    """`module(*inputs)`, keeping only the inputs for the backward, which draws the same random numbers again.

    The second computation runs in the context that `inside` gives.
    """
    contexts = partial(_contexts, inside)
    output: Tensor = checkpoint(module, *inputs, use_reentrant=False, context_fn=contexts)
    return output


def _contexts(inside: Callable[[], _Context]) -> tuple[_Context, _Context]:
    return nullcontext(), _computed_again(inside)


@contextmanager
def _computed_again(inside: Callable[[], _Context]) -> Iterator[None]:
    global _again
    before, _again = _again, True
    try:
        with inside():
            yield
    finally:
        _again = before
