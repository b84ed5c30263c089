"""Results as a frame: the same rows from a folder, a pack, by a sweep's name, and through other libraries."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from spike_ssm import results
from spike_ssm.results.errors import UserError
from spike_ssm.results.packed import pack
from spike_ssm.results.schema import RUN, TRACED, Manifest, PlannedRun
from spike_ssm.results.store import prepare_folder, write_manifest, write_run
from tests.results.test_store import MANIFEST, row

PLACES = [
    PlannedRun(run_id, {"task": "listops", "neuron.leak": leak}, leak, seed)
    for run_id, leak, seed in (("a", "0.5", 0), ("c", "0.9", 0), ("missing", "0.9", 1))
]


def config(leak: float, **others: object) -> str:
    return json.dumps({"neuron": {"name": "lif_soft", "leak": leak}, "seed": 0, **others})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sweeps that share run a, a run without a result, and one that is in no sweep."""
    folder = prepare_folder(tmp_path / "runs")
    answer = {"example": 0, "label": 1, "prediction": 1, "score": 0.5}
    write_run(folder, row("a", config=config(0.5), predictions=[answer]))
    write_run(folder, row("c", config=config(0.9, task={"cutoffs": [1, 2]}), test_accuracy=0.5, predictions=None))
    write_run(folder, row("alone", config=config(0.7)))
    write_manifest(folder, Manifest("leaks", "Leaks", "?", "laptop", "", None, ["+sweep=leaks"], runs=PLACES))
    write_manifest(folder, MANIFEST)  # has run a too
    return folder


def test_a_sweep_is_a_row_a_run_with_its_labels_and_settings(folder: Path) -> None:
    frame = results.load("leaks", results=folder)
    assert frame["id"].tolist() == ["a", "c"]
    assert list(frame.columns[:6]) == ["sweep", "variant", "task", "seed", "axis.neuron.leak", "axis.task"]
    assert frame["axis.neuron.leak"].tolist() == frame["variant"].tolist() == ["0.5", "0.9"]
    assert frame["config.neuron.leak"].tolist() == [0.5, 0.9]
    assert frame["config.task.cutoffs"].iloc[1] == [1, 2]
    assert frame["test_accuracy"].iloc[1] == 0.5
    left_out = set(RUN.names) - set(frame.columns)
    assert left_out == {"predictions", *TRACED, "config"}


def test_predictions_are_there_when_asked_for(folder: Path) -> None:
    frame = results.load("leaks", results=folder, predictions=True)
    assert frame["predictions"].iloc[0]["prediction"].tolist() == [1]
    assert frame["predictions"].iloc[1] is None


def test_how_spikes_follow_each_other_is_there_and_null_in_runs_of_before(folder: Path) -> None:
    following = {"spike_after_spike": 0.2, "interval_variation": 0.9, "run_length": 1.25}
    trace = {"layer": 0, "bin_steps": 1, "intervals": [5, 0, 2], "runs": [3]}
    new = row("missing", config=config(0.9), **following, layers=[{"layer": 0, **following}], traces=[trace])
    write_run(folder, new)
    frame = results.load("leaks", results=folder, traces=True).set_index("id")
    assert frame.loc["missing", list(following)].to_dict() == following
    assert frame.loc["missing", "layers"][0] | following == frame.loc["missing", "layers"][0]
    assert frame.loc["missing", "traces"][0]["intervals"] == [5, 0, 2]
    assert frame.loc[["a", "c"], list(following)].isna().all(axis=None)


def test_a_pack_a_folder_and_names_give_the_same(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = results.load("leaks", results=folder)
    pack(folder, ["leaks"], tmp_path / "leaks.parquet")
    assert_frame_equal(results.load(tmp_path / "leaks.parquet"), by_name)
    everything = results.load(folder)
    assert sorted(everything["id"]) == ["a", "a", "alone", "c"]
    assert everything[everything["sweep"].isna()]["id"].tolist() == ["alone"]
    assert set(results.load(MANIFEST.name, "leaks", results=folder)["sweep"]) == {MANIFEST.name, "leaks"}
    monkeypatch.chdir(folder.parent)
    (folder.parent / "results").mkdir()
    folder.rename(folder.parent / "results" / "runs")
    assert len(results.load()) == len(everything)


def test_a_sweep_without_results_has_no_rows_and_all_columns(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest("leaks", "Leaks", "?", "laptop", "", None, [], runs=PLACES))
    frame = results.load("leaks", results=tmp_path)
    assert len(frame) == 0
    assert {"sweep", "variant", "task", "seed", "test_accuracy"} <= set(frame.columns)


def test_what_is_damaged_is_named_and_what_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    (folder / "rows" / "c.parquet").write_text("no parquet")
    with pytest.warns(UserWarning, match=r"c\.parquet is damaged"):
        assert results.load("leaks", results=folder)["id"].tolist() == ["a"]
    with pytest.raises(UserError, match="No sweep named 'lra'"):
        results.load("lra", results=folder)
    with pytest.raises(UserError, match="cannot be read now"):
        results.load("gone.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no results"):
        results.load(tmp_path / "empty")


def block(page: Path, language: str, word: str) -> str:
    """The page's code in this language that has this word."""
    blocks = page.read_text().split("```")[1::2]
    (found,) = (text for text in blocks if text.startswith(language) and word in text)
    return found.removeprefix(language)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "running.md"


@pytest.fixture
def as_in_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The working directory that the page's code is for; what `load` gives of its sweep."""
    manifest = Manifest("ablation_refractory", "Leaks", "?", "laptop", "", None, [], runs=PLACES)
    write_manifest(folder, manifest)
    (folder.parent / "results").mkdir()
    folder.rename(folder.parent / "results" / "runs")
    monkeypatch.chdir(folder.parent)
    return results.load("ablation_refractory")


def test_pandas_reads_the_folder_as_the_page_says(as_in_the_page: pd.DataFrame) -> None:
    names: dict[str, pd.DataFrame] = {}
    exec(block(PAGE, "python", "read_parquet"), names)
    found = names["frame"].sort_values("id")
    for name in ("id", "variant", "test_accuracy"):
        assert found[name].tolist() == as_in_the_page[name].tolist()
    assert found["leak"].tolist() == as_in_the_page["config.neuron.leak"].tolist()


def test_duckdb_reads_the_folder_as_the_page_says(as_in_the_page: pd.DataFrame) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(block(PAGE, "sql", "unnest")).df().sort_values("variant")
    assert found["variant"].tolist() == ["0.5", "0.9"]
    assert found["accuracy"].tolist() == as_in_the_page["test_accuracy"].tolist()
    assert found["leak"].astype(float).tolist() == as_in_the_page["config.neuron.leak"].tolist()
