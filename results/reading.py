"""Reading result files: where a run's is, its row, its outcome in short, and many runs as one frame.

A file must be one run, the one it is named for, of a version that this code knows, in the schema's types. A file that
cannot be read now and one whose content is wrong are different things: the first may hold a finished run, so it is left
alone (`UnreadableError`); the second may be set aside.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import may_exist
from spike_ssm.results.schema import RUN, SCHEMA_VERSION, TRACED, VERSION_KEY, Status

if TYPE_CHECKING:
    import pandas as pd

ID_KEY, OUTCOME_KEY = b"spike_ssm.id", b"spike_ssm.outcome"
"""Keys in a file's footer: of the run's id, and of the JSON of its outcome."""

_FOOTER_BYTES = 65536  # more than a footer has, so that one read gets it
_THREADS = 4  # they wait for a file server more than they compute


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run, in short. The measures are null where the task has none or the run failed."""

    status: Status
    error: str | None  # one sentence for people, when failed
    test_accuracy: float | None
    test_perplexity: float | None

    def is_plausible(self) -> bool:
        """Whether the values are of the types that they should be."""
        measures = (self.test_accuracy, self.test_perplexity)
        return (
            self.status in get_args(Status)
            and isinstance(self.error, str | None)
            and all(isinstance(each, float | int | None) for each in measures)
        )


OUTCOME_COLUMNS = list(Outcome.__dataclass_fields__)


def rows_folder(folder: Path) -> Path:
    """The folder of the results, which holds nothing else."""
    return folder / "rows"


def run_path(folder: Path, run_id: str) -> Path:
    """Path of the result of run `run_id`: among the rows, or where it lay until 0.1 if it is only there."""
    path = rows_folder(folder) / f"{run_id}.parquet"
    earlier = folder / path.name
    return earlier if not may_exist(path) and may_exist(earlier) else path


def ids_there(folder: Path) -> set[str] | None:
    """Ids of the runs that have a result file, by one question to a slow file system; None where it does not tell."""
    found = set[str]()
    for place in (folder, rows_folder(folder)):
        try:
            found |= {path.stem for path in place.iterdir() if path.suffix == ".parquet"}
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return found


def read_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """One run with these columns of `RUN`, typed as there; null where they came later than the file.

    Raises `UnreadableError` when it cannot be read now, or not by this code, and `UserError` when its content is wrong.
    The file's bytes are read in one go, and all columns without naming them: each takes a fifth off the time.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    few = None if len(columns) == len(RUN.names) else list({"id", *columns})
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            check_version(path, file.metadata.metadata or {})
            table = file.read(columns=few, use_threads=False) if file.metadata.num_rows == 1 else None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if table is None or "id" not in table.column_names:
        raise _damaged(path, "it does not hold one run")
    _check_id(path, table["id"][0].as_py())
    return conformed(path, table, columns)


def read_run(path: Path, columns: Sequence[str] = tuple(RUN.names)) -> dict[str, Any]:
    """The row of one run, or these of its columns. Raises `UserError` as `read_table`."""
    (row,) = read_table(path, columns).to_pylist()
    read: dict[str, Any] = row
    return read


def read_outcome(path: Path) -> Outcome:
    """Outcome of the run whose result is `path`, from the file's footer. Raises `UserError` as `read_table`."""
    try:
        footer = _footer(path)
        check_version(path, footer)
        if ID_KEY in footer and OUTCOME_KEY in footer:
            _check_id(path, footer[ID_KEY].decode())
            outcome = Outcome(**json.loads(footer[OUTCOME_KEY]))
        else:  # written before footers told them
            outcome = Outcome(**read_run(path, OUTCOME_COLUMNS))
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error
    if not outcome.is_plausible():
        raise _damaged(path, f"its outcome is {outcome}")
    return outcome


