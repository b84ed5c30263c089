"""Calibration: every layer fires at the target on the batch it was calibrated on; only thresholds change."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch import Tensor

from spike_ssm.models.activity import record_activity
from spike_ssm.models.calibration import TOLERANCE, calibrate_thresholds
from spike_ssm.models.network import Classifier, Inputs, ModelSettings
from spike_ssm.models.neurons import NEURONS
from spike_ssm.models.neurons.gelu import GELU, GELUSettings

MODEL = ModelSettings(layers=3, channels=16, state_size=4)
LENGTHS = torch.tensor([60, 45, 30, 58])


def network(neuron: str = "refractory_lif", model: ModelSettings = MODEL, **changes: object) -> Classifier:
    torch.manual_seed(0)
    return Classifier(Inputs(18), 10, model, NEURONS[neuron][1](**changes))  # type: ignore[arg-type]


def tokens(length: int = 60) -> Tensor:
    """The first 60 columns are always the same; what stands in the padding is not zero."""
    return torch.randint(3, 18, (length, 4), generator=torch.Generator().manual_seed(1)).T


def thresholds(net: Classifier) -> list[Tensor]:
    return [neuron.threshold().detach().clone() for neuron in net.neurons]  # type: ignore[misc]


def rates(net: Classifier) -> list[float]:
    with record_activity(net) as layers, torch.no_grad():
        net(tokens(), LENGTHS)
    return [layer.firing_rate for layer in layers]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("neuron", "changes"),
    [
        ("refractory_lif", {}),
        ("refractory_lif", {"threshold_trainable": False}),
        ("lif_soft", {"threshold_shared": True}),
        ("lif_hard", {}),
        ("alif", {}),
        ("sliding_psn", {}),
        ("brf", {}),
        ("tc_lif", {}),
        ("drf", {}),
    ],
)
def test_every_layer_fires_at_the_target(neuron: str, changes: dict[str, object], training: bool) -> None:
    net = network(neuron, **changes).train(training)
    assert not all(rate == pytest.approx(0.15, rel=0.1) for rate in rates(net))
    net = network(neuron, **changes).train(training)
    calibrate_thresholds(net, tokens(), LENGTHS, 0.15)
    assert rates(net) == pytest.approx([0.15] * 3, rel=TOLERANCE)


def test_a_layers_thresholds_are_multiplied_by_one_factor() -> None:
    net = network()
    for neuron in net.neurons:
        (stored,) = neuron.threshold.parameters()  # type: ignore[union-attr]
        torch.nn.init.uniform_(stored, -0.5, 0.5)
    before = thresholds(net)
    calibrate_thresholds(net, tokens(), LENGTHS, 0.1)
    for old, new in zip(before, thresholds(net), strict=True):
        ratio = new / old
        torch.testing.assert_close(ratio, ratio[:1].expand(16))
        assert abs(float(ratio[0]) - 1) > 0.01


@pytest.mark.parametrize("training", [True, False])
def test_nothing_but_thresholds_changes_running_statistics_included(training: bool) -> None:
    net = network().train(training)
    before = copy.deepcopy(net.state_dict())
    calibrate_thresholds(net, tokens(), LENGTHS, 0.1)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"backbone.blocks.{layer}.neuron_at.after_ssm.threshold.logarithm" for layer in range(3)}
    assert net.training == training
    assert all(parameter.grad is None for parameter in net.parameters())
    calibrated = thresholds(net)
    net(tokens(), LENGTHS // 2)
    assert all(map(torch.equal, calibrated, thresholds(net))), "a later pass calibrates nothing"


def test_padding_does_not_count() -> None:
    exact, padded = network().train(), network().train()
    calibrate_thresholds(exact, tokens(), LENGTHS, 0.1)
    calibrate_thresholds(padded, tokens(90), LENGTHS, 0.1)
    torch.testing.assert_close(thresholds(exact), thresholds(padded), rtol=TOLERANCE, atol=0.0)


def test_with_dropout_the_target_holds_for_the_noise_that_the_generator_was_about_to_give() -> None:
    net = network(model=ModelSettings(layers=3, channels=16, state_size=4, dropout=0.4)).train()
    torch.manual_seed(7)
    calibrate_thresholds(net, tokens(), LENGTHS, 0.1)
    torch.manual_seed(7)
    assert rates(net) == pytest.approx([0.1] * 3, rel=TOLERANCE)


def test_stochastic_neurons_are_calibrated_and_the_same_seed_gives_the_same_thresholds() -> None:
    found = []
    for _ in range(2):
        net = network("pspike").eval()
        torch.manual_seed(7)
        calibrate_thresholds(net, tokens(), LENGTHS, 0.2)
        found.append(thresholds(net))
        torch.manual_seed(7)
        assert rates(net) == pytest.approx([0.2] * 3, rel=TOLERANCE)
    assert all(map(torch.equal, *found))


def test_a_target_out_of_reach_gets_the_closest_rate_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """However low the threshold, a neuron does not fire at a negative potential."""
    net = network().eval()
    before = rates(net)
    with caplog.at_level(logging.WARNING, logger="spike_ssm.models.calibration"):
        calibrate_thresholds(net, tokens(), LENGTHS, 0.99)
    after = rates(net)
    assert all(low < high < 0.9 for low, high in zip(before, after, strict=True))
    assert [record.getMessage()[:8] for record in caplog.records] == ["Layer 0 ", "Layer 1 ", "Layer 2 "]
    assert "cannot be made to fire at a rate of 0.99" in caplog.text


def test_neurons_without_a_threshold_stay_and_the_others_are_calibrated() -> None:
    net = network().eval()
    middle = net.blocks[1]
    middle.neuron_at["after_ssm"] = GELU(16, GELUSettings())
    before = copy.deepcopy(middle.state_dict())
    calibrate_thresholds(net, tokens(), LENGTHS, 0.2)
    first, _, last = rates(net)
    assert (first, last) == pytest.approx((0.2, 0.2), rel=TOLERANCE)
    assert all(torch.equal(value, before[name]) for name, value in middle.state_dict().items())


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_that_makes_no_sense_gets_a_sentence(rate: float) -> None:
    with pytest.raises(ValueError, match=r"firing_rate must be a fraction of the time steps in \(0, 1\)"):
        calibrate_thresholds(network(), tokens(), LENGTHS, rate)
