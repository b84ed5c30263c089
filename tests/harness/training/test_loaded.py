"""A finished run as an object: what it answers is what was tested, and what cannot be loaded is said in a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import spike_ssm
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.splits import batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.listops import SYMBOLS
from spike_ssm.harness.data.tasks.mnist_digits import MnistDigitsSettings
from spike_ssm.harness.data.tasks.retrieval import BbcPairsSettings
from spike_ssm.harness.data.tasks.wikitext import BbcWordsSettings
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.training import loaded
from spike_ssm.harness.training.checkpoint import State, code_fingerprint, read_state, write_state
from spike_ssm.harness.training.loaded import LoadedRun, load_run
from spike_ssm.models.network import Inputs, build_network
from spike_ssm.results.errors import UserError
from spike_ssm.results.packed import pack
from spike_ssm.results.store import read_manifest, write_run
from tests.harness.conftest import Place

RUNS = ("mini/lif_soft/0", "mini/gelu/0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Place:
    """Two neurons, one of which has no threshold, trained on generated ListOps."""
    place = Place(tmp_path_factory.mktemp("trained"), cache)
    place.sweep_file("mini", grid={"neuron": ["lif_soft", "gelu"]})
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert place.sweep().status == 0
    torch.set_num_threads(before)
    return place


@pytest.fixture
def lif(trained: Place) -> LoadedRun:
    return load_run(RUNS[0], trained.results)


def test_its_answers_to_the_test_set_are_those_that_were_stored(lif: LoadedRun, data: Dataset) -> None:
    stored = lif.rows["predictions"].iloc[0]
    assert np.array_equal(lif.predict(data.test), stored["prediction"])
    probabilities = lif.predict(data.test, probabilities=True)
    assert probabilities.shape == (len(data.test), 10)
    assert np.allclose(probabilities.max(1), stored["score"], atol=1e-6)
    assert lif.rows["test_accuracy"].iloc[0] == (stored["prediction"] == stored["label"]).mean()
    assert lif.rows["config.neuron.name"].iloc[0] == "lif_soft"


def test_examples_are_taken_as_people_have_them(lif: LoadedRun, data: Dataset) -> None:
    """A text, a list of texts, tokens, a batch: the same answers."""
    split, few = data.test, range(5)
    tokens = [split.sequences[0][number] for number in few]
    texts = [" ".join(SYMBOLS[token] for token in sequence[:-1]) for sequence in tokens]  # without its <eos>
    answers = lif.predict(split)[:5]
    assert np.array_equal(lif.predict(texts), answers)
    assert np.array_equal(lif.predict(tokens), answers)
    assert np.array_equal(np.concatenate([lif.predict(text) for text in texts]), answers)
    assert np.array_equal(lif.predict(torch.from_numpy(tokens[0].astype(int))), answers[:1])
    assert np.array_equal(lif.predict(tokens[0].tolist()), answers[:1])
    assert np.array_equal(lif.predict(next(batches(split, 5))), answers)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "There is no example to predict"),
        (np.array([0.5, 0.25]), "must be an array of whole numbers"),
        ([[3, 99]], "numbers must be from 0 to 17, but they reach 3 to 99"),
        ([None], "must be an array of whole numbers"),
    ],
)
def test_what_the_task_cannot_have_is_said(lif: LoadedRun, wrong: object, why: str) -> None:
    with pytest.raises(UserError, match=why):
        lif.predict(wrong)


def untrained(settings: Settings, facts: Facts) -> LoadedRun:
    inputs = Inputs(None if facts.symbols is None else len(facts.symbols))
    network = build_network(settings.task.kind, inputs, facts.classes, settings.model, settings.neuron)
    return LoadedRun("0" * 12, settings, network.eval(), facts, rows=None)  # type: ignore[arg-type]


def test_images_and_pairs_of_texts_are_taken_too(tiny: Callable[..., Settings]) -> None:
    small = tiny()
    small.task = MnistDigitsSettings(side=14)
    digits, images = untrained(small, Facts(10)), np.random.default_rng(0).integers(0, 256, (3, 14, 14), np.uint8)
    together = digits.predict(images, probabilities=True)
    assert together.shape == (3, 10)
    assert np.allclose(together[:1], digits.predict(images[0], probabilities=True), atol=1e-6)
    assert np.allclose(together, digits.predict(images.reshape(3, -1), probabilities=True), atol=1e-6)
    small.task = BbcPairsSettings()
    pairs = untrained(small, Facts(2, ["<pad>", "<unk>", "<eos>", *"abc "]))
    assert pairs.predict(("abc", "a cab")).shape == (1,)
    assert pairs.predict([("abc", "a cab"), ("b", "unknown signs")]).shape == (2,)
    small.task = BbcWordsSettings()
    with pytest.raises(UserError, match="is a language model, which gives no class"):
        pairs.predict("abc")


def test_thresholds_are_those_of_the_layers_or_a_sentence(lif: LoadedRun, trained: Place) -> None:
    (threshold,) = lif.thresholds()
    assert threshold.shape == (8,)
    assert float(threshold.mean()) == pytest.approx(lif.rows["layers"].iloc[0][0]["threshold_after"])
    with pytest.raises(UserError, match=r"neuron gelu of run .* has no threshold"):
        load_run(RUNS[1], trained.results).thresholds()


def test_the_network_is_whole_and_tells_nothing_of_the_machine(lif: LoadedRun, trained: Place) -> None:
    assert not lif.network.training
    assert lif.config["neuron"]["name"] == "lif_soft"
    assert lif.config["optim"]["epochs"] == 1
    assert str(trained.folder) not in RunFiles(trained.results, lif.run_id).weights.read_bytes().decode("latin-1")


def test_a_run_is_found_by_its_id_or_its_names(lif: LoadedRun, trained: Place) -> None:
    assert load_run(lif.run_id, trained.results).run_id == lif.run_id
    assert load_run(" mini / lif_soft / 0", str(trained.results)).run_id == lif.run_id


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mini/lif_sof/0", "did you mean mini/lif_soft/0.* There are mini/lif_soft/0, mini/gelu/0"),
        ("mini/lif_soft/7", "is none of the sweep's runs"),
        ("mini", "or SWEEP/VARIANT/SEED. In .*: did you mean mini\\? There are the sweeps mini"),
        ("other/x/0", "No sweep named 'other' has been run .* mini"),
        ("0123456789ab", "The run 0123456789ab has no result yet"),
        ("../x/0/0", "a name is at most"),
    ],
)
def test_a_name_of_no_run_gets_a_sentence(trained: Place, name: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        load_run(name, trained.results)


def test_of_several_tasks_the_name_says_which(place: Place) -> None:
    grid = {"task": ["listops"], "neuron.leak": [0.5]}
    place.sweep_file("mini", grid=grid)
    assert place.sweep().status == 0
    run_id = read_manifest(place.results, "mini").runs[0].id
    assert load_run("mini/listops/0.5/0", place.results).run_id == run_id
    assert load_run("mini/0.5/0", place.results).run_id == run_id


@pytest.fixture
def copied(trained: Place, tmp_path: Path) -> RunFiles:
    """The files of the first run, in a results folder of their own."""
    shutil.copytree(trained.results, tmp_path / "runs")
    return RunFiles(tmp_path / "runs", load_run(RUNS[0], trained.results).run_id)


def test_weights_that_cannot_be_used_are_named_with_what_to_do(copied: RunFiles) -> None:
    owner, state = read_state(copied.weights)
    write_state(copied.weights, owner, State(state.tensors, {}))
    with pytest.raises(UserError, match=r"from before weights carried their settings: remove .*parquet"):
        load_run(RUNS[0], copied.results)
    write_state(copied.weights, owner, State({"head.weight": torch.zeros(3)}, state.values))
    with pytest.raises(UserError, match="do not fit the network of their settings"):
        load_run(RUNS[0], copied.results)
    write_state(copied.weights, owner, State(state.tensors, {**state.values, "facts": {"unknown": 1}}))
    with pytest.raises(UserError, match="do not say what network they are of"):
        load_run(RUNS[0], copied.results)
    write_state(copied.weights, {**owner, "code": "0" * 12}, state)
    with pytest.warns(UserWarning, match=f"trained by code 000000000000, and this is {code_fingerprint()}"):
        assert load_run(RUNS[0], copied.results).run_id == copied.run_id
    copied.weights.unlink()
    with pytest.raises(UserError, match=r"left no weights .* --weights"):
        load_run(RUNS[0], copied.results)


@pytest.fixture
def packed(copied: RunFiles, tmp_path: Path) -> Callable[..., Path]:
    """Call to pack the sweep of the copied results folder, with or without weights."""

    def call(weights: bool = True) -> Path:
        path = tmp_path / "sent.parquet"
        pack(copied.results, ["mini"], path, weights=weights)
        shutil.rmtree(copied.results)
        return path

    return call


def test_a_packed_file_is_loaded_from_like_a_folder(lif: LoadedRun, packed: Callable[..., Path], data: Dataset) -> None:
    path = packed()
    for name in (RUNS[0], lif.run_id):
        sent = load_run(name, path)
        assert sent.config == lif.config
        assert sent.rows.drop(columns=["predictions", "layers"]).equals(
            lif.rows.drop(columns=["predictions", "layers"])
        )
        assert np.array_equal(sent.predict(data.test), lif.predict(data.test))
    with pytest.raises(UserError, match=r"or SWEEP/VARIANT/SEED. In .*sent.parquet: there are the sweeps mini"):
        load_run("other/lif_soft/0", path)


def test_damaged_weights_in_a_packed_file_are_named(copied: RunFiles, packed: Callable[..., Path]) -> None:
    owner, state = read_state(copied.weights)
    of_another = {name: tensor + 1 for name, tensor in state.tensors.items()}
    whole = copied.weights.read_bytes()
    write_state(copied.weights, owner, State(of_another, state.values))
    other = copied.weights.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    copied.weights.write_bytes(whole[:header] + other[8 + int.from_bytes(other[:8], "little") :])
    path = packed()
    with pytest.raises(UserError, match=r"The weights of mini/lif_soft/0 in .*sent.parquet are damaged: ask for"):
        load_run(RUNS[0], path)


def test_a_packed_file_without_weights_says_how_it_is_packed_with_them(packed: Callable[..., Path]) -> None:
    path = packed(weights=False)
    with pytest.raises(UserError, match=r"has no weights in .*sent.parquet: ask for a file .* packed with --weights"):
        load_run(RUNS[0], path)


def test_a_failed_run_says_why(copied: RunFiles) -> None:
    copied.result.unlink()
    write_run(copied.results, {"id": copied.run_id, "status": "failed", "error": "The loss is nan."})
    with pytest.raises(UserError, match="is failed: The loss is nan"):
        load_run(RUNS[0], copied.results)


@pytest.mark.fault(
    "Somebody's weights name a module of Python's as the neuron that they are of.",
    "It is not imported: a sentence says that whoever trusts it may import it first.",
)
def test_a_module_that_weights_name_is_not_imported(
    copied: RunFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harmful.py").write_text("from pathlib import Path\nPath(__file__).with_name('canary').touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    owner, state = read_state(copied.weights)
    state.values["settings"]["neuron"]["name"] = "harmful.Neuron"
    write_state(copied.weights, owner, state)
    with pytest.raises(UserError, match="import harmful first, if you trust that"):
        load_run(RUNS[0], copied.results)
    assert not (tmp_path / "canary").exists()
    assert "harmful" not in sys.modules


def test_importing_the_package_loads_nothing_of_it() -> None:
    """`load_run` and `results` are there all the same."""
    heavy = "{'torch', 'pandas', 'pyarrow', 'numba', 'hydra'} & sys.modules.keys()"
    code = f"import sys, spike_ssm, spike_ssm.results; print({heavy}); print(callable(spike_ssm.results.load))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["set()", "True"]
    assert spike_ssm.load_run is loaded.load_run
