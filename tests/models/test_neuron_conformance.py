"""What every neuron is held to by being registered: streaming, gradients, precision, shapes, settings."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import Tensor

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.documents import SWEEPS
from spike_ssm.models.network import Classifier, Inputs, ModelSettings
from spike_ssm.models.neurons import NEURONS, Neuron, NeuronSettings, build_neuron
from spike_ssm.models.neurons.base import ThresholdSettings
from spike_ssm.models.neurons.binary import Binary
from spike_ssm.models.neurons.conformance import check_neuron
from spike_ssm.models.neurons.serial import Serial

CHANNELS = 6
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NEURONS),
    ("refractory_lif", {"reset": "none"}),
    ("lif_soft", {"threshold_shared": True, "surrogate": "sigmoid", "leak_trainable": True}),
    ("psn", {"causal": False}),
    ("pspike", {"surrogate": "arctan"}),
    ("brf", {"detach_reset": True, "dt": 0.005}),
    ("tc_lif", {"betas_shared": True, "detach_reset": True}),
    ("drf", {"adaptive_threshold": False, "dendrites": 1}),
]
SPIKING = [(name, changes) for name, changes in VARIANTS if NEURONS[name][0].spiking]


def label(value: object) -> str | None:
    return "-".join(map(str, value.values())) or "defaults" if isinstance(value, dict) else None


every_neuron = pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=label)
every_spiking_neuron = pytest.mark.parametrize(("name", "changes"), SPIKING, ids=label)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def settings_of(name: str, changes: dict[str, Any]) -> NeuronSettings:
    return NEURONS[name][1](**changes)


def build(settings: NeuronSettings, seed: int = 0) -> Neuron:
    """A neuron whose trained parameters differ from channel to channel."""
    torch.manual_seed(seed)
    neuron = build_neuron(CHANNELS, settings)
    with torch.no_grad():
        for parameter in neuron.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return neuron


def outputs(neuron: Neuron, x: Tensor) -> Tensor:
    """The neuron's output, with the same noise for every call."""
    torch.manual_seed(1)
    result: Tensor = neuron(x)
    return result


def assert_same(neuron: Neuron, got: Tensor, expected: Tensor) -> None:
    """Spikes must be equal; what is not a spike, within rounding."""
    if neuron.spiking:
        assert torch.equal(got, expected)
    else:
        torch.testing.assert_close(got, expected)


def can_stream(neuron: Neuron) -> bool:
    try:
        neuron.step(torch.zeros(1, CHANNELS), None)
    except ValueError:
        return False
    return True


# --- what it computes


@every_neuron
def test_streaming_gives_the_sequences_output_or_says_that_it_cannot(name: str, changes: dict[str, Any]) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 150)
    if not can_stream(neuron):
        with pytest.raises(ValueError, match=r"cannot be streamed.*\.$"):
            neuron.step(x[..., 0], None)
        return
    torch.manual_seed(1)
    steps, state = [], None
    for x_t in x.unbind(-1):
        step, state = neuron.step(x_t, state)
        steps.append(step)
    assert_same(neuron, torch.stack(steps, -1), outputs(neuron, x))


@every_neuron
def test_a_step_carries_no_gradient(name: str, changes: dict[str, Any]) -> None:
    neuron, x, state = build(settings_of(name, changes)), gaussian(3, CHANNELS).requires_grad_(), None
    if not can_stream(neuron):
        return
    for _ in range(2):
        output, state = neuron.step(x, state)
        kept = state if isinstance(state, tuple) else (state,)
        assert not any(each.requires_grad for each in (output, *kept) if each is not None)


@every_neuron
def test_what_can_be_streamed_does_not_look_ahead(name: str, changes: dict[str, Any]) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 150)
    if not can_stream(neuron):
        return
    other = torch.cat([x[..., :100], gaussian(3, CHANNELS, 50, seed=1)], -1)
    assert_same(neuron, outputs(neuron, other)[..., :100], outputs(neuron, x)[..., :100])


