"""harness.export: a finished run's network as a file that gives the run's own answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import spike_ssm.harness.export
from spike_ssm.harness.data.splits import batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks.listops import SYMBOLS
from spike_ssm.harness.training.loaded import load_run
from spike_ssm.models.nir import read_nir
from tests.harness.conftest import Outcome, Place, called


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Place:
    """A causal network and one that looks ahead, trained on generated ListOps."""
    place = Place(tmp_path_factory.mktemp("trained"), cache)
    place.sweep_file("mini", grid={"model.bidirectional": [False, True]})
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    assert place.sweep().status == 0
    torch.set_num_threads(before)
    return place


def export(place: Place, run: str, path: Path) -> Outcome:
    return called(spike_ssm.harness.export.main, [run, "--nir", str(path), "--results", str(place.results)])


def test_the_file_gives_the_answers_of_the_run(trained: Place, data: Dataset, tmp_path: Path) -> None:
    path, run = tmp_path / "run.nir", load_run("mini/False/0", trained.results)
    done = export(trained, "mini/False/0", path)
    assert (done.status, done.err) == (0, [])
    assert done.out == [f"{path}: 10 nodes of run {run.run_id}."]
    network = read_nir(path)
    scores = torch.cat([network(batch.inputs, batch.lengths) for batch in batches(data.test, 16)])
    assert np.allclose(scores.softmax(-1), run.predict(data.test, probabilities=True), atol=1e-6)
    assert np.array_equal(scores.argmax(-1), run.predict(data.test))


def test_the_file_tells_the_run_and_what_its_tokens_are(trained: Place, tmp_path: Path) -> None:
    run_id = load_run("mini/False/0", trained.results).run_id
    assert export(trained, run_id, tmp_path / "run.nir").status == 0
    with h5py.File(tmp_path / "run.nir") as file:
        told = {name: each.asstr()[()] for name, each in file["node/metadata"].items() if name != "dt"}
    assert (told["run"], told["task"], json.loads(told["symbols"])) == (run_id, "listops", list(SYMBOLS))
    assert str(trained.folder) not in (tmp_path / "run.nir").read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    ("run", "path", "why"),
    [
        ("mini/True/0", "run.nir", "The run mini/True/0 cannot be exported. A bidirectional network looks ahead"),
        ("mini/Fals/0", "run.nir", "did you mean mini/False/0"),
        ("mini/False/0", "none/run.nir", "none/run.nir cannot be written: No such file or directory"),
        ("mini/False/0", ".", " cannot be written: "),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(
    trained: Place, tmp_path: Path, run: str, path: str, why: str
) -> None:
    done = export(trained, run, tmp_path / path)
    assert (done.status, done.out, len(done.err)) == (1, [], 1)
    assert why in done.err[0]
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_a_sentence_says_how_to_install_it(
    trained: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("spike_ssm.models.nir")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nir", None)
    done = export(trained, "mini/False/0", tmp_path / "run.nir")
    assert (done.status, len(done.err)) == (1, 1)
    assert done.err[0].endswith("Install it with pip install 'spike-ssm[nir]'.")
