"""What a run keeps of the inside of its neurons, and that keeping it changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.splits import Flat, Sequences, Split, collate
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.training.fit import run_training
from spike_ssm.harness.training.network_measures import FOLLOWING
from spike_ssm.harness.training.traces import EXAMPLES, example_input, in_a_row, over_time, traces
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.models.activity import LayerActivity, input_deviations, record_activity
from spike_ssm.models.network import Network
from spike_ssm.results.raster import RASTER_CHANNELS, RASTER_STEPS, pack_raster, unpack_raster
from spike_ssm.results.reading import read_run
from spike_ssm.results.schema import INTERVAL_EDGES, POTENTIAL_EDGES, TIME_BINS, TRACES
from spike_ssm.results.store import write_run

CPU = torch.device("cpu")
COLUMNS = {TRACES.value_type.field(place).name for place in range(TRACES.value_type.num_fields)}
HARD_THRESHOLD = ("refractory_lif", "lif_hard", "alif", "binary", "psn", "sdn")

SettingsOf = Callable[..., Settings]


def run_of(settings: Settings, data: Dataset) -> dict[str, Any]:
    return run_training(settings, data)


def network_of(settings: Settings, data: Dataset) -> Network:
    return Trainer(settings, data, lambda _: None).network.eval()


@torch.no_grad()
def traced(network: Network, test: Split) -> tuple[list[dict[str, Any]], list[LayerActivity], list[Tensor]]:
    """The traces, and the activity and the spikes [B, H, L] of the first examples."""
    spikes: list[Tensor] = []
    hooks = [neuron.register_forward_hook(lambda _, __, out: spikes.append(out)) for neuron in network.neurons]
    batch = collate(test, np.arange(min(EXAMPLES, len(test))))
    with record_activity(network) as activity:
        network(batch.inputs, batch.lengths)
    for hook in hooks:
        hook.remove()
    rows = traces(network, test, activity, CPU, seed=0)
    assert rows is not None
    assert all(set(row) == COLUMNS for row in rows)
    return rows, activity, spikes


def texts(lengths: list[int]) -> Split:
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 6, length) for length in lengths]
    return Split((Sequences(Flat(np.concatenate(rows), np.cumsum([0, *lengths]))),), np.zeros(len(lengths), int))


# --- over time


@given(st.lists(st.lists(st.integers(1, 150), min_size=1, max_size=4), min_size=1, max_size=3), st.integers(0, 2**31))
def test_rates_over_time_add_up_to_the_firing_rate_and_padding_is_never_counted(
    batches: list[list[int]], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    activity = LayerActivity()
    of_each: list[Tensor] = []
    for lengths in batches:
        shape = (len(lengths), 3, max(lengths) + 2)
        spikes = (torch.rand(shape, generator=generator) < 0.3).float()  # in the padding, too
        mask = (torch.arange(shape[2]) < torch.tensor(lengths)[:, None])[:, None]
        activity.add(torch.zeros(shape), spikes, mask, None)
        of_each += [row[:, :length] for row, length in zip(spikes, lengths, strict=True)]
    found = over_time(activity)
    tokens, rates, width = found["tokens_over_time"], found["rate_over_time"], found["bin_steps"]
    longest = max(map(max, batches))
    assert (len(tokens) - 1) * width < longest <= len(tokens) * width
    assert len(tokens) <= TIME_BINS
    assert sum(tokens) == sum(map(sum, batches))
    assert np.average(rates, weights=tokens) == pytest.approx(activity.firing_rate)
    for place, rate in enumerate(rates):
        within = torch.cat([each[:, place * width : (place + 1) * width] for each in of_each], dim=1)
        assert rate == pytest.approx(float(within.mean()))


def test_a_run_counts_every_real_token_of_its_test_set_over_time(tiny: SettingsOf, data: Dataset) -> None:
    run = run_of(tiny("model.layers=2"), data)
    for trace, layer in zip(run["traces"], run["layers"], strict=True):
        assert trace["layer"] == layer["layer"]
        assert sum(trace["tokens_over_time"]) == data.test.lengths.sum()
        rate = np.average(trace["rate_over_time"], weights=trace["tokens_over_time"])
        assert rate == pytest.approx(layer["firing_rate"])


# --- spikes in a row


@pytest.mark.parametrize("neuron", ["refractory_lif", "gelu"])
def test_a_run_keeps_how_its_spikes_follow_each_other_where_its_neurons_spike(
    tiny: SettingsOf, data: Dataset, neuron: str
) -> None:
    run = run_of(tiny(f"neuron={neuron}", "model.layers=2", "model.initial_firing_rate=0.3"), data)
    for trace, layer in zip(run["traces"] or [{}, {}], run["layers"], strict=True):
        if neuron == "gelu":
            assert {layer[name] for name in FOLLOWING} == {None}
            continue
        runs, intervals = sum(trace["runs"]), sum(trace["intervals"])
        spikes = runs + trace["intervals"][0]
        assert spikes == round(layer["firing_rate"] * 8 * data.test.lengths.sum()), "8 channels"
        assert layer["run_length"] == pytest.approx(spikes / runs)
        assert 0 < intervals < spikes, "a train of spikes has one interval fewer"
        assert trace["intervals"][0] / spikes <= layer["spike_after_spike"] <= 1
    if neuron == "refractory_lif":
        for name in FOLLOWING:
            assert run[name] == pytest.approx(np.mean([layer[name] for layer in run["layers"]]))


@pytest.mark.parametrize(("steps", "place"), [(1, 0), (4, 3), (5, 4), (6, 4), (1000, 19), (1024, 20), (1025, 20)])
def test_intervals_are_counted_in_the_bin_of_their_steps(steps: int, place: int) -> None:
    spikes = torch.zeros(1, 1, 1030)
    spikes[..., [0, steps]] = 1
    activity = LayerActivity(intervals=True)
    activity.add(spikes, spikes, None, None)
    counts = in_a_row(activity)
    assert np.nonzero(counts["intervals"])[0].tolist() == [place]
    assert len(counts["runs"]) == len(INTERVAL_EDGES)


# --- membrane potentials


@pytest.mark.parametrize("neuron", HARD_THRESHOLD)
def test_potentials_at_or_above_the_threshold_are_as_frequent_as_spikes(
    tiny: SettingsOf, data: Dataset, neuron: str
) -> None:
    network = network_of(tiny(f"neuron={neuron}", "model.layers=2", "model.initial_firing_rate=0.2"), data)
    rows, activity, _ = traced(network, data.test)
    threshold = 1 + POTENTIAL_EDGES.index(1.0)
    for row, layer in zip(rows, activity, strict=True):
        assert len(row["potential"]) == len(POTENTIAL_EDGES) + 1
        assert sum(row["potential"]) == 8 * data.test.lengths[:EXAMPLES].sum(), "8 channels"
        assert sum(row["potential"][threshold:]) == round(layer.firing_rate * sum(row["potential"])) > 0


def test_potentials_are_counted_in_thresholds(tiny: SettingsOf, data: Dataset) -> None:
    """The threshold is a gauge: with the input it may be scaled, and no spike and no count changes."""
    network = network_of(tiny("neuron=binary"), data)
    plain, _, _ = traced(network, data.test)
    (block,) = network.blocks
    assert block.neuron.threshold is not None
    block.neuron.threshold.scale(4.0)
    block.ssm.register_forward_hook(lambda _, __, x: 4 * x)
    scaled, _, _ = traced(network, data.test)
    assert scaled[0]["potential"] == plain[0]["potential"]


# --- one example's spikes


@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 2**31))
def test_a_raster_is_unpacked_as_it_was_packed(channels: int, steps: int, seed: int) -> None:
    spikes = np.random.default_rng(seed).random((channels, steps)) < 0.3
    assert (unpack_raster(pack_raster(spikes), steps) == spikes).all()


@pytest.mark.parametrize(("channels", "length"), [(8, 30), (40, RASTER_STEPS + 88)])
def test_the_raster_is_what_the_network_sends_for_its_first_example(
    tiny: SettingsOf, data: Dataset, channels: int, length: int
) -> None:
    words = ("model.layers=2", f"model.channels={channels}", "model.initial_firing_rate=0.2")
    rows, _, spikes = traced(network_of(tiny(*words), data), texts([length, length + 50]))
    shown = min(channels, RASTER_CHANNELS)
    chosen = [place * channels // shown for place in range(shown)]
    for row, sent in zip(rows, spikes, strict=True):
        assert row["raster_steps"] == min(length, RASTER_STEPS)
        found = unpack_raster(row["raster"], row["raster_steps"])
        assert (found == sent[0, chosen, : row["raster_steps"]].bool().numpy()).all()
        assert 0 < found.mean() < 1


def test_the_input_of_that_example_is_kept_as_texts_or_grey_levels(tiny: SettingsOf, data: Dataset) -> None:
    run = run_of(tiny(), data)
    first = data.test.sequences[0][0]
    assert run["example_symbols"] == [data.facts.symbols[token] for token in first]
    assert "example_levels" not in run
    assert example_input(data.test, None) == {"example_levels": [token / 255 for token in first]}


# --- neurons that have no spikes, or no bare ones


def test_neurons_that_do_not_spike_leave_no_traces(tiny: SettingsOf, data: Dataset) -> None:
    assert run_of(tiny("neuron=gelu"), data)["traces"] is None


def test_expected_spikes_are_no_raster(tiny: SettingsOf, data: Dataset) -> None:
    network = network_of(tiny("neuron=pspike", "neuron.expectation_at_evaluation=true"), data)
    (row,), _, _ = traced(network, data.test)
    assert row["raster"] is row["raster_steps"] is None
    assert sum(row["potential"]) > 0


# --- what recording costs


@pytest.mark.parametrize("neuron", ["refractory_lif", "pspike"])
def test_recording_changes_no_number_of_a_run(
    tiny: SettingsOf, data: Dataset, neuron: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("model.norm=batch", "model.dropout=0.2", "model.initial_firing_rate=0.1", "optim.epochs=2")
    settings = tiny(f"neuron={neuron}", *words)
    recorded = run_of(settings, data)
    monkeypatch.setattr("spike_ssm.harness.training.testing.traces", lambda *_: None)
    monkeypatch.setattr(
        "spike_ssm.harness.training.trainer.input_deviations", lambda network, *_: [None] * len(network.blocks)
    )
    plain = run_of(settings, data)
    for row in (recorded, plain):
        row.pop("traces")
        assert (row is plain) == (row["layers"][0].pop("input_std_before") is None)
        for epoch in row["epochs"]:
            del epoch["seconds"]
    timed = {name for name in plain if name.endswith(("_per_s", "_per_step", "_mib"))}
    assert {k: v for k, v in recorded.items() if k not in timed} == {k: v for k, v in plain.items() if k not in timed}


def test_the_spread_of_the_input_before_training_is_that_of_the_first_step(tiny: SettingsOf, data: Dataset) -> None:
    settings = tiny("model.layers=2", "model.norm=batch", "model.initial_firing_rate=0.1", "model.dropout=0")
    trainer = Trainer(settings, data, lambda _: None)
    before = [summary["input_std"] for summary in trainer.past.parameters_before]
    seen: list[list[float]] = []
    with record_activity(trainer.network) as layers:
        trainer.network.register_forward_hook(lambda *_: seen.append([layer.input_std for layer in layers]))
        trainer.epoch()
    assert before == pytest.approx(seen[0])
    assert [layer["input_std_before"] for layer in run_of(settings, data)["layers"]] == before


def test_looking_at_the_input_leaves_the_network_as_it_is(tiny: SettingsOf, data: Dataset) -> None:
    network = network_of(tiny("model.norm=batch"), data).train()
    before = copy.deepcopy(network.state_dict())
    batch = collate(data.train, np.arange(8))
    input_deviations(network, batch.inputs, batch.lengths)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(block.observers for block in network.blocks)


def test_traces_are_read_as_they_were_written_and_add_less_than_30_kib_to_a_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [
        {
            "layer": layer,
            "bin_steps": 512,
            "rate_over_time": generator.random(TIME_BINS).tolist(),
            "tokens_over_time": generator.integers(0, 2**40, TIME_BINS).tolist(),
            "intervals": generator.integers(0, 2**40, len(INTERVAL_EDGES)).tolist(),
            "runs": generator.integers(0, 2**40, len(INTERVAL_EDGES)).tolist(),
            "potential": generator.integers(0, 2**40, len(POTENTIAL_EDGES) + 1).tolist(),
            "raster": pack_raster(generator.random((RASTER_CHANNELS, RASTER_STEPS)) < 0.3),
            "raster_steps": RASTER_STEPS,
        }
        for layer in range(8)
    ]
    with_traces, without = (
        write_run(tmp_path, {"id": name, "status": "done", "traces": kept}) for name, kept in (("a", rows), ("b", None))
    )
    assert read_run(with_traces)["traces"] == rows
    assert with_traces.stat().st_size - without.stat().st_size < 30 * 1024
