"""Corruptions: what each does to a network or its input, and that it does nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.harness.config.robustness import RANGES
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import Flat, Sequences, Split, collate
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.listops import ListOps
from spike_ssm.harness.data.tasks.text import TextSettings
from spike_ssm.harness.robustness.corruptions import (
    corrupted_tokens,
    encoder_deviation,
    input_noise,
    other_length,
    shortened,
    spike_deletion,
    spike_insertion,
    threshold_jitter,
)
from spike_ssm.harness.robustness.evaluator import Bench, evaluate_robustness
from spike_ssm.harness.robustness.rounding import rounded_weights
from spike_ssm.harness.robustness.trained import Trained
from spike_ssm.harness.system.seeds import torch_generator
from spike_ssm.harness.training.evaluation import Evaluation, evaluate
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.models.network import Network
from spike_ssm.results.errors import UserError

CPU = torch.device("cpu")
SettingsOf = Callable[..., Settings]
Corrupt = Callable[[Network, float, torch.Generator], AbstractContextManager[None]]
INSIDE: dict[str, Corrupt] = {
    "input_noise": input_noise,
    "spike_deletion": spike_deletion,
    "spike_insertion": spike_insertion,
    "threshold_jitter": threshold_jitter,
    "weight_bits": lambda network, bits, _: rounded_weights(network, bits),
}


def preparer(cache: Path) -> Callable[[TaskSettings], Dataset]:
    return lambda task: ListOps(task).prepare(cache, cache)


def generator(seed: int = 0) -> torch.Generator:
    return torch_generator(seed, "corruption", 0)


def network_of(settings: Settings, data: Dataset) -> Network:
    return Trainer(settings, data, lambda _: None).network.eval()


def answers(network: Network, split: Split) -> Evaluation:
    return evaluate(network, split, 16, CPU)


def same(first: Evaluation, second: Evaluation) -> bool:
    return torch.equal(first.predictions, second.predictions) and torch.equal(first.scores, second.scores)


def spikes_of(network: Network, split: Split) -> tuple[list[Tensor], Tensor]:
    """Of every layer, [B, H, L], and the mask [B, 1, L] of real tokens."""
    found: list[Tensor] = []
    hooks = [neuron.register_forward_hook(lambda _, __, spikes: found.append(spikes)) for neuron in network.neurons]
    batch = collate(split, np.arange(len(split)))
    with torch.no_grad():
        network(batch.inputs, batch.lengths)
    for hook in hooks:
        hook.remove()
    return found, (torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None])[:, None]


# --- at the level that changes nothing


@pytest.mark.parametrize("neuron", ["refractory_lif", "pspike", "gelu"])
@pytest.mark.parametrize("corruption", INSIDE)
def test_a_network_corrupted_at_the_neutral_level_answers_bit_for_bit_as_before(
    tiny: SettingsOf, data: Dataset, corruption: str, neuron: str
) -> None:
    network = network_of(tiny(f"neuron={neuron}"), data)
    clean = answers(network, data.test)
    with INSIDE[corruption](network, RANGES[corruption].neutral, generator()):
        assert same(answers(network, data.test), clean)


def test_tokens_replaced_with_probability_0_and_sequences_of_their_whole_length_are_the_same(data: Dataset) -> None:
    for other in (corrupted_tokens(data.test, 0, data.vocabulary, generator()), shortened(data.test, 1)):
        assert [row.tolist() for row in other.sequences[0]] == [row.tolist() for row in data.test.sequences[0]]


# --- inputs

rows = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=6)


def split_of(sequences: list[list[int]]) -> Split:
    offsets = np.cumsum([0, *map(len, sequences)])
    flat = Flat(np.concatenate([np.array(row, np.uint8) for row in sequences]), offsets)
    return Split((Sequences(flat),), np.zeros(len(sequences), np.int64))


@hypothesis_settings(deadline=None)
@given(rows, st.floats(0, 1), st.floats(0, 1), st.integers(0, 100))
def test_replaced_tokens_are_others_of_the_vocabulary_and_a_larger_share_replaces_the_same_and_more(
    sequences: list[list[int]], share: float, other: float, seed: int
) -> None:
    split = split_of(sequences)
    less, more = (corrupted_tokens(split, each, 10, generator(seed)) for each in sorted((share, other)))
    before, some, many = (each.sequences[0].parts[0].values for each in (split, less, more))
    assert (many[some != before] == some[some != before]).all()
    assert ((many >= 1) & (many <= 9)).all(), "never padding, 0"
    assert [len(row) for row in more.sequences[0]] == [len(row) for row in sequences]
    every = corrupted_tokens(split, 1, 10, generator(seed)).sequences[0].parts[0].values
    assert (every != before).all()


def test_pixels_are_replaced_by_other_grey_levels(data: Dataset) -> None:
    split = split_of([[0, 255, 7] * 1000])
    values = corrupted_tokens(split, 1, None, generator()).sequences[0].parts[0].values
    assert values.dtype == np.uint8
    assert len(set(values.tolist())) == 256


@hypothesis_settings(deadline=None)
@given(rows, st.floats(0.01, 1))
def test_shortened_sequences_are_first_parts(sequences: list[list[int]], factor: float) -> None:
    for row, part in zip(sequences, shortened(split_of(sequences), factor).sequences[0], strict=True):
        assert part.tolist() == row[: math.ceil(factor * len(row))]


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_listops_of_another_length_is_new_and_within_both_bounds_times_the_factor(
    tiny: SettingsOf, data: Dataset, cache: Path, factor: float
) -> None:
    task = tiny().task
    new = other_length(task, factor, data.train, preparer(cache))
    assert new is not None
    lengths = new.lengths - 1  # the end token
    assert lengths.min() > round(factor * task.min_length)
    assert lengths.max() < round(factor * task.max_length)
    assert lengths.max() > task.max_length or factor < 1
    seen = {row.tobytes() for row in data.train.sequences[0]}
    assert not seen & {row.tobytes() for row in new.sequences[0]}


def test_the_noise_is_the_same_for_every_neuron_and_not_at_padding(tiny: SettingsOf, data: Dataset) -> None:
    noises = []
    for neuron in ("refractory_lif", "gelu"):
        network = network_of(tiny(f"neuron={neuron}"), data)
        batch = collate(data.test, np.arange(16))
        outputs: list[Tensor] = []
        for deviation in (0.0, 1.0):
            with input_noise(network, deviation, generator()):
                hook = network.backbone.encoder.register_forward_hook(lambda _, __, x: outputs.append(x))  # noqa: B023
                with torch.no_grad():
                    network(batch.inputs, batch.lengths)
                hook.remove()
        noises.append(outputs[1] - outputs[0])
        padding = torch.arange(batch.inputs.shape[1]) >= batch.lengths[:, None]
        assert padding.any()
        assert (noises[-1][padding] == 0).all()
        assert noises[-1][~padding].std() == pytest.approx(1, rel=0.1)
    torch.testing.assert_close(*noises, rtol=0, atol=1e-5)


def test_the_deviation_of_the_encoder_is_that_over_real_tokens(tiny: SettingsOf, data: Dataset) -> None:
    network = network_of(tiny(), data)
    with encoder_deviation(network) as found:
        answers(network, data.test)
    tokens = torch.from_numpy(data.test.sequences[0].parts[0].values.astype(np.int64))
    expected = network.backbone.encoder(tokens).detach().std(correction=0)
    assert found == [pytest.approx(float(expected), rel=1e-5)]


# --- spikes and thresholds


def test_a_deletion_of_all_spikes_silences_every_layer(tiny: SettingsOf, data: Dataset) -> None:
    network = network_of(tiny("model.layers=2"), data)
    with spike_deletion(network, 1.0, generator()):
        spikes, mask = spikes_of(network, data.test)
    assert all(not (layer * mask).any() for layer in spikes)


@pytest.mark.parametrize("corrupt", [spike_deletion, spike_insertion])
def test_a_higher_probability_changes_the_same_spikes_and_more_and_none_at_padding(
    tiny: SettingsOf, data: Dataset, corrupt: Corrupt
) -> None:
    network = network_of(tiny(), data)
    clean, mask = spikes_of(network, data.test)
    found = []
    for probability in (0.3, 0.6):
        with corrupt(network, probability, generator()):
            found.append(spikes_of(network, data.test)[0][0] - clean[0])
    assert torch.equal(found[1][found[0] != 0], found[0][found[0] != 0])
    assert (found[1] != 0).sum() > (found[0] != 0).sum() > 0
    assert not (found[1] * ~mask).any()


def test_inserted_spikes_are_the_same_for_every_neuron(tiny: SettingsOf, data: Dataset) -> None:
    inserted = []
    for neuron in ("lif_soft", "binary"):
        network = network_of(tiny(f"neuron={neuron}", "neuron.threshold=1e6"), data)
        with spike_insertion(network, 0.3, generator()):
            inserted.append(spikes_of(network, data.test)[0][0])
    assert torch.equal(*inserted)
    assert 0.1 < inserted[0].mean() < 0.4


@pytest.mark.parametrize("shared", [True, False])
def test_every_channels_threshold_has_a_factor_of_its_own_that_stays(
    tiny: SettingsOf, data: Dataset, shared: bool
) -> None:
    network = network_of(tiny(f"neuron.threshold_shared={shared}", "model.channels=64"), data)
    (neuron,) = network.neurons
    assert neuron.threshold is not None
    before = neuron.threshold().detach()
    with threshold_jitter(network, 0.3, generator()):
        first, second = neuron.threshold().detach(), neuron.threshold().detach()
    assert torch.equal(first, second)
    logarithms = (first / before).log()
    assert len(set(logarithms.tolist())) == 64
    assert logarithms.std() == pytest.approx(0.3, rel=0.3)
    assert torch.equal(neuron.threshold(), before)


# --- lengths


def test_other_tasks_than_listops_have_shorter_sequences_but_no_longer_ones(
    tiny: SettingsOf, data: Dataset, cache: Path
) -> None:
    settings = tiny("robustness=standard")
    weights = network_of(settings.trained(), data).state_dict()
    other = replace(settings, task=TextSettings())
    bench = Bench(other, settings.robustness, data, weights, preparer(cache))  # type: ignore[arg-type]
    assert bench.row("length", 0.5)["examples"] == len(data.test)
    longer = bench.row("length", 2.0)
    assert (longer["accuracy"], longer["reason"]) == (None, "no longer sequences to be had")


# --- all of them, of a trained network


@pytest.fixture(scope="module")
def trained(composer: Any, cache: Path) -> Iterator[tuple[Settings, Dataset, Trained]]:
    """A network that has learned something, and every corruption at an extreme level."""
    words = {"task.min_length": 3, "task.max_length": 12, "task.train": 3000, "task.validation": 200, "task.test": 300}
    words |= {"model.layers": 1, "model.channels": 16, "model.state_size": 4, "optim.epochs": 3}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = composer.settings({**words, "robustness": "standard", "robustness.token_corruption": [0.5, 1.0]})
    data, kept = ListOps(settings.task).prepare(cache, cache), {}
    row = run_training(settings.trained(), data, Hooks(keep=kept.update))
    yield settings, data, Trained("0123456789ab", kept, row["test_accuracy"], row["convolution"])
    torch.set_num_threads(before)


def test_random_tokens_leave_about_what_guessing_gets(trained: tuple[Settings, Dataset, Trained], cache: Path) -> None:
    settings, data, run = trained
    bench = Bench(settings, settings.robustness, data, run.weights, preparer(cache))  # type: ignore[arg-type]
    accuracy = bench.row("token_corruption", 1.0)["accuracy"]
    guessing = data.baselines.majority_accuracy
    assert run.test_accuracy > guessing + 0.15
    assert accuracy < guessing + 0.08


def test_after_every_corruption_the_network_is_what_it_was(
    trained: tuple[Settings, Dataset, Trained], cache: Path
) -> None:
    settings, data, run = trained
    assert settings.robustness is not None
    bench = Bench(settings, settings.robustness, data, run.weights, preparer(cache))
    first = [bench.row(name, level) for name, levels in settings.robustness.levels().items() for level in levels]
    assert {row["corruption"] for row in first} == set(RANGES)
    assert all(torch.equal(value, run.weights[name]) for name, value in bench.network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in bench.network.modules())
    assert same(evaluate(bench.network, data.test, settings.optim.batch_size, CPU), bench.clean.evaluation)
    assert first[:6] == [bench.row(row["corruption"], row["level"]) for row in first[:6]], "the same once more"


def test_weights_that_do_not_reach_the_stored_accuracy_are_refused(
    trained: tuple[Settings, Dataset, Trained], cache: Path
) -> None:
    settings, data, run = trained
    other = Trained(run.run_id, run.weights, run.test_accuracy - 1 / len(data.test), run.convolution)
    with pytest.raises(UserError, match=r"answer .* of the test set rightly here, but .* when they were trained"):
        evaluate_robustness(settings, data, other, preparer(cache), lambda _: None)


@pytest.mark.parametrize(
    ("words", "corruption", "level", "reason"),
    [
        (("neuron=gelu",), "spike_deletion", 0.1, "does not spike"),
        (("neuron=gelu",), "threshold_jitter", 0.1, "has no threshold"),
        (("neuron=psn",), "length", 2.0, "too long for its matrix"),
        (("neuron=psn", "neuron.causal=false"), "state_bits", 4, "cannot be streamed"),
        (("model.spikes_per_direction=true",), "state_bits", 4, "cannot be streamed"),
    ],
)
def test_what_has_no_meaning_for_a_network_is_said_instead_of_left_out(
    tiny: SettingsOf, data: Dataset, cache: Path, words: tuple[str, ...], corruption: str, level: float, reason: str
) -> None:
    settings = tiny("robustness=standard", *words)
    weights = network_of(settings.trained(), data).state_dict()
    row = Bench(settings, settings.robustness, data, weights, preparer(cache)).row(corruption, level)  # type: ignore[arg-type]
    assert (row["reason"], row["accuracy"], row["firing_rate"]) == (reason, None, None)
