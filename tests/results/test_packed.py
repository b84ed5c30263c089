"""Sweeps as one file: what is packed is unpacked, each run once, and nothing finished is overwritten."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from spike_ssm.results.__main__ import main
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import replace
from spike_ssm.results.packed import pack, unpack, weights_path
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.schema import Manifest, PlannedRun
from spike_ssm.results.store import prepare_folder, read_manifest, write_manifest, write_run
from spike_ssm.results.timing.rows import read_timings, write_timing
from spike_ssm.results.verify import content
from tests.results.test_store import MANIFEST, row
from tests.results.test_timing import row as timing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sweeps that share run a; b has no result."""
    folder = prepare_folder(tmp_path / "runs")
    write_run(folder, row("a", traces=[{"layer": 0, "raster": b"\x01\x02", "raster_steps": 2}]))
    write_run(folder, row("c", test_accuracy=0.5))
    write_manifest(folder, MANIFEST)
    other = [PlannedRun("a", {"task": "listops"}, "none", 0), PlannedRun("c", {"task": "listops"}, "fixed", 0)]
    write_manifest(folder, Manifest("other", "Other", "?", "laptop", "", None, ["+sweep=other"], runs=other))
    return folder


def test_what_is_packed_is_unpacked(folder: Path, tmp_path: Path) -> None:
    assert pack(folder, ["ablation", "other"], tmp_path / "kept.parquet") == 2
    manifests = unpack(tmp_path / "kept.parquet", tmp_path / "again")
    assert manifests == [MANIFEST, read_manifest(folder, "other")]
    for name in ("ablation", "other"):
        assert read_manifest(tmp_path / "again", name) == read_manifest(folder, name)
    for run_id in ("a", "c"):
        assert read_run(run_path(tmp_path / "again", run_id)) == read_run(run_path(folder, run_id))
    assert not run_path(tmp_path / "again", "b").exists()


def test_without_scores_predictions_are_as_they_were(tmp_path: Path) -> None:
    predictions = [{"example": place, "label": place % 2, "prediction": 1, "score": 0.1 * place} for place in range(8)]
    write_run(tmp_path, row("a", predictions=predictions))
    write_run(tmp_path, row("c", predictions=None))
    write_manifest(tmp_path, MANIFEST)
    main(["pack", "ablation", "--results", str(tmp_path), "--to", str(tmp_path / "p.parquet"), "--without-scores"])
    unpack(tmp_path / "p.parquet", tmp_path / "again")
    assert read_run(run_path(tmp_path / "again", "a"))["predictions"] == [
        {**each, "score": None} for each in predictions
    ]


def test_times_of_packed_runs_are_taken_along(folder: Path, tmp_path: Path) -> None:
    write_timing(folder, [timing(run="a"), timing(run="b", train_ms=[3.0, 4.0]), timing(run="z")])
    write_timing(folder, [timing(sitting="later", run="z")])
    pack(folder, ["ablation"], tmp_path / "kept.parquet")
    for _ in range(2):
        unpack(tmp_path / "kept.parquet", tmp_path / "again")
        assert read_timings(tmp_path / "again") == ([timing(run="a"), timing(run="b", train_ms=[3.0, 4.0])], [])


@pytest.mark.parametrize(
    "times", ["7", "[7]", "[{}]", json.dumps([timing(train_ms=[-1.0, 1.0])]), "[[[", '[{"run": 7}]']
)
def test_times_that_are_none_are_not_unpacked(folder: Path, tmp_path: Path, times: str) -> None:
    file = tmp_path / "kept.parquet"
    pack(folder, ["ablation"], file)
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"spike_ssm.timing": times.encode()}), file)
    with pytest.raises(UserError, match=r"kept\.parquet"):
        unpack(file, tmp_path / "again")


def test_a_finished_run_that_is_there_stays(folder: Path, tmp_path: Path) -> None:
    pack(folder, ["ablation"], tmp_path / "kept.parquet")
    write_run(prepare_folder(tmp_path / "again"), row("a", test_accuracy=0.75))
    unpack(tmp_path / "kept.parquet", tmp_path / "again")
    assert read_run(run_path(tmp_path / "again", "a"))["test_accuracy"] == 0.75


