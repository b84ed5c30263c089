"""Files of times: what is written is read again, and what no measurement gives is named and left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.schema import VERSION_KEY
from spike_ssm.results.timing.rows import TIMING, machine_name, machine_of, read_timing, read_timings, write_timing

ROW = {
    "sitting": "a", "measured_at": "2026-01-01T00:00:00+00:00", "run": "r0", "task": "listops",
    "processor": "EPYC", "vector_instructions": "AVX2", "gpu": None, "threads": 1, "torch": "2.13.0",
    "code_version": "abc", "machine_shared": False, "convolution": "scan", "train_ms": [1.0, 2.0],
    "inference_ms": [0.5, 0.25], "train_samples": 16.0, "train_tokens": 100.0, "inference_samples": 16.0,
    "inference_tokens": 90.0, "peak_memory_mib": 300.0, "step_memory_mib": None,
}  # fmt: skip


def row(**changes: Any) -> dict[str, Any]:
    return {**ROW, **changes}


def test_what_is_written_is_read_again_the_latest_last(tmp_path: Path) -> None:
    later = [row(sitting="0", measured_at="2026-02-01T00:00:00+00:00"), row(sitting="0", run="r1")]
    write_timing(tmp_path, [row()])
    write_timing(tmp_path, [{**each, "measured_at": later[0]["measured_at"]} for each in later])
    rows, errors = read_timings(tmp_path)
    assert [(each["sitting"], each["run"]) for each in rows] == [("a", "r0"), ("0", "r0"), ("0", "r1")]
    assert (rows[0], errors) == (row(), [])
    assert list(rows[0]) == TIMING.names


def test_machines_are_told_apart_by_processor_instructions_threads_and_torch() -> None:
    others = ({"processor": "Xeon"}, {"vector_instructions": "AVX512"}, {"threads": 2}, {"torch": "2.14"}, {"gpu": "H"})
    machines = {machine_of(row(**change)) for change in ({}, *others)}
    assert len(machines) == 6
    assert machine_of(row(code_version="other", run="r9")) == machine_of(ROW)
    assert machine_name(ROW) == "EPYC (AVX2, 1 thread, torch 2.13.0)"
    assert machine_name(row(gpu="H200", threads=4)) == "H200 (4 threads, torch 2.13.0)"


IMPOSSIBLE = [
    {"train_ms": [1.0, float("nan")]}, {"train_ms": [0.0, 1.0]}, {"inference_ms": [-1.0, 1.0]}, {"train_ms": []},
    {"train_ms": [1.0]}, {"train_tokens": float("inf")}, {"peak_memory_mib": 0.0}, {"threads": None}, {"torch": None},
    {"processor": "a\x1b[2J"}, {"gpu": "a\nb"}, {"sitting": "../a"},
]  # fmt: skip


@pytest.mark.parametrize("change", IMPOSSIBLE, ids=str)
def test_what_no_measurement_gives_is_neither_written_nor_read(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        write_timing(tmp_path, [row(**change)])
    path = tmp_path / "timing" / "a.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist([row(**change)], schema=TIMING), path)
    rows, (error,) = read_timings(tmp_path)
    assert rows == []
    assert str(path) in str(error)


@pytest.mark.parametrize("content", [b"", b"PAR1 no more", json.dumps(ROW).encode()])
def test_a_damaged_file_is_named_and_hides_no_other(tmp_path: Path, content: bytes) -> None:
    write_timing(tmp_path, [row()])
    (tmp_path / "timing" / "b.parquet").write_bytes(content)
    rows, (error,) = read_timings(tmp_path)
    assert len(rows) == 1
    assert str(error).startswith(f"The times {tmp_path / 'timing' / 'b.parquet'} are damaged, and left out (")
    assert str(error).endswith("measure them again with timing=only.")


def test_a_file_of_newer_code_or_another_sitting_is_left_out(tmp_path: Path) -> None:
    path = write_timing(tmp_path, [row()])
    newer = TIMING.with_metadata({VERSION_KEY: b"99"})
    pq.write_table(pa.Table.from_pylist([row()], schema=newer), path)
    with pytest.raises(UnreadableError, match="newer version"):
        read_timing(path)
    pq.write_table(pa.Table.from_pylist([row(sitting="b")], schema=TIMING), path)
    with pytest.raises(UserError, match="not of the sitting"):
        read_timing(path)


def test_columns_that_came_later_are_null_and_without_files_there_are_none(tmp_path: Path) -> None:
    path = write_timing(tmp_path, [row()])
    table = pq.read_table(path).drop_columns(["step_memory_mib", "convolution"]).append_column("new", [["x"]])
    pq.write_table(table, path)
    assert read_timing(path) == [row(convolution=None)]
    assert read_timings(tmp_path / "nothing") == ([], [])
