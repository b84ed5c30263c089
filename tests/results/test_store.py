"""The contract between writer and reader: what is written is read, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import dataset

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.reading import Outcome, read_outcome, read_outcomes, read_run, read_runs, read_status, run_path
from spike_ssm.results.schema import RUN, SCHEMA_VERSION, TRACED, Manifest, PlannedRun
from spike_ssm.results.store import (
    discard_failure,
    manifest_path,
    prepare_folder,
    read_manifest,
    write_json,
    write_manifest,
    write_run,
)

MANIFEST = Manifest(
    name="ablation",
    title="A title",
    question="A question?",
    scale="laptop",
    scale_note="A note.",
    baseline="none",
    words=["+sweep=ablation"],
    runs=[PlannedRun("a", {"task": "listops"}, "none", 0), PlannedRun("b", {"task": "listops"}, "fixed", 0)],
    variant_notes={"none": "No refractory current."},
)


def place(folder: Path, run_id: str) -> Path:
    """Where the result of a run will be, in a folder that is there."""
    path = run_path(folder, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def row(run_id: str = "a", **changes: object) -> dict[str, object]:
    return {
        "id": run_id,
        "status": "done",
        "task": "listops",
        "seed": 3,
        "config": '{"lr": 0.01}',
        "environment": '{"device": "cpu"}',
        "code_version": "0.1.0",
        "test_accuracy": 0.25,
        "machine_shared": False,
        "epochs": [{"epoch": 1, "train_loss": 2.3, "validation_accuracy": 0.2}],
        "predictions": [{"example": 0, "label": 4, "prediction": 5, "score": 0.5}],
        **changes,
    }


def test_a_run_is_read_as_it_was_written(tmp_path):
    write_run(tmp_path, row())
    read = read_run(run_path(tmp_path, "a"))
    assert read == read | {name: value for name, value in row().items() if name != "epochs"}
    assert read["epochs"][0]["train_loss"] == 2.3
    assert read["epochs"][0]["learning_rate"] is None


def test_columns_that_were_not_measured_are_null_and_the_version_is_written(tmp_path):
    write_run(tmp_path, {"id": "a", "status": "failed", "error": "No space."})
    read = read_run(run_path(tmp_path, "a"))
    assert list(read) == RUN.names
    assert read["schema_version"] == SCHEMA_VERSION
    assert read["test_accuracy"] is None


def test_a_measurement_is_read_as_it_was_written(tmp_path):
    point = {"leak": 0.5, "decay": 0.0, "refractory": 1.0, "input_mean": 0.0, "input_scale": 0.9}
    found = {"firing_rate": 0.1, "undetermined": [0.3, 0.05], "iterations": 7}
    write_run(tmp_path, {"id": "a", "status": "done", "task": "pmbc_map", "pmbc_map": [point | found]})
    write_run(tmp_path, {"id": "b", "status": "done", "task": "speed", "times_loop": 12.5, "iterations": 9})
    assert read_run(run_path(tmp_path, "a"))["pmbc_map"] == [point | found]
    speed = read_run(run_path(tmp_path, "b"))
    assert (speed["times_loop"], speed["iterations"], speed["pmbc_map"]) == (12.5, 9, None)


def test_an_unknown_column_is_refused(tmp_path):
    with pytest.raises(KeyError, match="test_acuracy"):
        write_run(tmp_path, row(test_acuracy=0.2))


def test_config_and_environment_are_in_the_files_own_metadata(tmp_path):
    metadata = pq.read_schema(write_run(tmp_path, row())).metadata
    assert metadata[b"spike_ssm.config"] == b'{"lr": 0.01}'
    assert metadata[b"spike_ssm.schema_version"] == str(SCHEMA_VERSION).encode()


def test_writing_leaves_no_temporary_file(tmp_path):
    write_run(tmp_path, row())
    write_run(tmp_path, row(test_accuracy=0.5))
    assert [path.name for path in run_path(tmp_path, "a").parent.iterdir()] == ["a.parquet"]


FAILED = {"id": "a", "status": "failed", "error": "The worker died."}


def test_of_two_finished_results_the_first_stays(tmp_path):
    write_run(tmp_path, row())
    write_run(tmp_path, row(test_accuracy=0.5))
    assert read_run(run_path(tmp_path, "a"))["test_accuracy"] == 0.25


def test_a_failure_never_replaces_a_finished_result(tmp_path):
    write_run(tmp_path, row())
    write_run(tmp_path, FAILED)
    assert read_status(tmp_path, "a") == ("done", None)


def test_a_finished_result_replaces_a_failure_and_a_damaged_file(tmp_path):
    write_run(tmp_path, FAILED)
    run_path(tmp_path, "b").write_bytes(b"PAR1")
    write_run(tmp_path, row("a"))
    write_run(tmp_path, row("b"))
    assert read_status(tmp_path, "a") == read_status(tmp_path, "b") == ("done", None)


def test_of_two_failures_the_first_stays(tmp_path):
    write_run(tmp_path, FAILED)
    write_run(tmp_path, FAILED | {"error": "Another."})
    assert read_status(tmp_path, "a") == ("failed", "The worker died.")


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_temporary_one(tmp_path):
    write_json(tmp_path / "x.json", {"old": 1})
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_json(tmp_path / "folder.json", {"new": 2})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.json", "x.json"]
    assert json.loads((tmp_path / "x.json").read_text()) == {"old": 1}


def test_a_truncated_file_is_named_in_a_sentence_while_the_others_are_read(tmp_path):
    for run_id in "abc":
        write_run(tmp_path, row(run_id))
    path = run_path(tmp_path, "b")
    path.write_bytes(path.read_bytes()[:200])
    runs, missing, damaged = read_runs(tmp_path, ["a", "b", "c", "d"])
    assert list(runs["id"]) == ["a", "c"]
    assert missing == ["d"]
    ((damaged_id, error),) = damaged.items()
    sentence = str(error)
    assert damaged_id == "b"
    assert str(path) in sentence
    assert "retry=true" in sentence
    assert "\n" not in sentence


def test_an_empty_file_is_damaged(tmp_path):
    place(tmp_path, "a").touch()
    with pytest.raises(UserError, match="is damaged and cannot be read"):
        read_run(run_path(tmp_path, "a"))


def test_no_runs_are_a_frame_with_all_columns(tmp_path):
    runs, missing, damaged = read_runs(tmp_path, [])
    assert list(runs.columns) == [name for name in RUN.names if name not in ("predictions", *TRACED)]
    assert (len(runs), missing, damaged) == (0, [], {})


def test_predictions_and_traces_are_read_when_asked_for(tmp_path):
    write_run(tmp_path, row())
    assert {"predictions", "traces"}.isdisjoint(read_runs(tmp_path, ["a"])[0])
    assert "traces" not in read_runs(tmp_path, ["a"], predictions=True)[0]
    runs, _, _ = read_runs(tmp_path, ["a"], predictions=True, traces=True)
    assert list(runs.columns) == RUN.names
    assert runs["predictions"][0].to_dict("records") == row()["predictions"]


def test_runs_written_before_and_after_a_column_came_are_read_together(tmp_path):
    write_run(tmp_path, row("new"))
    older = pq.read_table(write_run(tmp_path, row("old"))).drop_columns(["saved_mib", "pmbc_map"])
    pq.write_table(older.replace_schema_metadata(None), run_path(tmp_path, "old"))
    runs, missing, damaged = read_runs(tmp_path, ["old", "new"])
    assert (list(runs["id"]), missing, damaged) == (["old", "new"], [], {})


def changed(path: Path, name: str, values: pa.Array | None) -> None:
    """Write the file again with other values of a column, or without it."""
    table = pq.read_table(path)
    at = table.schema.get_field_index(name)
    table = table.remove_column(at) if values is None else table.set_column(at, name, values)
    pq.write_table(table, path)


NARROW = pa.array([[{"epoch": 1, "train_loss": 2, "of_another_time": 3}]])


@pytest.mark.fault(
    "A result file's columns have other types, or its entries other fields.",
    "It is read as the schema has them; where it cannot be, it is named, and the report shows the others.",
)
@pytest.mark.parametrize(
    ("column", "values", "read"),
    [
        ("seed", pa.array([3], pa.int8()), 3),
        ("test_accuracy", pa.array(["0.25"]), 0.25),
        ("firing_rate", pa.nulls(1), None),
        ("epochs", NARROW, {"epoch": 1, "train_loss": 2.0, "train_accuracy": None}),
        ("test_accuracy", pa.array(["much"]), UserError),
        ("epochs", pa.array([[1]]), UserError),
    ],
    ids=["a narrow number", "a number as text", "nulls of no type", "entries", "a word", "entries of another kind"],
)
def test_an_odd_column_is_read_as_the_schema_has_it_or_named(tmp_path, column, values, read):
    write_run(tmp_path, row("a"))
    path = write_run(tmp_path, row("b"))
    changed(path, column, values)
    runs, missing, damaged = read_runs(tmp_path, ["a", "b"])
    assert missing == []
    if read is UserError:
        assert list(runs["id"]) == ["a"]
        assert f"{path} is damaged and cannot be read (its column {column} is not as results/schema.py has it)" in str(
            damaged["b"]
        )
        return
    assert damaged == {}
    (found,) = runs.set_index("id")[column]["b"] if column == "epochs" else [runs.set_index("id")[column]["b"]]
    assert found == found | read if column == "epochs" else found == read or read is None


@pytest.mark.fault(
    "A result file was written by newer code, or is of another run than it is named for.",
    "It is named, and neither counts nor is removed; no other run is affected.",
)
def test_a_file_of_a_newer_version_is_named_and_stays(tmp_path):
    write_run(tmp_path, row("a"))
    path = write_run(tmp_path, row("b"))
    newer = {**pq.read_schema(path).metadata, b"spike_ssm.schema_version": b"9"}
    pq.write_table(pa.table({"anything": [1]}).replace_schema_metadata(newer), path)
    runs, _, errors = read_runs(tmp_path, ["a", "b"])
    assert list(runs["id"]) == ["a"]
    assert isinstance(errors["b"], UnreadableError)
    assert str(errors["b"]).startswith(
        f"The result file {path} is of version 9 of the schema, and this code reads versions"
    )
    with pytest.raises(UnreadableError):
        discard_failure(tmp_path, "b")
    write_run(tmp_path, row("b"))
    assert pq.read_table(path).column_names == ["anything"]


@pytest.mark.parametrize("footer", [True, False], ids=["told by the footer", "of before"])
def test_a_file_of_another_run_is_no_result_of_this_one(tmp_path, footer):
    content = write_run(tmp_path, row("a")).read_bytes()
    path = place(tmp_path, "b")
    path.write_bytes(content)
    if not footer:
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    for read in (read_run, read_outcome):
        with pytest.raises(UserError, match=r"b\.parquet is damaged .*it is of the run 'a'"):
            read(path)


@pytest.mark.parametrize(
    "outcome", [{"status": "great"}, {"test_accuracy": "much"}, {"more": 1}], ids=["status", "measure", "field"]
)
def test_a_footer_that_makes_no_sense_is_damaged(tmp_path, outcome):
    path = write_run(tmp_path, row())
    table = pq.read_table(path)
    footer = {**table.schema.metadata}
    footer[b"spike_ssm.outcome"] = json.dumps(json.loads(footer[b"spike_ssm.outcome"]) | outcome).encode()
    pq.write_table(table.replace_schema_metadata(footer), path)
    with pytest.raises(UserError, match="is damaged"):
        read_outcome(path)


def test_the_rows_are_a_folder_that_others_read(tmp_path):
    """Whose columns have their types, also where a file has nothing in them."""
    write_run(tmp_path, {"id": "a", "status": "failed", "error": "Once."})
    write_run(tmp_path, row("b"))
    write_manifest(tmp_path, MANIFEST)
    frame = pd.read_parquet(tmp_path / "rows")
    assert dict(zip(frame["id"], frame["status"], strict=True)) == {"a": "failed", "b": "done"}
    found = dataset.dataset(tmp_path / "rows").to_table()
    assert found.schema.equals(RUN)
    assert found["test_accuracy"].to_pylist() == [None, 0.25]


@pytest.mark.parametrize("library", ["polars", "duckdb"])
def test_the_rows_are_a_folder_that_further_libraries_read(tmp_path, library):
    reader = pytest.importorskip(library)
    write_run(tmp_path, {"id": "a", "status": "failed", "error": "Once."})
    write_run(tmp_path, row("b"))
    files = str(tmp_path / "rows" / "*.parquet")
    if library == "polars":
        found = reader.read_parquet(files)["id"].to_list()
    else:
        found = [each for (each,) in reader.sql(f"select id from read_parquet('{files}')").fetchall()]
    assert sorted(found) == ["a", "b"]


def of_before(folder: Path, *rows: dict[str, object]) -> None:
    """Results where they lay until 0.1."""
    for each in rows:
        path = write_run(folder, each)
        path.rename(folder / path.name)


def test_results_where_they_lay_before_are_read_and_moved_by_the_next_sweep(tmp_path):
    of_before(tmp_path, row("a"), FAILED | {"id": "b"})
    pack = tmp_path / "pack.parquet"
    pq.write_table(pa.table({"id": ["a", "b"]}), pack)
    assert run_path(tmp_path, "a") == tmp_path / "a.parquet"
    assert list(read_runs(tmp_path, ["a", "b"])[0]["id"]) == ["a", "b"]
    assert write_run(tmp_path, row("b")) == tmp_path / "b.parquet"
    os.link(tmp_path / "a.parquet", place(tmp_path, "linked").with_name("a.parquet"))  # killed between the two steps
    prepare_folder(tmp_path)
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["pack.parquet"]
    assert run_path(tmp_path, "a") == tmp_path / "rows" / "a.parquet"
    assert read_status(tmp_path, "a") == read_status(tmp_path, "b") == ("done", None)


@pytest.mark.parametrize(
    ("earlier", "there", "stays", "aside"),
    [("done", "failed", 0.25, 0), ("done", "done", 0.75, 1), ("failed", "done", 0.75, 1)],
    ids=["a failure gives way", "of two finished ones the one among the rows stays", "a failure goes"],
)
def test_a_run_with_results_in_both_places_keeps_a_finished_one(tmp_path, earlier, there, stays, aside):
    of_before(tmp_path, row("a", status=earlier))
    place(tmp_path, "b").with_name("a.parquet").write_bytes(
        written_elsewhere(tmp_path, row("a", status=there, test_accuracy=0.75))
    )
    prepare_folder(tmp_path)
    assert read_run(run_path(tmp_path, "a"))["test_accuracy"] == stays
    assert len([*tmp_path.glob("quarantine/*")]) == aside
    assert not [*tmp_path.glob("*.parquet")]


def written_elsewhere(folder: Path, content: dict[str, object]) -> bytes:
    return write_run(prepare_folder(folder / "elsewhere"), content).read_bytes()


def test_the_outcome_is_in_the_footer_and_of_older_files_in_the_columns(tmp_path):
    path = write_run(tmp_path, row(test_perplexity=9.5))
    expected = Outcome("done", None, test_accuracy=0.25, test_perplexity=9.5)
    assert read_outcome(path) == expected
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert read_outcome(path) == expected


@pytest.mark.parametrize("length", [1, 127, 128, 20_000, 3_000_000])
def test_the_outcome_is_told_without_parsing_what_a_footer_says_of_columns(tmp_path, monkeypatch, length):
    """Of ten thousand runs that would take seconds."""
    error = "é" * length
    path = write_run(tmp_path, row(status="failed", test_accuracy=None, error=error))
    monkeypatch.setattr(pq, "read_metadata", lambda _: pytest.fail("the footer was parsed"))
    assert read_outcome(path) == Outcome("failed", error, None, None)


def test_the_outcomes_of_many_runs_name_the_missing_and_the_damaged(tmp_path):
    write_run(tmp_path, row("a"))
    run_path(tmp_path, "b").touch()
    outcomes = read_outcomes(tmp_path, ["a", "b", "c"])
    assert outcomes["a"] == Outcome("done", None, 0.25, None)
    assert isinstance(outcomes["b"], UserError)
    assert outcomes["c"] is None


@pytest.mark.parametrize("read", [read_run, read_outcome])
def test_a_parquet_file_of_something_else_is_damaged(tmp_path, read):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1, 2]}), path)
    with pytest.raises(UserError, match="does not hold one run"):
        read(path)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_part_of_a_file_has_no_outcome(tmp_path, part):
    path = write_run(tmp_path, row())
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match="is damaged and cannot be read"):
        read_outcome(path)


def test_status_is_read_without_the_rest(tmp_path):
    write_run(tmp_path, row("a"))
    write_run(tmp_path, row("b", status="failed", error="The loss became NaN."))
    assert read_status(tmp_path, "a") == ("done", None)
    assert read_status(tmp_path, "b") == ("failed", "The loss became NaN.")
    assert read_status(tmp_path, "c") == (None, None)


def test_a_results_folder_is_created_and_left_empty(tmp_path):
    folder = prepare_folder(tmp_path / "deep" / "runs")
    assert folder.is_absolute()
    assert list(folder.iterdir()) == []


def test_a_results_folder_below_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written to .* paths\.results=FOLDER"):
        prepare_folder(tmp_path / "file" / "runs")


def test_a_results_folder_without_permission_is_a_sentence():
    folder = Path("/proc/spike_ssm")  # not even root may write here
    with pytest.raises(UserError, match="cannot be written to"):
        prepare_folder(folder)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path, "ablation") == MANIFEST


def test_an_unknown_sweep_is_a_sentence_that_names_the_known_ones(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    with pytest.raises(UserError, match=r"No sweep named 'other'.*choose one of ablation\."):
        read_manifest(tmp_path, "other")


def test_without_any_sweep_the_sentence_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"run python -m harness\.sweep \+sweep=other first"):
        read_manifest(tmp_path, "other")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"runs": 3}', '{"runs": [], "unknown": 1}', '{"runs": [{}]}'])
def test_a_damaged_manifest_is_a_sentence(tmp_path, content):
    path = manifest_path(tmp_path, "ablation")
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(UserError, match="is damaged"):
        read_manifest(tmp_path, "ablation")


def test_what_failed_is_discarded_what_is_damaged_set_aside_and_what_is_done_stays(tmp_path, caplog):
    write_run(tmp_path, {"id": "done", "status": "done"})
    write_run(tmp_path, {"id": "failed", "status": "failed", "error": "Once."})
    run_path(tmp_path, "damaged").write_bytes(b"PAR1")
    for run_id in ("done", "failed", "damaged", "missing"):
        discard_failure(tmp_path, run_id)
    assert [path.name for path in tmp_path.glob("rows/*")] == ["done.parquet"]
    (aside,) = tmp_path.glob("quarantine/*")
    assert aside.read_bytes() == b"PAR1"
    (said,) = caplog.messages
    assert said == f"The file {run_path(tmp_path, 'damaged')} was damaged and is kept as {aside}."


def test_a_damaged_file_that_gives_way_to_a_finished_result_is_kept(tmp_path):
    place(tmp_path, "a").write_bytes(b"PAR1")
    write_run(tmp_path, row())
    assert read_status(tmp_path, "a") == ("done", None)
    assert [path.read_bytes() for path in tmp_path.glob("quarantine/*")] == [b"PAR1"]