@every_spiking_neuron
def test_spikes_are_0_or_1_and_there_are_both(name: str, changes: dict[str, Any]) -> None:
    assert outputs(build(settings_of(name, changes)), gaussian(3, CHANNELS, 150)).unique().tolist() == [0, 1]


@every_spiking_neuron
def test_the_spikes_do_not_change_when_input_and_threshold_scale_together(name: str, changes: dict[str, Any]) -> None:
    settings, x = settings_of(name, {**changes, "threshold_trainable": False}), gaussian(3, CHANNELS, 150)
    assert isinstance(settings, ThresholdSettings)
    scaled = replace(settings, threshold=4 * settings.threshold)
    assert torch.equal(outputs(build(scaled), 4 * x), outputs(build(settings), x))


@every_neuron
def test_the_potential_is_finite_has_the_inputs_shape_and_no_gradient(name: str, changes: dict[str, Any]) -> None:
    potential = build(settings_of(name, changes)).potential(gaussian(3, CHANNELS, 50).requires_grad_())
    assert potential.shape == (3, CHANNELS, 50)
    assert potential.isfinite().all()
    assert not potential.requires_grad


# --- gradients


def in_float64(neuron: Neuron) -> Neuron:
    """The same neuron in float64, by the sequential solver where it has solvers."""
    settings = neuron.settings
    if hasattr(settings, "solver"):
        settings = replace(settings, solver="sequential")
    reference = build_neuron(CHANNELS, settings)
    reference.load_state_dict(neuron.state_dict())
    return reference.double()


def output_and_gradients(neuron: Neuron, x: Tensor, grad: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The output for x, and the gradients of x and of every trained parameter when the output's is `grad`."""
    x = x.clone().requires_grad_()
    leaves = {"x": x, **{name: p for name, p in neuron.named_parameters() if p.requires_grad}}
    output = outputs(neuron, x)
    # a sequence of one step reaches no parameter that acts from one step to the next
    gradients = torch.autograd.grad(output, list(leaves.values()), grad, materialize_grads=True)
    return output, dict(zip(leaves, gradients, strict=True))


@pytest.mark.parametrize("length", [1, 63, 130])
@every_neuron
def test_every_gradient_is_that_of_a_float64_reference(name: str, changes: dict[str, Any], length: int) -> None:
    neuron = build(settings_of(name, changes))
    x, grad = gaussian(3, CHANNELS, length) + 0.3, gaussian(3, CHANNELS, length, seed=2)
    spikes, got = output_and_gradients(neuron, x, grad)
    reference, expected = output_and_gradients(in_float64(neuron), x.double(), grad.double())
    assert_same(neuron, spikes, reference.float())  # else gradients have no reason to agree
    for parameter, gradient in expected.items():
        # what oscillates hands rounding on to all later steps; the loop in float32 is off as much
        tolerance = (5e-5 if isinstance(neuron, Serial) else 1e-5) * max(1.0, float(gradient.abs().max()))
        off = float((got[parameter] - gradient).abs().max())
        assert off <= tolerance, f"the gradient of {parameter} is off by {off:.3g}, more than {tolerance:.3g}"


@every_neuron
def test_it_trains_inside_the_network(name: str, changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    sizes = ModelSettings(layers=2, channels=4, state_size=4)
    network = Classifier(Inputs(10), 3, sizes, settings_of(name, changes))
    tokens, lengths = torch.randint(10, (4, 12)), torch.tensor([12, 5, 9, 1])
    network(tokens, lengths).square().sum().backward()
    for parameter in network.parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()


# --- precision, layouts and shapes


@every_neuron
def test_half_precision_gives_what_float32_gives_for_the_same_values(name: str, changes: dict[str, Any]) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 150).bfloat16()
    got = outputs(neuron, x)
    assert got.dtype == torch.bfloat16
    assert_same(neuron, got, outputs(neuron, x.float()).bfloat16())


@every_neuron
def test_autocast_changes_nothing(name: str, changes: dict[str, Any]) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 150)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = outputs(neuron, x)
    assert got.dtype == torch.float32
    assert_same(neuron, got, outputs(neuron, x))


