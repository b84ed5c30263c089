"""Operators that are differentiated once, backwards. What else is asked of them is refused, where torch would say 0.

Their backward is an operator without a derivative of its own: to torch its results are constants, and a tangent, as
forward mode has it, ends at a kernel. Both would go unnoticed. Operators made of torch's own have all derivatives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.forward_ad import unpack_dual

_Backward = Callable[..., tuple[Tensor | None, ...] | Tensor]

_SENTENCE = (
    "This operator of spike_ssm is differentiated once and backwards: it has no {missing}. What is made of torch's own "
    "has second derivatives: a neuron with solver='sequential', a state space model by scan_sequential."
)


def refuse_forward_mode(*arguments: Tensor | None) -> None:
    """Raise NotImplementedError if forward-mode differentiation (`torch.func.jvp`) goes through one of the tensors."""
    for each in arguments:
        if each is not None and unpack_dual(each).tangent is not None:
            raise NotImplementedError(_SENTENCE.format(missing="forward mode (jvp)"))


def once(backward: _Backward) -> _Backward:
    """`backward(ctx, *gradients)` of an operator, whose results raise NotImplementedError when differentiated.

    Unlike torch's `once_differentiable` it looks at what was saved, too: the gradient of a sum depends on that alone.
    """

    @functools.wraps(backward)
    def wrapped(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...] | Tensor:
        refuse_forward_mode(*gradients)
        if not torch.is_grad_enabled():
            return backward(ctx, *gradients)
        given = [each for each in (*gradients, *ctx.saved_tensors) if each is not None and each.requires_grad]
        with torch.no_grad():
            found = backward(ctx, *gradients)
        many = found if isinstance(found, tuple) else (found,)
        return tuple(None if each is None else _Constant.apply(each, *given) for each in many)  # type: ignore[no-untyped-call]

    return wrapped


class _Constant(Function):
    """A tensor as if it were a function of others, at whose derivative nobody may ask."""

    @staticmethod
    def forward(_: Any, values: Tensor, *_others: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(_: Any, *_gradients: Tensor) -> tuple[None, ...]:
        raise NotImplementedError(_SENTENCE.format(missing="second derivative"))
