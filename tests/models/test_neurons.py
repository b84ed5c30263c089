"""The refractory LIF as a module: streaming, ranges that training cannot leave, settings that are checked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.neurons import NEURONS, RefractoryLIF, RefractoryLIFSettings, build_neuron


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def settings(**changes: object) -> RefractoryLIFSettings:
    return RefractoryLIFSettings(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{}, {"refractory": 0.0, "refractory_trainable": False}, {"decay_trainable": True, "leak": 0.9, "threshold": 0.7}],
)
def test_streaming_gives_the_spikes_of_the_sequence(changes: dict[str, object]) -> None:
    neuron = RefractoryLIF(6, settings(**changes))
    x = gaussian(3, 6, 400)
    spikes, state = [], None
    for x_t in x.unbind(-1):
        spike, state = neuron.step(x_t, state)
        spikes.append(spike)
    assert torch.equal(torch.stack(spikes, -1), neuron(x))


def test_the_spikes_do_not_change_when_input_and_threshold_scale_together() -> None:
    x = gaussian(2, 4, 300)
    narrow = RefractoryLIF(4, settings(threshold=1.0))
    wide = RefractoryLIF(4, settings(threshold=4.0))
    assert torch.equal(narrow(x), wide(4 * x))


def test_parameters_start_where_the_settings_say() -> None:
    neuron = RefractoryLIF(5, settings(leak=0.8, threshold=1.3, refractory=0.7, decay=0.4, decay_trainable=True))
    assert neuron.parameter_summary() == pytest.approx(
        {"leak": 0.8, "threshold": 1.3, "refractory": 0.7, "decay": 0.4}, rel=1e-5
    )


@pytest.mark.parametrize("name", ["leak", "threshold", "refractory", "decay"])
def test_exactly_the_trainable_parameters_get_gradients(name: str) -> None:
    off = dict.fromkeys((f"{n}_trainable" for n in ("leak", "threshold", "refractory", "decay")), False)
    neuron = RefractoryLIF(5, settings(**{**off, f"{name}_trainable": True}))
    trainable = [p for p in neuron.parameters() if p.requires_grad]
    assert len(trainable) == 1
    neuron(gaussian(2, 5, 100).requires_grad_()).sum().backward()
    assert trainable[0].grad is not None
    assert trainable[0].grad.abs().sum() > 0


def test_training_cannot_leave_the_parameters_ranges() -> None:
    every = {f"{n}_trainable": True for n in ("leak", "threshold", "refractory", "decay")}
    neuron = RefractoryLIF(5, settings(**every))
    for parameter in neuron.parameters():
        torch.nn.init.uniform_(parameter, -4, 4)
    neuron(gaussian(2, 5, 50))  # the operator checks the ranges


def test_half_settings_are_exact_in_floating_point() -> None:
    leak, threshold, refractory, decay = RefractoryLIF(1, settings(refractory_trainable=False)).parameters_now()
    assert (leak, threshold, refractory, decay) == (0.5, 1.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"leak": 1.5}, r"leak must be in \(0, 1\)"),
        ({"refractory": -1.0}, "refractory must be >= 0"),
        ({"solver": "magic"}, "choose one of auto"),
        ({"surrogate_width": 0.0}, "surrogate_width must be a positive number"),
        ({"max_iterations": 0}, "max_iterations must be at least 1"),
        ({"max_iterations": 3, "solver": "fused"}, "Leave one of them out"),
        ({"surrogate": "magic"}, "choose one of piecewise_quadratic"),
        ({"refractory": 0.0, "refractory_trainable": True}, "must start above 0"),
        ({"decay": 0.0, "decay_trainable": True}, "must start above 0"),
    ],
)
def test_settings_that_make_no_sense_get_a_sentence(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        settings(**changes)


def test_the_registry_builds_every_neuron() -> None:
    for name, (module, neuron_settings) in NEURONS.items():
        built = build_neuron(4, neuron_settings())
        assert isinstance(built, module)
        assert neuron_settings().name == name
        spikes = built(gaussian(2, 4, 30))
        assert ((spikes == 0) | (spikes == 1)).all()