@every_neuron
def test_one_compiled_graph_serves_all_sizes(name: str, changes: dict[str, Any]) -> None:
    neuron = build(settings_of(name, changes))
    torch.compiler.reset()
    compiled = torch.compile(neuron, dynamic=True, fullgraph=True, backend="aot_eager")
    for batch, length in ((2, 40), (3, 70), (4, 33)):
        x = gaussian(batch, CHANNELS, length).requires_grad_()
        got, expected = outputs(compiled, x), outputs(neuron, x)
        assert_same(neuron, got, expected)
        torch.testing.assert_close(*(torch.autograd.grad(output.sum(), x)[0] for output in (got, expected)))


@every_neuron
def test_no_step_gives_no_spike(name: str, changes: dict[str, Any]) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 0)
    assert neuron(x).shape == neuron.potential(x).shape == (3, CHANNELS, 0)


@every_neuron
def test_on_the_meta_device_it_tells_the_shape(name: str, changes: dict[str, Any]) -> None:
    neuron = build(settings_of(name, changes)).to("meta")
    spikes = neuron(torch.empty(3, CHANNELS, 50, dtype=torch.bfloat16, device="meta"))
    assert (spikes.shape, spikes.dtype, spikes.device.type) == ((3, CHANNELS, 50), torch.bfloat16, "meta")


@every_neuron
def test_parameters_in_half_precision_are_taken(name: str, changes: dict[str, Any]) -> None:
    output = outputs(build(settings_of(name, changes)).bfloat16(), gaussian(3, CHANNELS, 60).bfloat16())
    assert output.dtype == torch.bfloat16
    assert output.isfinite().all()


@every_neuron
def test_any_memory_layout_and_a_batch_of_none_are_fine(name: str, changes: dict[str, Any]) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 70)
    strided = x.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert_same(neuron, outputs(neuron, strided), outputs(neuron, x))
    expanded = x[:1].expand(3, -1, -1)
    assert_same(neuron, outputs(neuron, expanded), outputs(neuron, expanded.clone()))
    assert outputs(neuron, x[:0]).shape == (0, CHANNELS, 70)


# --- its parameters and settings


@every_neuron
def test_its_state_can_be_saved_and_loaded(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 150)
    save_file(neuron.state_dict(), tmp_path / "neuron.safetensors")
    other = build(settings_of(name, changes), seed=1)
    other.load_state_dict(load_file(tmp_path / "neuron.safetensors"))
    assert_same(neuron, outputs(other, x), outputs(neuron, x))
    assert_same(neuron, outputs(copy.deepcopy(neuron), x), outputs(neuron, x))


@every_neuron
def test_it_can_be_pickled_alone_and_in_a_network(name: str, changes: dict[str, Any]) -> None:
    neuron, x = build(settings_of(name, changes)), gaussian(3, CHANNELS, 50)
    other = saved_and_loaded(neuron)
    assert_same(neuron, outputs(other, x), outputs(neuron, x))
    if other.threshold is not None:
        other.threshold.scale(2.0)
    network = Classifier(Inputs(None), 3, ModelSettings(layers=1, channels=4), settings_of(name, changes)).eval()
    inputs = gaussian(2, 30), torch.tensor([30, 20])
    scores = []
    for each in (network, saved_and_loaded(network)):
        torch.manual_seed(1)
        scores.append(each(*inputs))
    assert torch.equal(*scores)


def saved_and_loaded(module: Any) -> Any:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@every_neuron
def test_its_summary_and_its_operations_are_finite_and_have_the_known_names(name: str, changes: dict[str, Any]) -> None:
    neuron = build(settings_of(name, changes))
    summary = neuron.parameter_summary()
    assert set(summary) <= {"leak", "threshold", "refractory", "decay"}
    assert ("threshold" in summary) == (neuron.threshold is not None)
    assert all(math.isfinite(value) for value in summary.values())
    assert all(0 <= count < math.inf for count in neuron.operations_per_step())


