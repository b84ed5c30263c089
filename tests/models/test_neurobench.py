"""NeuroBench's numbers of a network of ours: those that a run stores too, and what each difference consists of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from neurobench.benchmarks import Benchmark
from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
from neurobench.metrics.workload import ActivationSparsity, ClassificationAccuracy, SynapticOperations
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from spike_ssm.harness.sweep import main
from spike_ssm.harness.training.loaded import LoadedRun, load_run
from spike_ssm.models.activity import LayerActivity, record_activity
from spike_ssm.models.network import Classifier, Inputs, ModelSettings
from spike_ssm.models.neurobench import MeasuredClassifier
from spike_ssm.models.neurons import NEURONS
from spike_ssm.models.operations import PARTS
from tests.harness.conftest import Place, called

CHANNELS, LAYERS, CLASSES, LENGTH, SEQUENCES = 8, 2, 5, 40, 12
MODEL = ModelSettings(layers=LAYERS, channels=CHANNELS, state_size=4)
TOKENS, NUMBERS = Inputs(18), Inputs(None, 3)
STATIC = [ParameterCount, Footprint, ConnectionSparsity]
WORKLOAD = [ActivationSparsity, ClassificationAccuracy, SynapticOperations]


def classifier(neuron: str = "refractory_lif", inputs: Inputs = TOKENS) -> Classifier:
    """A network that is not trained, whose running statistics are not those of the start."""
    torch.manual_seed(0)
    net = Classifier(inputs, CLASSES, MODEL, NEURONS[neuron][1]())
    net(given(inputs), torch.full((SEQUENCES,), LENGTH))
    return net.eval()


def given(inputs: Inputs) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if inputs.vocabulary is None:
        return torch.randn(SEQUENCES, LENGTH, inputs.features, generator=generator)
    return torch.randint(0, inputs.vocabulary, (SEQUENCES, LENGTH), generator=generator)


def measured(net: Classifier, x: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
    """NeuroBench's results over batches of four sequences. Without labels the network is wrong about three of them."""
    if labels is None:
        labels = net(x, torch.full((len(x),), LENGTH)).argmax(-1)
        labels[:3] = (labels[:3] + 1) % CLASSES
    batches = DataLoader(TensorDataset(x, labels), batch_size=4)
    decided = [lambda scores: scores.argmax(-1)]
    results: dict[str, Any] = Benchmark(MeasuredClassifier(net), batches, [], decided, [STATIC, WORKLOAD]).run(
        quiet=True
    )
    return results


@torch.no_grad()
def recorded(net: Classifier, x: Tensor) -> list[LayerActivity]:
    with record_activity(net) as activity:
        net(x, torch.full((len(x),), LENGTH))
    return activity


def of_a_sequence(net: Classifier, part: str, rates: list[float]) -> tuple[float, float]:
    """Our multiply-accumulates and accumulates of a part of the network, in a sequence of `LENGTH` tokens."""
    found = [each for each in net.operations_per_step(LENGTH) if each.name == part]
    counts = [each.operations.at(0.0 if each.layer is None else rates[each.layer]) for each in found]
    return LENGTH * sum(macs for macs, _ in counts), LENGTH * sum(accumulates for _, accumulates in counts)


