"""Which runs take as long as each other: of all that makes a run's id, what its time depends on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_OF_STEPS = ("batch_size", "length_pool")
_LENGTHS = ("max_length", "length", "context")
_SIDES = ("side", "size")


@dataclass(frozen=True)
class Shape:
    """What the time of a run depends on, as text, but for the number of its epochs.

    family: the same without the neuron. effort: of an epoch, in places of its tensors, as far as settings tell; of use
    only beside another one of the same task.
    """

    key: str
    family: str
    task: str
    epochs: int
    effort: float


def shape_of(identity: Mapping[str, Any]) -> Shape:
    """The shape of the run with this identity, as `Settings.identity` gives it and a result's `config` has it.

    Numbers that are no counts do not change the time, except for being 0: a neuron without a refractory current is
    another computation than one with. The seed, the learning rates and the scale's name do not matter at all.
    """
    task, model, optim = identity["task"], identity.get("model", {}), identity.get("optim", {})
    parts = {
        "task": task,
        "model": _kinds(model),
        "optim": {name: optim.get(name) for name in _OF_STEPS},
        "penalised": optim.get("firing_rate_target") is not None,
        "robustness": identity.get("robustness"),
        "test": identity.get("test", True),
        "stop_if": identity.get("stop_if"),
    }
    return Shape(
        key=_text({**parts, "neuron": _kinds(identity["neuron"])}),
        family=_text(parts),
        task=str(task["name"]),
        epochs=int(optim.get("epochs", 1)),
        effort=_effort(task, model),
    )


def _kinds(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: bool(value) if isinstance(value, float) else value for name, value in settings.items()}


def _text(parts: Mapping[str, Any]) -> str:
    return json.dumps(parts, sort_keys=True)


def _effort(task: Mapping[str, Any], model: Mapping[str, Any]) -> float:
    sizes = [task[name] for name in _LENGTHS if name in task] + [task[name] ** 2 for name in _SIDES if name in task]
    factors = [*sizes[:1], task.get("train") or 1, model.get("layers", 1), model.get("channels", 1)]
    return float(math.prod(factors))
