"""What is the refractory LIF's own: its variants stream, training cannot leave its ranges, its settings are checked.

What every neuron is held to is in test_neuron_conformance.py.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spike_ssm.models.neurons import RefractoryLIF, RefractoryLIFSettings


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


@pytest.mark.parametrize("raw", [-200.0, -20.0, 20.0, 200.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_cannot_reach_the_ends_of_a_range_even_where_floating_point_does(
    raw: float, dtype: torch.dtype
) -> None:
    neuron = RefractoryLIF(2, settings(leak_trainable=True, decay_trainable=True)).to(dtype)
    with torch.no_grad():
        for parameter in neuron.parameters():
            parameter.fill_(raw)
    leak, threshold, _, decay = neuron.parameters_now()
    assert bool(((leak > 0) & (leak < 1) & (decay > 0) & (decay < 1) & (threshold >= 1e-30)).all())
    if raw < 80:  # e to the 200th is no float32
        neuron(gaussian(1, 2, 8).to(dtype))


def test_a_threshold_so_small_that_quotients_overflow_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"^threshold must be > 0 and at least 1e-30, but it is 1e-40\.$"):
        settings(threshold=1e-40)


def test_half_settings_are_exact_in_floating_point() -> None:
    leak, threshold, refractory, decay = RefractoryLIF(1, settings(refractory_trainable=False)).parameters_now()
    assert (leak, threshold, refractory, decay) == (0.5, 1.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"leak": 1.5}, r"leak must be in \(0, 1\)"),
        ({"refractory": -1.0}, "refractory must be >= 0"),
        ({"solver": "magic"}, "choose one of auto"),
        ({"max_iterations": 0}, "max_iterations must be at least 1"),
        ({"max_iterations": 3, "solver": "fused"}, "Leave one of them out"),
        ({"refractory": 0.0, "refractory_trainable": True}, "must start above 0"),
        ({"decay": 0.0, "decay_trainable": True}, "must start above 0"),
    ],
)
def test_settings_that_make_no_sense_get_a_sentence(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        settings(**changes)
