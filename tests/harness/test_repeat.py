"""A run of a pack is computed again: the same, near enough, or not; and nothing that a file names is imported."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spike_ssm.harness.commands.repeat import Repeated
from spike_ssm.harness.repeat import main
from spike_ssm.results.packed import pack
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.schema import RUN
from spike_ssm.results.store import read_manifest
from spike_ssm.results.verify.identity import id_of
from spike_ssm.results.verify.marks import read_marks
from spike_ssm.results.verify.packs import check_pack
from tests.harness.conftest import Place


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Place:
    """A sweep of one run."""
    place = Place(tmp_path_factory.mktemp("trained"), cache)
    place.sweep_file("mini", grid={"neuron": ["lif_soft"]})
    assert place.sweep().status == 0
    return place


@pytest.fixture
def theirs(trained: Place, tmp_path: Path) -> Path:
    pack(trained.results, ["mini"], tmp_path / "theirs.parquet")
    return tmp_path / "theirs.parquet"


def only(path: Path) -> str:
    (run_id,) = pq.read_table(path, columns=["id"])["id"].to_pylist()
    return str(run_id)


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The pack with another row and, where its id changes, the same plan for that id."""
    table = pq.read_table(path)
    (row,) = table.to_pylist()
    before = row["id"]
    change(row)
    footer = {key: value.replace(before.encode(), row["id"].encode()) for key, value in table.schema.metadata.items()}
    pq.write_table(pa.Table.from_pylist([row], schema=table.schema.with_metadata(footer)), path)
    return path


def other_answers(share: float) -> Callable[[dict[str, Any]], None]:
    """Makes so many right answers wrong, and all that follows from them agree."""

    def change(row: dict[str, Any]) -> None:
        right = [each for each in row["predictions"] if each["prediction"] == each["label"]]
        for each in right[: round(share * len(row["predictions"]))]:
            each["prediction"] = (each["label"] + 1) % 10
        accuracy = sum(each["prediction"] == each["label"] for each in row["predictions"]) / len(row["predictions"])
        row |= dict.fromkeys(("test_accuracy", "best_test_accuracy", "last_test_accuracy"), accuracy)
        row |= {"groups": []}

    return change


def here(cache: Path) -> str:
    return f"paths.cache={cache}"


