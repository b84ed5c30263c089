"""Reading and writing result files: one parquet file per run, whole or not there.

A file that is damaged all the same (a bad copy) is named in a sentence and never hides the others.

Which of two results of one run stays: a finished one gives way to none, a failure to a finished one. A failure is only
ever linked to a free name and can therefore replace nothing, whoever writes it and however late. A finished result is
linked as well; where the name is taken it takes the place of what it has read to be a failure, and nothing else. Two
finished ones could meet there only if both found the failure: the run's lease (`harness.state.lease`) keeps them
apart, and even then a reader sees one of them, whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from spike_ssm.results.errors import UserError
from spike_ssm.results.files import link_if_free, remove_leftovers, replace, written
from spike_ssm.results.names import check_name
from spike_ssm.results.schema import RUN, SCHEMA_VERSION, Manifest, Status

if TYPE_CHECKING:
    import pandas as pd

RESULTS = Path("results/runs")
"""The results folder unless told otherwise, as `paths.results` has it."""

_OUTCOME_KEY = "spike_ssm.outcome"
_THREADS = 4  # they wait for a file server more than they compute


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run, in short. The measures are null where the task has none or the run failed."""

    status: Status
    error: str | None  # one sentence for people, when failed
    test_accuracy: float | None
    test_perplexity: float | None


_OUTCOME_COLUMNS = list(Outcome.__dataclass_fields__)


def results_folder(text: str) -> Path:
    """The absolute path of the folder that a user wrote, e.g. on the command line."""
    return Path(text).expanduser().absolute()


def prepare_folder(folder: Path) -> Path:
    """Create `folder`, prove that results can be written to it, and remove what killed writers left.

    Returns its absolute path. Raises `UserError`.
    """
    folder = folder.expanduser().absolute()
    try:
        with written(folder / "writable", b"") as probe:
            link = probe.with_suffix(".link.tmp")
            try:
                link_if_free(probe, link)
            finally:
                link.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"The results folder {folder} cannot be written to ({error.strerror}). "
            "Make it writable, on a file system with hard links, or name another with paths.results=FOLDER."
        ) from error
    for place in (folder, folder / "state", folder / "sweeps"):
        remove_leftovers(place)
    return folder


def run_path(folder: Path, run_id: str) -> Path:
    """Path of the result of run `run_id`."""
    return folder / f"{run_id}.parquet"


def manifest_path(folder: Path, sweep: str) -> Path:
    """Path of the manifest of sweep `sweep`. Raises `UserError` for what can be no name of a file."""
    check_name("sweep", sweep)
    return folder / "sweeps" / f"{sweep}.json"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    replace(path, json.dumps(content, indent=1, sort_keys=True).encode())


def write_run(folder: Path, row: Mapping[str, Any]) -> Path:
    """Publish one run's row (keys of `results.schema.RUN`; missing ones become null) and return its path.

    A finished result already there stays, whatever `row` is; a failure gives way to a finished result only. Raises
    `UserError` when the file cannot be written, `KeyError` for unknown columns.
    """
    unknown = set(row) - set(RUN.names)
    if unknown:
        raise KeyError(f"Not columns of a run: {sorted(unknown)}; results/schema.py lists the columns.")
    complete = dict.fromkeys(RUN.names) | {"schema_version": SCHEMA_VERSION} | dict(row)
    path = run_path(folder, str(row["id"]))
    try:
        with written(path, _as_parquet(complete)) as temporary:
            if not link_if_free(temporary, path) and complete["status"] == "done" and not _is_done(path):
                temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"The result file {path} cannot be written ({error.strerror}). Make room or make the folder writable, "
            "then run the sweep again: it goes on from here; or name another folder with paths.results=FOLDER."
        ) from error
    return path


def discard_failure(folder: Path, run_id: str) -> None:
    """Remove the result of a run that failed, or is damaged, so that the run may be executed again."""
    path = run_path(folder, run_id)
    if path.exists() and not _is_done(path):
        path.unlink(missing_ok=True)


def _as_parquet(row: dict[str, Any]) -> bytes:
    """The file of one run. Its footer tells the outcome, so that looking at many runs reads no columns."""
    footer = {f"spike_ssm.{key}": str(row[key]) for key in ("config", "environment", "code_version")}
    footer[_OUTCOME_KEY] = json.dumps({name: row[name] for name in _OUTCOME_COLUMNS})
    schema = RUN.with_metadata({**(RUN.metadata or {}), **footer})
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist([row], schema=schema)
    # one row: dictionaries and statistics only lengthen it, the latter by four copies of a raster, and setting up zstd
    # for each column takes longer than all else of a read
    pq.write_table(table, sink, compression="lz4", use_dictionary=False, write_statistics=False)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _is_done(path: Path) -> bool:
    try:
        return read_outcome(path).status == "done"
    except UserError:
        return False


def _damaged(path: Path, why: object) -> UserError:
    return UserError(
        f"The result file {path} is damaged and cannot be read ({str(why).partition(chr(10))[0]}). "
        "Delete it, or run the sweep again with retry=true; no other run is affected."
    )


