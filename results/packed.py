"""Sweeps as one file to keep or to send: their runs as the rows of a parquet file, their manifests in its footer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import may_exist, replace
from spike_ssm.results.reading import check_version, conformed, read_run, run_path
from spike_ssm.results.schema import RUN, Manifest
from spike_ssm.results.store import prepare_folder, read_manifest, write_manifest, write_run

_MANIFESTS = b"spike_ssm.manifests"
_LEVEL = 19  # of zstd, which takes longer: these files are kept for long


def pack(folder: Path, sweeps: Sequence[str], path: Path) -> int:
    """Write the runs of the sweeps, each once, that have a result in `folder` to `path`; returns their number.

    Raises `UserError` when a sweep or run cannot be read, or the file cannot be written.
    """
    manifests = [read_manifest(folder, sweep) for sweep in sweeps]
    ids = dict.fromkeys(run.id for manifest in manifests for run in manifest.runs)
    rows = [read_run(run_path(folder, run_id)) for run_id in ids if may_exist(run_path(folder, run_id))]
    footer = {_MANIFESTS: json.dumps([manifest.to_json() for manifest in manifests], sort_keys=True).encode()}
    table = pa.Table.from_pylist(rows, schema=RUN.with_metadata({**(RUN.metadata or {}), **footer}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=_LEVEL)
    try:
        replace(path, sink.getvalue().to_pybytes())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}). Name another file.") from error
    return len(rows)


def unpack(path: Path, folder: Path) -> list[Manifest]:
    """Put what `pack` wrote into the results folder `folder`, where finished runs stay as they are.

    Returns the manifests. Raises `UserError` when the file is missing, damaged or of another kind.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read now ({error.strerror}).") from error
    try:
        table = pq.read_table(pa.BufferReader(content))
        check_version(path, table.schema.metadata or {})
        manifests = [Manifest.from_json(each) for each in json.loads((table.schema.metadata or {})[_MANIFESTS])]
        rows: list[dict[str, Any]] = conformed(path, table, RUN.names).to_pylist()
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{path} is no file that `python -m results pack` wrote ({why}).") from error
    prepare_folder(folder)
    for row in rows:
        write_run(folder, row)
    for manifest in manifests:
        write_manifest(folder, manifest)
    return manifests
