"""Comparisons are fair: for one seed, neurons meet the same data in the same order, in the same network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

import spike_ssm.harness.training.trainer
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.splits import Batch
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.models.neurons import NEURONS

NAMES = sorted(NEURONS)


@pytest.fixture
def trainers(tiny: Callable[..., Settings], data: Dataset) -> Callable[..., dict[str, Trainer]]:
    """A trainer for every neuron, at one seed, with further words."""
    return lambda *more: {name: Trainer(tiny(f"neuron={name}", *more), data, lambda _: None) for name in NAMES}


def network_without_neurons(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in trainer.network.state_dict().items() if ".neuron_at." not in name}


def test_every_neuron_starts_in_the_same_network(trainers: Any) -> None:
    found = {name: network_without_neurons(trainer) for name, trainer in trainers().items()}
    reference = found["gelu"]
    assert any(".ssm." in name for name in reference)
    for name, weights in found.items():
        assert weights.keys() == reference.keys(), name
        for key, tensor in weights.items():
            assert torch.equal(tensor, reference[key]), (name, key)


def test_another_seed_is_another_network(trainers: Any) -> None:
    first, second = (network_without_neurons(trainers(f"seed={seed}")["gelu"]) for seed in (0, 1))
    assert any(not torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_a_calibrated_start_changes_neurons_only(trainers: Any) -> None:
    plain, calibrated = trainers()["lif_soft"], trainers("model.initial_firing_rate=0.2")["lif_soft"]
    for key, tensor in network_without_neurons(plain).items():
        assert torch.equal(tensor, network_without_neurons(calibrated)[key]), key
    before, after = (each.network.neurons[0].state_dict() for each in (plain, calibrated))
    assert any(not torch.equal(tensor, after[key]) for key, tensor in before.items())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gelu"])
def test_every_neuron_sees_the_batches_that_gelu_sees(
    tiny: Callable[..., Settings], data: Dataset, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seen: list[Tensor] = []
    batches = spike_ssm.harness.training.trainer.batches

    def noted(*args: Any, **kwargs: Any) -> Iterator[Batch]:
        for batch in batches(*args, **kwargs):
            seen.append(batch.inputs.clone())
            yield batch

    monkeypatch.setattr(spike_ssm.harness.training.trainer, "batches", noted)
    of: dict[str, list[Tensor]] = {}
    for neuron in ("gelu", name):
        seen.clear()
        run_training(tiny(f"neuron={neuron}", "optim.epochs=2", "test=false"), data)
        of[neuron] = list(seen)
    assert len(of["gelu"]) == len(of[name]) > 2
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(of["gelu"], of[name], strict=True))


def test_splits_share_no_example(data: Dataset) -> None:
    splits = {name: examples(getattr(data, name)) for name in ("train", "validation", "test")}
    assert all(splits.values())
    for (one, first), (other, second) in combinations(splits.items(), 2):
        assert not first & second, (one, other)


def examples(split: Any) -> set[tuple[int, ...]]:
    """The sequences of a split; short ones, of which a generator has few, left out."""
    (sequences,) = split.sequences
    found = (tuple(sequences[index].tolist()) for index in range(len(split)))
    return {sequence for sequence in found if len(sequence) > 8}


def test_training_is_told_apart_from_testing(tiny: Callable[..., Settings], data: Dataset) -> None:
    """The test set decides nothing: another one leaves every weight and every validation figure as it is."""
    swapped = Dataset(**{**vars(data), "test": data.validation})
    kept: list[dict[str, Tensor]] = []
    rows = [run_training(tiny(), each, Hooks(keep=kept.append)) for each in (data, swapped)]
    assert rows[0]["test_accuracy"] != rows[1]["test_accuracy"]
    assert all(torch.equal(tensor, kept[1][key]) for key, tensor in kept[0].items())
    for name in ("validation_accuracy", "best_epoch"):
        assert rows[0][name] == rows[1][name]