def _read_table(path: Path, columns: list[str] | None) -> pa.Table:
    """One run's columns; None: all. Columns that came later than the file are missing.

    The file's bytes are read in one go, and all columns without naming them: each takes a fifth off the time.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(path.read_bytes())) as file:
            if file.metadata.num_rows == 1 and "id" in file.schema.names:
                return file.read(columns=columns, use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    raise _damaged(path, "it does not hold one run")


def read_run(path: Path, columns: list[str] | None = None) -> dict[str, Any]:
    """The row of one run, or these of its columns. Raises `UserError` with a sentence when the file is damaged."""
    (row,) = _read_table(path, columns).to_pylist()
    read: dict[str, Any] = row
    return read


def read_outcome(path: Path) -> Outcome:
    """Outcome of the run whose result is `path`, from the file's footer. Raises `UserError` when damaged."""
    try:
        footer = pq.read_metadata(path).metadata or {}
        if _OUTCOME_KEY.encode() in footer:
            return Outcome(**json.loads(footer[_OUTCOME_KEY.encode()]))
        return Outcome(**read_run(path, _OUTCOME_COLUMNS))  # written before footers told the outcome
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def read_outcomes(folder: Path, ids: Iterable[str]) -> dict[str, Outcome | UserError | None]:
    """The outcome of every run: None where there is no result yet, the error where it is damaged."""

    def read(run_id: str) -> Outcome | UserError | None:
        path = run_path(folder, run_id)
        try:
            return read_outcome(path) if path.exists() else None
        except UserError as error:
            return error

    ids = list(ids)
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(ids, pool.map(read, ids), strict=True))


def read_status(folder: Path, run_id: str) -> tuple[Status | None, str | None]:
    """`(status, error)` of a run, `(None, None)` when it has no result yet. Raises `UserError` when damaged."""
    path = run_path(folder, run_id)
    if not path.exists():
        return None, None
    outcome = read_outcome(path)
    return outcome.status, outcome.error


def read_runs(
    folder: Path, ids: Iterable[str], predictions: bool = False, traces: bool = False
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows of the runs that are there, ids of those that are missing, and a sentence for each damaged file.

    The frame has the columns of `results.schema.RUN`, `predictions` and `traces` only when asked for: they are most
    of a file. `predictions` holds a frame per run, whose columns are its fields, or None; `epochs`, `layers`,
    `operations`, `traces` and `pmbc_map` hold lists of dicts.
    """
    import pandas as pd  # half as long to import as all else here, and looking at a sweep needs none

    left_out = {"predictions": not predictions, "traces": not traces}
    columns = [name for name in RUN.names if not left_out.get(name)]

    def read(run_id: str) -> pa.Table | UserError | None:
        path = run_path(folder, run_id)
        try:
            return _read_table(path, columns if any(left_out.values()) else None) if path.exists() else None
        except UserError as error:
            return error

    ids = list(ids)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(read, ids))
    tables = [table.replace_schema_metadata(None) for table in found if isinstance(table, pa.Table)]
    if tables:
        rows = _as_frame(pa.concat_tables(tables, promote_options="default"), columns)
    else:
        rows = pd.DataFrame(columns=columns)
    missing = [run_id for run_id, table in zip(ids, found, strict=True) if table is None]
    damaged = [str(error) for error in found if isinstance(error, UserError)]
    return rows, missing, damaged


def _as_frame(table: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
    """The table as a frame with these columns, of plain Python values.

    `predictions`, of which there may be millions, are a frame each.
    """
    import pandas as pd

    name = "predictions"
    predictions = table[name].combine_chunks() if name in table.column_names else None
    rows = table.drop_columns(name) if predictions is not None else table
    frame = pd.DataFrame(rows.to_pylist(), columns=[column for column in columns if column != name])
    if predictions is None:
        return frame.reindex(columns=list(columns))
    entries = pa.Table.from_struct_array(predictions.values).to_pandas()
    ends = predictions.offsets.to_pylist()
    valid = predictions.is_valid().to_pylist()
    frames = [entries[start:end] if there else None for start, end, there in zip(ends, ends[1:], valid, strict=False)]
    frame[name] = pd.Series(dict(enumerate(frames)), dtype=object)
    return frame[list(columns)]


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write the manifest of a sweep; returns its path."""
    path = manifest_path(folder, manifest.name)
    write_json(path, manifest.to_json())
    return path


def read_manifests(folder: Path) -> list[Manifest]:
    """The manifests of all sweeps that were run, by name. Damaged ones are left out."""
    found = []
    for path in sorted((folder / "sweeps").glob("*.json")):
        with suppress(UserError):
            found.append(read_manifest(folder, path.stem))
    return found


def read_manifest(folder: Path, sweep: str) -> Manifest:
    """The manifest of a sweep. Raises `UserError` when there is none or it is damaged."""
    path = manifest_path(folder, sweep)
    if not path.exists():
        known = sorted(other.stem for other in path.parent.glob("*.json"))
        raise UserError(
            f"No sweep named {sweep!r} has been run in {folder}. "
            + (f"There are: {', '.join(known)}." if known else f"Run python -m harness.sweep +sweep={sweep} first.")
        )
    try:
        manifest = Manifest.from_json(json.loads(path.read_text()))
        if manifest.name != sweep:
            raise UserError(f"it is of the sweep {manifest.name!r}")
        return manifest
    except (UserError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"The manifest {path} is damaged ({str(error).rstrip('.')}). Run python -m harness.sweep +sweep={sweep} "
            "again: it writes a new one and skips the finished runs."
        ) from error
