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

WEIGHTS = "weights"
"""The column of the bytes of weights, and the folder of their files in a results folder."""

LARGEST_WEIGHTS = 2**30
"""Bytes that the weights of a run may have to be packed or unpacked."""

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
        if MANIFESTS not in footer:
            raise ValueError("it names no sweeps")
        manifests = [Manifest.from_json(each) for each in json.loads(footer[MANIFESTS])]
        times = pa.Table.from_pylist(json.loads(footer.get(TIMES, b"[]")), schema=TIMING).to_pylist()
        there = [name for name in columns if name in file.schema_arrow.names]
        rows = conformed(path, file.read(columns=there), columns)
        rows.validate(full=True)
        for run_id in rows["id"].to_pylist():
            check_name("run", str(run_id))
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{path} is no file that `python -m results pack` wrote ({why}).") from error
    return Pack(file, rows, manifests, checked(path, times))
