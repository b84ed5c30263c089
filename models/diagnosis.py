"""Diagnosis of a network that computes NaN or infinity: the first place where it does."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spike_ssm.models.network import Network


@torch.no_grad()
def first_not_finite(network: Network, inputs: Tensor, lengths: Tensor) -> str | None:
    """The first parameter that holds NaN or infinity; else the first module whose output on this batch does, in words.

    inputs and lengths as `Backbone.forward` takes them. None where all is finite. The network computes in its own mode
    and stays as it is but for running statistics, noise and what observers count.
    """
    broken = [name for name, parameter in network.named_parameters() if not bool(parameter.isfinite().all())]
    if broken:
        others = f" and {len(broken) - 1} others" if len(broken) > 1 else ""
        return f"those of the parameter {broken[0]}{others}"
    found: list[str] = []
    with ExitStack() as stack:
        for name, module in network.named_modules():
            if name:
                stack.enter_context(module.register_forward_hook(partial(_look, name, found)))
        with suppress(ValueError):  # a neuron's, that its input is not finite
            network(inputs, lengths)
    return f"the output of {found[0]}" if found else None


def _look(name: str, found: list[str], module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG001 (a hook)
    outputs = output if isinstance(output, tuple) else (output,)
    if any(isinstance(each, Tensor) and not bool(each.isfinite().all()) for each in outputs):
        found.append(name)
