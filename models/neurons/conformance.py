"""The contract of all neurons as a check for one of a user's own; tests/models/test_neuron_conformance.py asks more."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from spike_ssm.models.neurons import Neuron, find_neuron

PARAMETERS = ("leak", "threshold", "refractory", "decay")
"""Names that a neuron's summary may hold."""

_SHAPE = (3, 4, 24)


def check_neuron(name: str) -> None:
    """Raise AssertionError with a sentence where the neuron, by a dotted path or a name, breaks the contract of all.

    Checked at the settings' defaults, on random input: shapes, spikes, gradients, that examples and batches are apart,
    that a step at a time gives the same spikes, and what the neuron tells of itself. Raises ValueError where there is
    no such neuron.
    """
    module, settings = find_neuron(name)
    torch.manual_seed(0)
    neuron = module(_SHAPE[1], settings(name=name)).eval()
    x = 2 * torch.randn(_SHAPE)
    _check_output(neuron, x)
    _check_gradients(neuron, x)
    _check_apart(neuron, x)
    _check_steps(neuron, x)
    _check_summary(neuron)


def _spikes(neuron: Neuron, x: Tensor) -> Tensor:
    torch.manual_seed(1)  # what a stochastic neuron draws
    return neuron(x)  # type: ignore[no-any-return]


def _check_output(neuron: Neuron, x: Tensor) -> None:
    spikes = _spikes(neuron, x)
    assert spikes.shape == x.shape, f"forward must give [B, H, L] = {list(x.shape)}, but gives {list(spikes.shape)}."
    assert spikes.dtype == x.dtype, f"forward must give its input's {x.dtype}, but gives {spikes.dtype}."
    assert bool(spikes.isfinite().all()), "forward gives values that are not finite."
    assert torch.equal(_spikes(neuron, x), spikes), "the same input has other spikes the second time: state is kept."
    if neuron.spiking:
        assert bool(((spikes == 0) | (spikes == 1)).all()), "spikes must be 0 or 1, or spiking = False set."
    potential = neuron.potential(x)
    assert potential.shape == x.shape, f"potential must be {list(x.shape)}, but is {list(potential.shape)}."
    assert not potential.requires_grad, "potential must be detached."


def _check_gradients(neuron: Neuron, x: Tensor) -> None:
    neuron = copy.deepcopy(neuron).train()
    x = x.clone().requires_grad_()
    spikes = _spikes(neuron, x)
    assert spikes.requires_grad, "no gradient reaches the input."
    (spikes * torch.randn(x.shape)).sum().backward()
    asked = {"the input": x, **{name: each for name, each in neuron.named_parameters() if each.requires_grad}}
    for name, each in asked.items():
        assert each.grad is not None, f"no gradient reaches {name}."
        assert bool(each.grad.isfinite().all()), f"the gradient of {name} is not finite."
    assert bool((asked["the input"].grad != 0).any()), "the gradient of the input is zero everywhere."  # type: ignore[union-attr]


def _check_apart(neuron: Neuron, x: Tensor) -> None:
    spikes = _spikes(neuron, x)
    for other in range(len(x)):
        changed = x.clone()
        changed[other] += 1
        same = (_spikes(neuron, changed) == spikes).flatten(1).all(1)
        same[other] = True
        assert bool(same.all()), "examples' spikes depend on one another."


def _check_steps(neuron: Neuron, x: Tensor) -> None:
    try:
        neuron.step(x[..., 0], None)
    except ValueError:  # it cannot be streamed, and says so
        return
    torch.manual_seed(1)
    state, spikes = None, []
    for x_t in x.unbind(-1):
        spike, state = neuron.step(x_t, state)
        spikes.append(spike)
    whole, stepped = _spikes(neuron, x), torch.stack(spikes, -1)
    same = stepped == whole if neuron.spiking else torch.isclose(stepped, whole, rtol=1e-4, atol=1e-5)
    differing = int((~same).sum())
    assert differing == 0, f"step by step, {differing} of {x.numel()} outputs are not those of the whole sequence."


def _check_summary(neuron: Neuron) -> None:
    summary = neuron.parameter_summary()
    unknown = set(summary) - set(PARAMETERS)
    assert not unknown, f"parameter_summary may hold {', '.join(PARAMETERS)}, but has {', '.join(sorted(unknown))}."
    assert all(math.isfinite(value) for value in summary.values()), f"parameter_summary has {summary}."
    operations = neuron.operations_per_step()
    right = len(operations) == 2 and all(0 <= each < math.inf for each in operations)
    assert right, f"operations_per_step must be two numbers of at least 0, but is {operations}."