def test_a_run_is_repeated_identically_on_the_same_machine(
    theirs: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = only(theirs)
    assert main([str(theirs), run_id, here(cache), "--write"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith(f"The run {run_id} is repeated, and identical: accuracy ")
    assert said[-2].endswith("all 32 predictions the same.")
    mark = read_marks(theirs)[run_id]
    assert (mark.verdict, mark.differing) == ("identical", 0)
    assert mark.outcome == check_pack(theirs).runs[run_id].outcome
    assert said[-1] == str(theirs.with_suffix(".repeated.json"))


def test_an_outcome_that_nobody_gets_is_not_repeated_unless_it_is_near_enough(
    theirs: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewritten(theirs, other_answers(1 / 32))
    assert check_pack(theirs).faults == (), "all in it agrees, and only computing it again shows it"
    words = [str(theirs), only(theirs), here(cache)]
    assert main(words) == 1
    assert "is not repeated: accuracy" in (said := capsys.readouterr().out)
    assert "3.12 % of 32 predictions differ, the largest difference is 3.12 points (test_accuracy)." in said
    assert main([*words, "--tolerance", "5"]) == 0
    assert "is repeated within 5 points" in capsys.readouterr().out
    assert not theirs.with_suffix(".repeated.json").exists()


ROW = {
    **dict.fromkeys(RUN.names),
    "id": "0123456789ab",
    "test_accuracy": 0.5,
    "shortcut_accuracy": 0.25,
    "parameters": 9,
}


def row(**changes: Any) -> dict[str, Any]:
    """A run of four test examples, evaluated under two levels of a corruption."""
    predictions = [{"example": place, "label": place % 2, "prediction": 0, "score": 0.9} for place in range(4)]
    empty = {"firing_rate": None, "reason": None}
    levels = [{"corruption": "noise", "level": level, "accuracy": 0.5, "examples": 4, **empty} for level in (0.0, 1.0)]
    return {**ROW, "predictions": predictions, "robustness": levels, **changes}


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({}, "identical", "all 4 predictions the same"),
        ({"test_accuracy": 0.505}, "within tolerance", "the largest difference is 0.50 points (test_accuracy)"),
        ({"energy_nj_per_token": 1.0}, "not repeated", "these must be the same and are not: energy_nj_per_token"),
        ({"parameters": 1}, "not repeated", "are not: parameters"),
        ({"data_notes": ["Less."]}, "not repeated", "are not: data_notes"),
        ({"robustness": []}, "not repeated", "are not: corruptions"),
        ({"robustness": row()["robustness"][:1]}, "not repeated", "are not: corruptions"),
        ({"predictions": row()["predictions"][:2]}, "not repeated", "are not: test examples"),
        ({"predictions": []}, "not repeated", "are not: test examples"),
        ({"shortcut_accuracy": 0.1}, "not repeated", "the largest difference is 15.00 points (shortcut_accuracy)"),
    ],
)
def test_all_that_is_shown_counts_and_what_is_missing_is_not_the_same(
    changes: dict[str, Any], verdict: str, said: str
) -> None:
    for stored, again in ((row(), row(**changes)), (row(**changes), row())):
        repeated = Repeated(stored, again, tolerance=1.0)
        assert repeated.verdict == verdict
        assert said in repeated.sentence()


def test_sizes_are_compared_in_percent_of_the_stored_one() -> None:
    repeated = Repeated(row(energy_nj_per_token=50.0), row(energy_nj_per_token=51.0), tolerance=1.0)
    assert "the largest difference is 2.00 % (energy_nj_per_token)" in repeated.sentence()


@pytest.mark.parametrize("points", ["nan", "inf", "-1", "101", "one"])
def test_a_tolerance_is_a_number_of_points(points: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["theirs.parquet", "0123456789ab", "--tolerance", points])
    assert "must be a number of points from 0 to 100" in capsys.readouterr().err


def test_what_cannot_be_repeated_is_one_sentence(
    theirs: Path, cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_id = only(theirs)

    def said(*words: str) -> str:
        assert main([str(theirs), *words]) == 1
        return capsys.readouterr().err

    assert f"has no run '0123456789ab'; it has {run_id}." in said("0123456789ab")
    assert "cannot be repeated: with its configuration this code computes the run" in said(run_id, "optim.lr=0.5")
    assert "seven is no setting: write key=value" in said(run_id, "seven")
    assert "These are no settings of a run" in said(run_id, "optim.nothing=1")
    rewritten(theirs, lambda row: row.update(test_accuracy=0.99))
    assert "theirs.parquet is not as it should be, and nothing of it is repeated" in said(run_id)


def test_what_a_configuration_names_is_not_imported(
    theirs: Path, cache: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harmful.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)

    def change(row: dict[str, Any]) -> None:
        config = json.loads(row["config"])
        config["neuron"]["name"] = row["neuron"] = "harmful.Neuron"
        row["config"] = json.dumps(config, sort_keys=True)
        row["id"] = id_of(row["config"])

    rewritten(theirs, change)
    assert main([str(theirs), only(theirs), here(cache)]) == 1
    assert "add --trust harmful" in capsys.readouterr().err
    assert "harmful" not in sys.modules
    assert not (tmp_path / "harm").exists()


def test_a_configuration_reads_no_environment(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(row: dict[str, Any]) -> None:
        config = json.loads(row["config"])
        config["optim"]["tested_weights"] = "${oc.env:HOME}"
        row["config"] = json.dumps(config, sort_keys=True)
        row["id"] = id_of(row["config"])

    rewritten(theirs, change)
    assert main([str(theirs), only(theirs)]) == 1
    assert "refers to something outside itself" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="lacks nothing")
def test_what_a_machine_lacks_is_said(theirs: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(theirs), only(theirs), here(cache), "device=cuda"]) == 1
    assert "cannot be computed here: device=cuda, but torch" in capsys.readouterr().err


@pytest.mark.slow
def test_an_evaluation_is_repeated_after_its_training(
    trained: Place, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["robustness.token_corruption=0,0.5", "robustness.streamed_examples=8"]
    assert trained.sweep("of=mini", *words, name="robustness").status == 0
    manifest = read_manifest(trained.results, "robustness_mini")
    pack(trained.results, ["robustness_mini"], tmp_path / "evaluated.parquet")
    assert main([str(tmp_path / "evaluated.parquet"), manifest.runs[0].id, here(cache)]) == 0
    assert "is repeated, and identical" in capsys.readouterr().out
    assert read_run(run_path(trained.results, manifest.runs[0].id))["robustness"]