def _footer(path: Path) -> Mapping[bytes, bytes]:
    """What is asked of the metadata at the end of a parquet file; nothing else is read. Raises what pyarrow does."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _FOOTER_BYTES))
            tail = file.read()
            needed = int.from_bytes(tail[-8:-4], "little") + 8  # its length and the magic number
            if len(tail) < needed <= size:
                file.seek(size - needed)
                tail = file.read()
    except OSError as error:
        raise _unreadable(path, error) from error
    found = {key: _entry(tail[-needed:], key) for key in (VERSION_KEY, ID_KEY, OUTCOME_KEY)}
    if tail[-4:] == b"PAR1" and needed <= len(tail) and None not in found.values():
        return {key: value for key, value in found.items() if value is not None}
    footer: Mapping[bytes, bytes] = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
    return footer


def _entry(footer: bytes, key: bytes) -> bytes | None:
    """The value of a key of a parquet footer's metadata; None where it does not stand there as it usually does.

    Parsing the footer, which describes hundreds of columns, takes ten times as long. Each entry is a structure in
    Thrift's compact protocol: the key and the value, each behind the byte 0x18 and its length, and a zero.
    """
    found = re.search(b"\x18" + bytes([len(key)]) + re.escape(key) + rb"\x18([\x80-\xff]{0,3}[\x00-\x7f])", footer)
    if found is None:
        return None
    length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(found[1]))
    value = footer[found.end() : found.end() + length + 1]
    return value[:-1] if len(value) == length + 1 and value[-1] == 0 else None


def read_outcomes(folder: Path, ids: Iterable[str]) -> dict[str, Outcome | UserError | None]:
    """The outcome of every run: None where there is no result yet, the error where it cannot be read."""

    def read(run_id: str) -> Outcome | UserError | None:
        path = run_path(folder, run_id)
        try:
            return read_outcome(path) if may_exist(path) else None
        except UserError as error:
            return error

    ids = list(ids)
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(ids, pool.map(read, ids), strict=True))


def read_status(folder: Path, run_id: str) -> tuple[Status | None, str | None]:
    """`(status, error)` of a run, `(None, None)` when it has no result yet. Raises `UserError` as `read_table`."""
    path = run_path(folder, run_id)
    if not may_exist(path):
        return None, None
    outcome = read_outcome(path)
    return outcome.status, outcome.error


def read_runs(
    folder: Path, ids: Iterable[str], predictions: bool = False, traces: bool = False
) -> tuple[pd.DataFrame, list[str], dict[str, UserError]]:
    """Rows of the runs that are there, ids of those that are missing, and by id the error of each that is not read.

    The frame has the columns of `results.schema.RUN`, `predictions` only when asked for, and so `traces` with their
    example: they are most of a file. `predictions` holds a frame per run, whose columns are its fields, or None;
    `epochs`, `layers`, `operations`, `traces` and `pmbc_map` hold lists of dicts.
    """
    import pandas as pd  # half as long to import as all else here, and looking at a sweep needs none

    columns = columns_with(predictions, traces)

    def read(run_id: str) -> pa.Table | UserError | None:
        path = run_path(folder, run_id)
        try:
            return read_table(path, columns) if may_exist(path) else None
        except UserError as error:
            return error

    ids = list(ids)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = dict(zip(ids, pool.map(read, ids), strict=True))
    tables = [table for table in found.values() if isinstance(table, pa.Table)]
    rows = frame_of(pa.concat_tables(tables), columns) if tables else pd.DataFrame(columns=columns)
    missing = [run_id for run_id, table in found.items() if table is None]
    return rows, missing, {run_id: error for run_id, error in found.items() if isinstance(error, UserError)}


def columns_with(predictions: bool, traces: bool) -> list[str]:
    """The columns of a run; `predictions`, and `traces` with their example, only when asked for."""
    left_out = {"predictions": not predictions} | dict.fromkeys(TRACED, not traces)
    return [name for name in RUN.names if not left_out.get(name)]


def frame_of(table: pa.Table, columns: Sequence[str]) -> pd.DataFrame:
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


def _damaged(path: Path, why: object) -> UserError:
    """The error that the content of `path` is wrong."""
    return UserError(
        f"The result file {path} is damaged and cannot be read ({str(why).partition(chr(10))[0]}). Run the sweep again "
        "with retry=true, which moves it to the folder quarantine, or move it away; no other run is affected."
    )


def _unreadable(path: Path, error: OSError) -> UnreadableError:
    """The error that `path` could not be read, whatever it holds."""
    return UnreadableError(
        f"The result file {path} cannot be read now ({error.strerror or error}), so its run counts neither as finished "
        "nor as one to run again. Look at its permissions and at the disk, then try again; nothing was changed."
    )


def check_version(path: Path, footer: Mapping[bytes, bytes]) -> None:
    """Raise `UnreadableError` where the file's footer says that newer code wrote it."""
    text = footer.get(VERSION_KEY, b"1").decode(errors="replace")
    if not text.isdecimal():
        raise _damaged(path, f"its schema version is {text!r}")
    if int(text) > SCHEMA_VERSION:
        raise UnreadableError(
            f"The result file {path} is of version {text} of the schema, and this code reads versions up to "
            f"{SCHEMA_VERSION}: look at it with the code that wrote it, or newer; nothing was changed."
        )


def _check_id(path: Path, run_id: object) -> None:
    """Raise `UserError` where the file is not of the run that it is named for."""
    if run_id != path.stem:
        raise _damaged(path, f"it is of the run {run_id!r}")


def conformed(path: Path, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The table with exactly these columns, typed as `RUN`; those that came later than the file are null.

    Raises `UserError` where a column holds something else.
    """
    wanted = pa.schema([RUN.field(name) for name in columns])
    if table.schema.equals(wanted):
        return table.replace_schema_metadata(None)
    return pa.Table.from_arrays([_column(path, table, field) for field in wanted], schema=wanted)


def _column(path: Path, table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    if field.name not in table.column_names:
        return pa.nulls(len(table), field.type)
    column = table[field.name]
    if column.type == field.type:
        return column
    try:
        return column.cast(field.type)
    except (pa.ArrowException, ValueError):  # entries that have other fields are no error
        return _array(path, field, column.to_pylist())


def _array(path: Path, field: pa.Field, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise _damaged(path, f"its column {field.name} is not as results/schema.py has it") from error
