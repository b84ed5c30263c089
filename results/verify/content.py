"""What a packed file holds. It may come from a stranger: it is read, and nothing in it is executed or followed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, deserialize

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.names import check_name
from spike_ssm.results.reading import check_version, conformed
from spike_ssm.results.schema import RUN, Manifest
from spike_ssm.results.timing.rows import TIMING, checked
from spike_ssm.results.verify.plain import read_json

WEIGHTS = "weights"
"""The column of the bytes of weights, and the folder of their files in a results folder."""

LARGEST_WEIGHTS = 2**30
"""Bytes that the weights of a run may have to be packed or unpacked."""

LARGEST_ROWS = 2**30
"""Bytes that the rows of a pack may have in memory, without weights."""

_ROWS_AT_ONCE = 16
_SMALLEST_VALUE = 8  # bytes that a value is counted as, where a run of equal ones takes less in the file

MANIFESTS, TIMES = b"spike_ssm.manifests", b"spike_ssm.timing"
"""Keys in the footer: of the JSON of the sweeps' manifests, and of the times of their variants."""


@dataclass(frozen=True)
class Pack:
    """What a file holds that `results.packed.pack` wrote: rows of `RUN`, or some of its columns, and manifests."""

    file: pq.ParquetFile
    rows: pa.Table
    manifests: list[Manifest]
    times: list[dict[str, Any]]  # of `results.timing.rows.TIMING`

    def weights(self) -> Iterator[bytes | None]:
        """The weights of one row after the other, None where it has none; one of them is in memory at a time.

        Raises `UserError` where the column is damaged.
        """
        if WEIGHTS in self.file.schema_arrow.names:
            try:
                for batch in self.file.iter_batches(batch_size=1, columns=[WEIGHTS]):
                    yield batch.column(0)[0].as_py()
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"The weights in the pack cannot be read ({' '.join(str(error).split())}).") from error


def why_no_weights(content: bytes, run_id: str) -> str:
    """Why this content is not the weights of the run; empty where it is. Nothing in it is executed."""
    if len(content) > LARGEST_WEIGHTS:
        return f"it has more than {LARGEST_WEIGHTS:,} bytes"
    try:
        deserialize(content)  # which checks that its tensors lie one after the other in the file, and nothing else does
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        owner, _ = json.loads(header["__metadata__"]["state"])
        return "" if owner["run"] == run_id else f"it is of the run {str(owner['run'])[:40]!r}"
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        return f"it is no file of tensors with the run that they are of: {' '.join(str(error).split())[:200]}"


def read_pack(path: Path, columns: Sequence[str] = tuple(RUN.names)) -> Pack:
    """What `results.packed.pack` wrote, of the rows these columns.

    Raises `UserError`: missing, damaged or of another kind.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read now ({error.strerror}).") from error
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        footer = file.schema_arrow.metadata or {}
        check_version(path, footer)
        _check_size(file)
        if MANIFESTS not in footer:
            raise ValueError("it names no sweeps")
        manifests = [Manifest.from_json(each) for each in read_json(footer[MANIFESTS])]
        times = pa.Table.from_pylist(read_json(footer.get(TIMES, b"[]")), schema=TIMING).to_pylist()
        rows = conformed(path, _rows(file, [name for name in columns if name in file.schema_arrow.names]), columns)
        rows.validate(full=True)
        for run_id in rows["id"].to_pylist():
            check_name("run", str(run_id))
        return Pack(file, rows, manifests, checked(path, times))
    except UnreadableError:
        raise
    except (UserError, OSError, pa.ArrowException, KeyError, ValueError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{path} is no file that `python -m results pack` wrote ({why}).") from error


def _check_size(file: pq.ParquetFile) -> None:
    """Raise ValueError where the footer tells that the rows are more than may be read, or that weights are no bytes."""
    groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    sizes = [
        max(chunk.total_uncompressed_size, chunk.num_values * _SMALLEST_VALUE)
        for chunk in chunks
        if chunk.path_in_schema != WEIGHTS
    ]
    if sum(sizes) > LARGEST_ROWS:
        raise ValueError(f"its rows have {sum(sizes):,} bytes in memory, and may have {LARGEST_ROWS:,}")
    if WEIGHTS in file.schema_arrow.names:
        kind = file.schema_arrow.field(WEIGHTS).type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise ValueError("its weights are no bytes")


def _rows(file: pq.ParquetFile, columns: Sequence[str]) -> pa.Table:
    """These columns of a file, read a few rows at a time: a text that all rows share is in the file once.

    Raises ValueError where they have more than `LARGEST_ROWS` bytes.
    """
    schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    batches, size = list[pa.RecordBatch](), 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(columns)):
        size += batch.nbytes
        if size > LARGEST_ROWS:
            raise ValueError(f"its rows have more than {LARGEST_ROWS:,} bytes in memory")
        batches.append(batch.select(list(columns)))
    return pa.Table.from_batches(batches, schema=schema)
