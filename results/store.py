"""Reading and writing result files: one parquet file a run, written to a temporary name and moved.

A reader therefore sees a whole file or none. A file that is damaged all the same (a full disk, a bad copy) is named
in a sentence and never hides the others.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from results.schema import RUN, SCHEMA_VERSION, Manifest, Status


class ResultError(Exception):
    """A result file, manifest or results folder cannot be used; the message says which and what to do."""


def prepare_folder(folder: Path) -> Path:
    """Create `folder` and prove that it can be written to. Returns its absolute path."""
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ResultError(
            f"The results folder {folder} cannot be written to ({error.strerror}). "
            "Make it writable, or name another with paths.results=FOLDER."
        ) from error
    return folder


def run_path(folder: Path, run_id: str) -> Path:
    """Where the result of run `run_id` lies."""
    return folder / f"{run_id}.parquet"


def manifest_path(folder: Path, sweep: str) -> Path:
    """Where the manifest of sweep `sweep` lies."""
    return folder / "sweeps" / f"{sweep}.json"


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    _replace(path, json.dumps(content, indent=1, sort_keys=True).encode())


def write_run(folder: Path, row: Mapping[str, Any]) -> Path:
    """Write one run's row (keys of `results.schema.RUN`; missing ones become null) and return its path."""
    unknown = set(row) - set(RUN.names)
    if unknown:
        raise KeyError(f"Not columns of a run: {sorted(unknown)}; results/schema.py lists the columns.")
    complete = dict.fromkeys(RUN.names) | {"schema_version": SCHEMA_VERSION} | dict(row)
    config_and_environment = {
        f"spike_ssm.{key}": str(complete[key]) for key in ("config", "environment", "code_version")
    }
    schema = RUN.with_metadata({**(RUN.metadata or {}), **config_and_environment})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([complete], schema=schema), sink, compression="zstd")
    path = run_path(folder, str(row["id"]))
    _replace(path, sink.getvalue().to_pybytes())
    return path


def read_run(path: Path, columns: list[str] | None = None) -> dict[str, Any]:
    """The row of one run. Raises `ResultError` with a sentence when the file is damaged."""
    try:
        rows: list[dict[str, Any]] = pq.read_table(path, columns=columns).to_pylist()
        (row,) = rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ResultError(
            f"The result file {path} is damaged and cannot be read ({str(error).splitlines()[0]}). "
            "Delete it, or run the sweep again with retry=true; no other run is affected."
        ) from error
    return row


def read_status(folder: Path, run_id: str) -> tuple[Status | None, str | None]:
    """`(status, error)` of a run, `(None, None)` when it has no result yet. Raises `ResultError` when damaged."""
    path = run_path(folder, run_id)
    if not path.exists():
        return None, None
    row = read_run(path, columns=["status", "error"])
    return row["status"], row["error"]


def read_runs(folder: Path, ids: Iterable[str]) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows of the runs that are there, ids of those that are missing, and a sentence for each damaged file.

    The frame has the columns of `results.schema.RUN`; `epochs`, `layers` and `predictions` hold lists of dicts.
    """
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    damaged: list[str] = []
    for run_id in ids:
        path = run_path(folder, run_id)
        if not path.exists():
            missing.append(run_id)
            continue
        try:
            rows.append(read_run(path))
        except ResultError as error:
            damaged.append(str(error))
    return pd.DataFrame(rows, columns=RUN.names), missing, damaged


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Store what a sweep set out to run."""
    path = manifest_path(folder, manifest.name)
    write_json(path, manifest.to_json())
    return path


def read_manifest(folder: Path, sweep: str) -> Manifest:
    """The manifest of a sweep. Raises `ResultError` when there is none or it is damaged."""
    path = manifest_path(folder, sweep)
    if not path.exists():
        known = sorted(other.stem for other in path.parent.glob("*.json"))
        raise ResultError(
            f"No sweep named {sweep!r} has been run in {folder}. "
            + (f"There are: {', '.join(known)}." if known else f"Run python -m harness.sweep +sweep={sweep} first.")
        )
    try:
        return Manifest.from_json(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise ResultError(
            f"The manifest {path} is damaged ({error}). Run python -m harness.sweep +sweep={sweep} again: "
            "it writes a new one and skips the finished runs."
        ) from error
