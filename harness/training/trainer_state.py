"""A training as a checkpoint holds it: everything that a new trainer needs to go on from there."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spike_ssm.harness.training.checkpoint import State
from spike_ssm.harness.training.stopwatch import Stretch


@dataclass
class Position:
    """The epoch that training is in, and what the steps done of it add up to; its validation is still to come."""

    epoch: int = 1  # counted from 1
    step: int = 0  # steps done
    loss_sum: float = 0.0  # nats
    correct: int = 0
    seen: int = 0  # targets
    seconds: float = 0.0


@dataclass
class TrainerState:
    """All that a trainer knows besides its network and its optimiser."""

    position: Position = field(default_factory=Position)
    history: list[dict[str, Any]] = field(default_factory=list)  # rows of `results.schema.EPOCHS`
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    parameters_before: list[dict[str, float]] = field(default_factory=list)  # per layer
    peak_memory_mib: float = 0.0
    stretch: Stretch = field(default_factory=Stretch)
    convolution: str = "auto"  # how SSMs are computed, which stays the same on another machine


def to_checkpoint(trained: TrainerState, network: nn.Module, optimiser: torch.optim.Optimizer) -> State:
    """The state of a training as a checkpoint; its tensors are the live ones, not copies."""
    names = _names_of_optimised(network, optimiser)
    moments = optimiser.state_dict()["state"]
    tensors = {
        **{f"network.{name}": tensor for name, tensor in network.state_dict().items()},
        **{f"best.{name}": tensor for name, tensor in trained.best_weights.items()},
        **{f"{kind}.{names[i]}": tensor for i, kinds in moments.items() for kind, tensor in kinds.items()},
    }
    values = {
        "position": asdict(trained.position),
        "history": trained.history,
        "parameters_before": trained.parameters_before,
        "peak_memory_mib": trained.peak_memory_mib,
        "stretch": asdict(trained.stretch),
        "convolution": trained.convolution,
    }
    return State(tensors, values)


def from_checkpoint(state: State, network: nn.Module, optimiser: torch.optim.Optimizer) -> TrainerState:
    """The inverse of `to_checkpoint`; what is the network's and the optimiser's is loaded into them."""
    values, tensors = state.values, _by_kind(state.tensors)
    network.load_state_dict(tensors.pop("network"))
    best_weights = tensors.pop("best", {})
    moments = {
        i: found
        for i, name in enumerate(_names_of_optimised(network, optimiser))
        if (found := {kind: named[name] for kind, named in tensors.items() if name in named})
    }
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    as_they_are = ("history", "parameters_before", "peak_memory_mib", "convolution")
    return TrainerState(
        position=Position(**values["position"]),
        best_weights=best_weights,
        stretch=Stretch(**values["stretch"]),
        **{name: values[name] for name in as_they_are},
    )


def _names_of_optimised(network: nn.Module, optimiser: torch.optim.Optimizer) -> list[str]:
    """Names of the parameters, in the order in which the optimiser counts them."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    return [names[parameter] for group in optimiser.param_groups for parameter in group["params"]]


def _by_kind(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by `kind.name`, as kind -> name -> tensor."""
    kinds: dict[str, dict[str, Tensor]] = {}
    for label, tensor in tensors.items():
        kind, _, name = label.partition(".")
        kinds.setdefault(kind, {})[name] = tensor
    return kinds
