"""Sums over the processes that hold parts of one batch, for what depends on all of it: batch norm, firing rates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed
from torch import Tensor
from torch.autograd import Function

_shared = False


class _Sum(Function):
    """Sum over the processes; the gradient of the sum of all losses is the sum of theirs."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        total = x.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Tensor:
        return _Sum.apply(grad)  # type: ignore[no-any-return,no-untyped-call]


@contextmanager
def shared_batch() -> Iterator[None]:
    """Share the batch in this context: each process of torch.distributed's default group holds a part of it."""
    global _shared
    before, _shared = _shared, True
    try:
        yield
    finally:
        _shared = before


def batch_is_shared() -> bool:
    """Whether other processes hold parts of the batch."""
    return _shared


def sum_over_parts(x: Tensor) -> Tensor:
    """The sum of `x` over the parts of the batch, of any shape; `x` itself where this process holds all of it.

    Differentiable: each process's gradient is that of the sum of all processes' losses.
    """
    return _Sum.apply(x) if _shared else x  # type: ignore[no-untyped-call]