@every_neuron
def test_its_threshold_can_be_scaled(name: str, changes: dict[str, Any]) -> None:
    neuron = build(settings_of(name, changes))
    if neuron.threshold is not None:
        before = neuron.parameter_summary()["threshold"]
        neuron.threshold.scale(3.0)
        assert neuron.parameter_summary()["threshold"] == pytest.approx(3 * before)


@pytest.mark.parametrize("name", NEURONS)
def test_the_registry_builds_it_from_its_settings(name: str) -> None:
    module, settings = NEURONS[name]
    assert settings().name == name
    assert type(build_neuron(4, settings())) is module


@pytest.mark.parametrize("name", [name for name, (_, kind) in NEURONS.items() if issubclass(kind, ThresholdSettings)])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threshold": 0.0}, "threshold must be > 0"),
        ({"threshold": math.nan}, "threshold must be > 0"),
        ({"surrogate": "magic"}, "choose one of piecewise_quadratic"),
        ({"surrogate_width": 0.0}, "surrogate_width must be a positive number"),
    ],
    ids=label,
)
def test_a_threshold_that_makes_no_sense_gets_a_sentence(name: str, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        settings_of(name, changes)


@pytest.mark.parametrize("name", NEURONS)
def test_its_yaml_names_every_setting_with_its_default(name: str) -> None:
    """All but what is taken from the task."""
    content = OmegaConf.to_container(OmegaConf.load(SWEEPS / "neuron" / f"{name}.yaml"), resolve=False)
    assert isinstance(content, dict)
    assert content.pop("defaults") == [f"{name}_settings"]
    defaults = {each.name: each.default for each in fields(NEURONS[name][1]) if each.name != "name"}
    assert set(content) == set(defaults)
    assert {key: defaults[key] if "task." in str(value) else value for key, value in content.items()} == (defaults)
    assert type(Composer().settings({"neuron": name}).neuron) is NEURONS[name][1]


@pytest.mark.parametrize("name", NEURONS)
def test_the_check_for_neurons_of_ones_own_finds_nothing_wrong_with_ours(name: str) -> None:
    check_neuron(name)


class Broken(Binary):
    """A binary neuron with a fault, `fault`."""

    fault, asked = "", 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        mixed = {"mean": x - x.mean(0), "later": x.cumsum(0), "earlier": x.flip(0).cumsum(0).flip(0)}
        x = x + self.asked if self.fault == "state" else mixed.get(self.fault, x)
        spikes = super().forward(x)
        return {"half": spikes / 2, "shape": spikes[..., :-1], "cut": spikes.detach(), "noisy": spikes.double()}.get(
            self.fault, spikes
        )

    def step(self, x: Tensor, state: object) -> tuple[Tensor, object]:
        spikes, state = super().step(x, state)
        return (1 - spikes if self.fault == "step" else spikes), state

    def parameter_summary(self) -> dict[str, float]:
        return {"speed": 1.0} if self.fault == "summary" else super().parameter_summary()


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("half", "spikes must be 0 or 1"),
        ("shape", "forward must give"),
        ("noisy", "forward must give its input's torch.float32, but gives torch.float64"),
        ("cut", "no gradient reaches the input"),
        ("step", "step by step, 288 of 288 outputs are not those of the whole sequence"),
        ("mean", "examples' spikes depend on one another"),
        ("later", "examples' spikes depend on one another"),
        ("earlier", "examples' spikes depend on one another"),
        ("state", "the same input has other spikes the second time: state is kept"),
        ("summary", "parameter_summary may hold leak, threshold, refractory, decay, but has speed"),
    ],
)
def test_the_check_finds_faults(fault: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "fault", fault)
    monkeypatch.setitem(NEURONS, "broken", (Broken, NEURONS["binary"][1]))
    with pytest.raises(AssertionError, match=why):
        check_neuron("broken")
