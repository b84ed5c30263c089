"""A neuron's parameter in a state dict: its key says what the number is, and old files keep their meaning."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from spike_ssm.models.identity import identity_of
from spike_ssm.models.network import Classifier, Inputs, ModelSettings
from spike_ssm.models.neurons import RefractoryLIFSettings
from spike_ssm.models.neurons.parameter import INVERSE_SOFTPLUS, LOGARITHM, LOGIT, ChannelParameter, Storage

STORAGES = pytest.mark.parametrize("storage", [LOGARITHM, LOGIT, INVERSE_SOFTPLUS], ids=lambda storage: storage.name)
VALUES = torch.tensor([0.2, 0.5, 0.8])


def parameter(storage: Storage, *, trainable: bool) -> ChannelParameter:
    """A parameter whose values are `VALUES`."""
    built = ChannelParameter(3, 0.3, storage, trainable=trainable)
    numbers = [storage.to_raw(value) for value in VALUES.tolist()] if trainable else VALUES.tolist()
    with torch.no_grad():
        built.stored.copy_(torch.tensor(numbers))
    return built


def network(threshold: float, *, trainable: bool) -> Classifier:
    torch.manual_seed(0)
    neuron = RefractoryLIFSettings(threshold=threshold, threshold_trainable=trainable, refractory_trainable=trainable)
    return Classifier(Inputs(5), 2, ModelSettings(layers=2, channels=4), neuron)


@STORAGES
def test_the_key_says_what_the_number_is(storage: Storage) -> None:
    trained, fixed = (parameter(storage, trainable=each).state_dict() for each in (True, False))
    assert list(trained) == [storage.name]
    assert list(fixed) == ["value"]
    assert torch.equal(fixed["value"], VALUES)


@STORAGES
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_values_stay_when_they_are_loaded_where_a_parameter_is_trained_or_fixed(
    storage: Storage, before: bool, after: bool
) -> None:
    loaded = ChannelParameter(3, 0.3, storage, trainable=after)
    loaded.load_state_dict(parameter(storage, trainable=before).state_dict())
    torch.testing.assert_close(loaded(), VALUES)
    assert loaded.stored.requires_grad == after


@pytest.mark.parametrize("trained", [False, True])
def test_a_network_with_a_threshold_of_2_has_one_of_2_after_loading(trained: bool) -> None:
    loaded = network(1.0, trainable=not trained)
    loaded.load_state_dict(network(2.0, trainable=trained).state_dict())
    for neuron in loaded.neurons:
        assert neuron.parameter_summary() == pytest.approx(
            {"leak": 0.5, "threshold": 2.0, "refractory": 0.5, "decay": 0.5}
        )


@pytest.mark.parametrize("trained", [False, True])
def test_a_file_from_before_there_were_two_keys_means_what_it_meant(trained: bool) -> None:
    written = network(2.0, trainable=trained)
    old: dict[str, Tensor] = {}
    for key, tensor in written.state_dict().items():
        place, _, name = key.rpartition(".")
        new = name in ("value", "logarithm", "logit", "inverse_softplus")
        old[f"{place}._stored" if new else key] = tensor
    assert sum(key.endswith("._stored") for key in old) == 2 * 4
    loaded = network(1.0, trainable=trained)
    loaded.load_state_dict(old)
    inputs = torch.randint(5, (2, 20)), torch.tensor([20, 20])
    assert torch.equal(loaded.eval()(*inputs), written.eval()(*inputs))
    assert set(old) >= {"backbone.blocks.0.neuron_at.after_ssm.leak._stored"}  # what is given is left as it was


def test_a_fixed_value_that_no_trained_parameter_can_have_gets_a_sentence() -> None:
    without = ChannelParameter(3, 0.0, INVERSE_SOFTPLUS, trainable=False).state_dict()
    with pytest.raises(RuntimeError, match=r"value is at the end of its range, which no trained parameter is; keep it"):
        ChannelParameter(3, 0.3, INVERSE_SOFTPLUS, trainable=True).load_state_dict(without)


def test_a_state_without_the_parameter_is_refused_as_ever() -> None:
    for state in ({}, {"logit": VALUES}):
        with pytest.raises(RuntimeError, match="Missing key"):
            parameter(LOGARITHM, trainable=True).load_state_dict(state)


def copied(module: Any) -> Any:
    return copy.deepcopy(module)


def pickled(module: Any) -> Any:
    return pickle.loads(pickle.dumps(module))


@pytest.mark.parametrize("again", [copied, pickled])
@pytest.mark.parametrize("trainable", [False, True])
def test_a_copy_can_be_scaled_like_the_original(again: Any, trainable: bool) -> None:
    other = again(parameter(LOGARITHM, trainable=trainable))
    other.scale(3.0)
    torch.testing.assert_close(other(), 3 * VALUES)


@pytest.mark.parametrize(("charge", "decay"), [(1.0, 0.0), (0.5, 0.5), (2.0, 0.97), (0.0, 0.9)])
def test_a_charge_is_what_a_spikes_refractory_current_takes_off_in_all(charge: float, decay: float) -> None:
    settings = RefractoryLIFSettings(charge=charge, decay=decay, refractory_trainable=False)
    current = settings.refractory * torch.tensor(decay, dtype=torch.float64).pow(torch.arange(2000))
    assert float(current.sum()) == pytest.approx(charge)
    assert settings == RefractoryLIFSettings(
        refractory=settings.refractory, charge=charge, decay=decay, refractory_trainable=False
    )


@pytest.mark.parametrize("charge", [-0.5, float("nan"), float("inf")])
def test_a_charge_out_of_range_is_a_sentence(charge: float) -> None:
    with pytest.raises(ValueError, match=r"^charge must be a number of thresholds"):
        RefractoryLIFSettings(charge=charge)


def test_a_neuron_without_a_charge_has_the_identity_that_it_had() -> None:
    assert "charge" not in identity_of(RefractoryLIFSettings())
    assert identity_of(RefractoryLIFSettings(charge=1.0))["charge"] == 1.0
