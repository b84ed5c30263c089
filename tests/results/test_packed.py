"""Sweeps as one file: what is packed is unpacked, each run once, and nothing finished is overwritten."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spike_ssm.results.__main__ import main
from spike_ssm.results.errors import UserError
from spike_ssm.results.packed import pack, unpack
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.schema import Manifest, PlannedRun
from spike_ssm.results.store import read_manifest, write_manifest, write_run
from tests.results.test_store import MANIFEST, row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sweeps that share run a; b has no result."""
    folder = tmp_path / "runs"
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


def test_a_finished_run_that_is_there_stays(folder: Path, tmp_path: Path) -> None:
    pack(folder, ["ablation"], tmp_path / "kept.parquet")
    write_run(tmp_path / "again", row("a", test_accuracy=0.75))
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