RUN = (
    *("+sweep=one", "task.classes=5", "task.delay=20", f"task.length={LENGTH}"),
    *("task.train=100", "task.validation=20", "task.test=40", "optim.batch_size=20", "optim.epochs=2"),
    *("model.layers=2", "model.channels=8", "model.state_size=4", "estimate=false", "timing=false"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    """A trained run with its stored row: the one of its sweep."""
    folder = tmp_path_factory.mktemp("one")
    place = Place(folder, folder)
    grid = {"task": ["delayed_recall"], "neuron": ["refractory_lif"]}
    place.sweep_file("one", grid=grid)
    paths = (f"paths.results={place.results}", f"paths.reports={place.reports}", f"paths.cache={place.cache}")
    done = called(main, ["--config-dir", str(folder / "config"), *RUN, *paths])
    assert done.status == 0, done.err
    return load_run("one/refractory_lif/0", place.results)


@pytest.fixture(scope="module")
def stored(run: LoadedRun) -> dict[str, Any]:
    """The columns of its result."""
    return dict(run.rows.iloc[0])


@pytest.fixture(scope="module")
def theirs(run: LoadedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """NeuroBench's results on the same test set."""
    folder = tmp_path_factory.mktemp("data")
    test = run.task.prepare(folder, folder).test
    x = torch.stack([torch.from_numpy(test.sequences[0][n].astype(np.int64)) for n in range(len(test))])
    assert isinstance(run.network, Classifier)
    return measured(run.network, x, torch.from_numpy(test.labels.astype(np.int64)))


def test_the_stored_parameters_and_accuracy_are_the_same(stored: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert theirs["ParameterCount"] == stored["all_parameters"] > stored["parameters"]
    assert theirs["ClassificationAccuracy"] == pytest.approx(stored["test_accuracy"])
    assert 0 < stored["test_accuracy"] < 1


def test_activation_sparsity_is_what_the_stored_firing_rate_leaves(
    stored: dict[str, Any], theirs: dict[str, Any]
) -> None:
    assert theirs["ActivationSparsity"] == pytest.approx(1 - stored["firing_rate"])
    rates = [layer["firing_rate"] for layer in stored["layers"]]
    assert 0.01 < min(rates) < max(rates) < 0.9


def test_its_operations_are_those_stored_of_a_token_but_for_what_it_does_not_count(
    stored: dict[str, Any], theirs: dict[str, Any]
) -> None:
    """Accumulates are the projections' without their biases, and multiply-accumulates the head's."""
    rows = [dict(row) for row in stored["operations"]]
    of = {
        kind: {part: LENGTH * sum(row[kind] for row in rows if row["part"] == part) for part in PARTS}
        for kind in ("accumulates", "multiply_accumulates")
    }
    biases = LENGTH * LAYERS * 2 * CHANNELS
    found = theirs["SynapticOperations"]
    assert found["Effective_ACs"] == pytest.approx(of["accumulates"]["projection"] - biases)
    assert found["Effective_MACs"] == pytest.approx(of["multiply_accumulates"]["head"])
    assert min(of["multiply_accumulates"][part] for part in ("ssm", "gate")) > 0


def test_its_multiply_accumulates_are_the_heads_and_the_encoders_of_real_numbers() -> None:
    """Not those of norms, SSMs, neurons and gates, none of which is a layer that it knows."""
    for inputs in (TOKENS, NUMBERS):
        net, x = classifier(inputs=inputs), given(inputs)
        ours = {part: of_a_sequence(net, part, [0.0] * LAYERS)[0] for part in ("encoder", "head", "ssm", "gate")}
        theirs = measured(net, x)["SynapticOperations"]["Effective_MACs"]
        assert theirs == pytest.approx(ours["encoder"] + ours["head"])
        assert ours["head"] == CHANNELS * CLASSES
        assert ours["encoder"] == (0 if inputs is TOKENS else LENGTH * 3 * CHANNELS)
        assert min(ours["ssm"], ours["gate"]) > 0


def test_its_dense_operations_are_those_of_a_dense_projection_and_the_head() -> None:
    net, x = classifier(), given(TOKENS)
    parts = net.operations_per_step(LENGTH, dense=True)
    ours = LENGTH * sum(part.operations.multiply_accumulates for part in parts if part.name in ("projection", "head"))
    assert measured(net, x)["SynapticOperations"]["Dense"] == pytest.approx(ours)


def test_a_network_without_spikes_has_no_accumulates_to_either() -> None:
    net, x = classifier("gelu"), given(TOKENS)
    theirs, (ours, _) = measured(net, x)["SynapticOperations"], of_a_sequence(net, "projection", [0.0] * LAYERS)
    assert theirs["Effective_ACs"] == 0
    assert theirs["Effective_MACs"] == theirs["Dense"] == pytest.approx(ours + CHANNELS * CLASSES)


def test_weights_of_zero_are_no_operations_to_it_and_are_to_us() -> None:
    net, x = classifier(), given(TOKENS)
    for block in net.blocks:
        with torch.no_grad():
            block.mixing.weight[CHANNELS:] = 0
    theirs, rates = measured(net, x), [layer.firing_rate for layer in recorded(net, x)]
    _, ours = of_a_sequence(net, "projection", rates)
    biases = LENGTH * LAYERS * 2 * CHANNELS
    assert theirs["SynapticOperations"]["Effective_ACs"] == pytest.approx((ours - biases) / 2)
    connections = LAYERS * 2 * CHANNELS**2 + CHANNELS * CLASSES  # of mixings and head, not of the embedding
    assert theirs["ConnectionSparsity"] == pytest.approx(LAYERS * CHANNELS**2 / connections, abs=1e-4)


def test_it_counts_frozen_parameters_too_and_bytes_with_the_running_statistics() -> None:
    net = classifier()
    theirs = measured(net, given(TOKENS))
    every = sum(each.numel() for each in net.parameters())
    frozen = sum(each.numel() for each in net.parameters() if not each.requires_grad)
    assert frozen > 0
    assert theirs["ParameterCount"] == every
    assert theirs["Footprint"] == 4 * every + LAYERS * (2 * 4 * CHANNELS + 8)  # mean, variance, an int64 counter


def test_measuring_leaves_the_network_as_it_was() -> None:
    """Its hooks have the mixing computed part by part while they are there, and they are taken off."""
    net, x = classifier(), given(TOKENS)
    before = net(x, torch.full((SEQUENCES,), LENGTH))
    model = MeasuredClassifier(net)
    model.register_hooks()
    torch.testing.assert_close(model(x), before.detach())
    assert [len(hook.inputs) for hook in model.connection_hooks] == [1] * (LAYERS + 1)
    assert [len(hook.activation_outputs) for hook in model.activation_hooks] == [1] * LAYERS
    assert [hook.name for hook in model.activation_hooks] == ["after_ssm"] * LAYERS
    model.cleanup_hooks()
    assert torch.equal(net(x, torch.full((SEQUENCES,), LENGTH)), before)


def test_without_the_package_a_sentence_says_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys\nsys.modules['neurobench'] = None\nimport spike_ssm.models.neurobench\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "Install them with pip install --no-deps neurobench snntorch" in done.stderr.splitlines()[-1]
