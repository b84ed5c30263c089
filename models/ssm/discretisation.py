"""Zero-order hold: from an S4D layer's parameters to the numbers that its recurrence and its kernels are made of.

On a CPU it is one operator (discretisation_cpu.py), because a dozen operators on so few numbers take longer than the
layer itself where sequences are short; elsewhere it is the formula.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.ops.once import once, refuse_forward_mode

_PARAMETERS = "Tensor log_dt, Tensor log_decay, Tensor frequency, Tensor b, Tensor c"

torch.library.define("spike_ssm::discretised", f"({_PARAMETERS}) -> (Tensor, Tensor)")
torch.library.define(
    "spike_ssm::discretised_backward",
    f"(Tensor by_dt_a, Tensor by_weights, {_PARAMETERS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
_discretised = torch.ops.spike_ssm.discretised.default
_backward = torch.ops.spike_ssm.discretised_backward.default


def discretised(
    log_dt: Tensor, log_decay: Tensor, frequency: Tensor | None, b: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """Step size times A, [H, N], and weights, C times B by zero-order hold, [directions, H, N]; to differentiate once.

        A = -e^log_decay + i frequency        weights = c b (e^(dt A) - 1) / A

    All are complex, or real where `frequency` is None.

    log_dt: [H], logarithm of the step size; all parameters are float32 or float64.
    log_decay, frequency: [H, N].
    b, c: [H, N] and [directions, H, N]; where states are complex, real and imaginary parts, [..., 2].

    Raises TypeError for another precision.
    """
    if log_dt.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            f"An SSM is computed in float32 or float64, but its parameters are {log_dt.dtype}; leave the network in "
            "float32 and run it under torch.autocast, which computes in half precision what bears it."
        )
    if log_dt.device.type == "cpu":
        refuse_forward_mode(log_dt, log_decay, frequency, b, c)
        given = log_decay.new_empty(0, 0) if frequency is None else frequency
        return _discretised(log_dt, log_decay, given, b, c)  # type: ignore[no-any-return]
    return by_formula(log_dt, log_decay, frequency, b, c)


def by_formula(
    log_dt: Tensor, log_decay: Tensor, frequency: Tensor | None, b: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """`discretised` in torch's operators: the readable reference."""
    dt_a, discrete_b = held(log_dt, log_decay, frequency, b)
    return dt_a, (c if frequency is None else torch.view_as_complex(c)) * discrete_b


def held(log_dt: Tensor, log_decay: Tensor, frequency: Tensor | None, b: Tensor) -> tuple[Tensor, Tensor]:
    """Step size times A, and B by zero-order hold, both [H, N]; arguments as in `discretised`."""
    a = -log_decay.exp()
    if frequency is not None:
        a, b = torch.complex(a, frequency), torch.view_as_complex(b)
    dt_a = log_dt.exp()[:, None] * a
    return dt_a, b * torch.expm1(dt_a) / a


def _kernels() -> Any:
    """The kernels, imported when first needed: numba takes a second."""
    return importlib.import_module("spike_ssm.models.ssm.discretisation_cpu")


@torch.library.impl("spike_ssm::discretised", "CPU")
def _(*parameters):
    return _kernels().forward(*parameters)


@torch.library.impl("spike_ssm::discretised_backward", "CPU")
def _(by_dt_a, by_weights, *parameters):
    return _kernels().backward(by_dt_a, by_weights, *parameters)


@torch.library.register_fake("spike_ssm::discretised")
def outputs_like(log_dt, log_decay, frequency, b, c):
    """Uninitialised outputs of the operator, whose frequency is empty where states are real."""
    dtype = c.dtype if b.dim() == 2 else c.dtype.to_complex()
    return b.new_empty(log_decay.shape, dtype=dtype), b.new_empty((len(c), *log_decay.shape), dtype=dtype)


@torch.library.register_fake("spike_ssm::discretised_backward")
def gradients_like(by_dt_a, by_weights, *parameters):
    """Uninitialised gradients of the parameters."""
    return tuple(each.new_empty(each.shape) for each in parameters)


def _setup_context(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


@once
def _run_backward(ctx, by_dt_a, by_weights):
    found = _backward(by_dt_a, by_weights, *ctx.saved_tensors)
    return tuple(each if needed else None for each, needed in zip(found, ctx.needs_input_grad, strict=True))


torch.library.register_autograd("spike_ssm::discretised", _run_backward, setup_context=_setup_context)