def test_the_commands_say_what_they_did(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, again = tmp_path / "kept.parquet", tmp_path / "again"
    assert main(["pack", "other", "--results", str(folder), "--to", str(file)]) == 0
    assert main(["unpack", str(file), "--to", str(again)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"2 runs: {file}", f"other: {again}"]


def test_what_cannot_be_done_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "else.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    for name, why in (("else", "is no file that"), ("text", "is no file that"), ("missing", "cannot be read now")):
        with pytest.raises(UserError, match=f"{name}.parquet {why}"):
            unpack(tmp_path / f"{name}.parquet", tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert main(["pack", "lra", "--results", str(folder), "--to", str(tmp_path / "x.parquet")]) == 1
    assert "No sweep named 'lra' has been run" in capsys.readouterr().err


def weights(run_id: str, size: int = 4) -> bytes:
    """A file of a tensor, as the harness keeps it."""
    return save({"head": np.ones(size, np.float32)}, {"state": json.dumps([{"run": run_id}, {}]), "sha256": "0"})


@pytest.fixture
def with_weights(folder: Path) -> Path:
    for run_id in ("a", "c"):
        replace(weights_path(folder, run_id), weights(run_id))
    return folder


def test_weights_are_taken_along_on_request_alone(with_weights: Path, tmp_path: Path) -> None:
    without, file = tmp_path / "without.parquet", tmp_path / "with.parquet"
    words = ["ablation", "other", "--results", str(with_weights), "--to"]
    assert main(["pack", *words, str(without)]) == 0
    assert main(["pack", *words, str(file), "--weights"]) == 0
    assert "weights" not in pq.read_schema(without).names
    unpack(without, tmp_path / "bare")
    assert not (tmp_path / "bare" / "weights").exists()
    unpack(file, tmp_path / "again")
    for run_id in ("a", "c"):
        path = weights_path(tmp_path / "again", run_id)
        assert path.read_bytes() == weights_path(with_weights, run_id).read_bytes()


def test_a_run_without_weights_is_packed_without(with_weights: Path, tmp_path: Path) -> None:
    weights_path(with_weights, "c").unlink()
    pack(with_weights, ["other"], tmp_path / "kept.parquet", weights=True)
    unpack(tmp_path / "kept.parquet", tmp_path / "again")
    assert [path.stem for path in (tmp_path / "again" / "weights").iterdir()] == ["a"]


def test_weights_of_a_run_that_is_there_from_elsewhere_stay(with_weights: Path, tmp_path: Path) -> None:
    pack(with_weights, ["other"], tmp_path / "kept.parquet", weights=True)
    write_run(prepare_folder(tmp_path / "again"), row("a", started_at="2001-01-01T00:00:00+00:00"))
    others = weights("c", 2)
    replace(weights_path(tmp_path / "again", "c"), others)
    unpack(tmp_path / "kept.parquet", tmp_path / "again")
    assert not weights_path(tmp_path / "again", "a").exists()  # they would not be those of its result
    assert weights_path(tmp_path / "again", "c").read_bytes() == others


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no tensors", "it is no file of tensors"),
        (pickle.dumps({"head": 1}), "it is no file of tensors"),
        (weights("another"), "it is of the run 'another'"),
        (save({"head": np.ones(1)}), "it is no file of tensors with the run that they are of"),
        (weights("a")[:-1], "it is no file of tensors"),
    ],
)
def test_what_is_not_the_weights_of_the_run_is_neither_packed_nor_unpacked(
    with_weights: Path, tmp_path: Path, content: bytes, why: str
) -> None:
    replace(weights_path(with_weights, "a"), content)
    with pytest.raises(UserError, match=f"cannot be packed .{why}"):
        pack(with_weights, ["other"], tmp_path / "kept.parquet", weights=True)
    forged = tmp_path / "forged.parquet"
    pack(with_weights, ["other"], forged)
    table = pq.read_table(forged)
    pq.write_table(table.append_column("weights", pa.array([content, None], pa.large_binary())), forged)
    with pytest.raises(UserError, match=f"weights of the run a cannot be unpacked .{why}"):
        unpack(forged, tmp_path / "again")
    assert not (tmp_path / "again" / "weights").exists()


@pytest.mark.fault(
    "A pack from a stranger calls a run by a path that leads out of the results folder.",
    "It is not unpacked, in a sentence.",
)
def test_a_pack_leads_out_of_no_folder(with_weights: Path, tmp_path: Path) -> None:
    pack(with_weights, ["other"], tmp_path / "kept.parquet", weights=True)
    table = pq.read_table(tmp_path / "kept.parquet")
    ids = pa.array(["../../outside", "c"], table.schema.field("id").type)
    pq.write_table(table.set_column(table.column_names.index("id"), "id", ids), tmp_path / "kept.parquet")
    with pytest.raises(UserError, match=r"The run '../../outside' cannot be: a name is"):
        unpack(tmp_path / "kept.parquet", tmp_path / "deep" / "again")
    assert not list(tmp_path.rglob("outside*"))


def test_weights_beyond_the_limit_are_refused(
    with_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(with_weights, ["other"], tmp_path / "kept.parquet", weights=True)
    monkeypatch.setattr(content, "LARGEST_WEIGHTS", 20)
    with pytest.raises(UserError, match="it has more than 20 bytes"):
        unpack(tmp_path / "kept.parquet", tmp_path / "again")
