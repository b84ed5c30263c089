"""Sweeps as one file to keep or to send: their runs as the rows of a parquet file, their manifests in its footer.

The times of their variants go along in the footer. On request the trained weights of runs are taken along, each as the
bytes of its file in a column of their own. A pack may come from a stranger: nothing in it names a file but sittings,
whose names are plain ones, and what is not the weights of that very run is not unpacked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import link_if_free, may_exist, replace, written
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.schema import RUN, Manifest
from spike_ssm.results.store import prepare_folder, read_manifest, write_manifest, write_run
from spike_ssm.results.timing.rows import read_timings, timing_path, write_timing
from spike_ssm.results.verify.content import MANIFESTS, TIMES, WEIGHTS, read_pack, why_no_weights

_LEVEL = 19  # of zstd, which takes longer: these files are kept for long


def weights_path(folder: Path, run_id: str) -> Path:
    """Path of the tested weights of run `run_id`, where they are kept."""
    return folder / WEIGHTS / f"{run_id}.safetensors"


def pack(folder: Path, sweeps: Sequence[str], path: Path, *, weights: bool = False, scores: bool = True) -> int:
    """Write the runs of the sweeps, each once, that have a result in `folder` to `path`; returns their number.

    weights: with those that were kept. scores: with the probability of each prediction, most of the file where test
    sets are large. Raises `UserError` when a sweep, a run or its weights cannot be read, or the
    file cannot be written.
    """
    manifests = [read_manifest(folder, sweep) for sweep in sweeps]
    ids = dict.fromkeys(run.id for manifest in manifests for run in manifest.runs)
    rows = [read_run(run_path(folder, run_id)) for run_id in ids if may_exist(run_path(folder, run_id))]
    for row in rows if not scores else ():
        row["predictions"] = row["predictions"] and [{**each, "score": None} for each in row["predictions"]]
    times = [row for row in read_timings(folder)[0] if row["run"] in ids]
    footer = {MANIFESTS: json.dumps([manifest.to_json() for manifest in manifests], sort_keys=True).encode()}
    footer |= {TIMES: json.dumps(times).encode()} if times else {}
    table = pa.Table.from_pylist(rows, schema=RUN.with_metadata({**(RUN.metadata or {}), **footer}))
    if weights:
        table = table.append_column(WEIGHTS, pa.array((_kept(folder, row["id"]) for row in rows), pa.large_binary()))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=_LEVEL, write_page_checksum=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, sink.getvalue().to_pybytes())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}). Name another file.") from error
    return len(rows)


def _kept(folder: Path, run_id: str) -> bytes | None:
    """The weights of a run, or None. Raises `UserError` where they cannot be read, or are none."""
    path = weights_path(folder, run_id)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read now ({error.strerror}).") from error
    if reason := why_no_weights(content, run_id):
        raise UserError(f"{path} cannot be packed ({reason}): remove it, or pack without --weights.")
    return content


def unpack(path: Path, folder: Path) -> list[Manifest]:
    """Put what `pack` wrote into the results folder `folder`, where finished runs stay as they are.

    Returns the manifests. Raises `UserError` as `read_pack`, and where a run's weights are not what they should be.
    """
    found = read_pack(path)
    prepare_folder(folder)
    rows: list[dict[str, Any]] = found.rows.to_pylist()
    for row in rows:
        write_run(folder, row)
    for row, content in zip(rows, found.weights(), strict=False):
        if content is not None:
            _unpack_weights(path, folder, row, content)
    for sitting in dict.fromkeys(row["sitting"] for row in found.times):
        if not may_exist(timing_path(folder, sitting)):
            write_timing(folder, [row for row in found.times if row["sitting"] == sitting])
    for manifest in found.manifests:
        write_manifest(folder, manifest)
    return found.manifests


def _unpack_weights(pack: Path, folder: Path, row: dict[str, Any], content: bytes) -> None:
    """Keep the weights of the run in `row`, unless the folder has that run from elsewhere, or weights of it."""
    path = weights_path(folder, row["id"])
    if reason := why_no_weights(content, row["id"]):
        raise UserError(f"{pack}: the weights of the run {row['id']} cannot be unpacked ({reason}).")
    if read_run(run_path(folder, row["id"]), ["started_at"])["started_at"] != row["started_at"]:
        return
    try:
        with written(path, content) as temporary:
            link_if_free(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}). Make room, or name another folder.") from error
