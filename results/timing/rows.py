"""Times of networks alone on a machine: a file a sitting, in which variants of one task were timed in turns.

Rows of one sitting belong together: their n-th rounds came one after the other, so that ratios of them say more than
ratios of times that were taken hours apart. A file is written whole, under a name of its own, and never changed.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import may_exist, patiently, replace
from spike_ssm.results.names import check_line, check_name
from spike_ssm.results.schema import VERSION_KEY
from spike_ssm.results.verify.limits import LARGEST

VERSION = 1
MACHINE = ("processor", "vector_instructions", "gpu", "threads", "torch")
"""Columns by which machines are told apart: times of two are never compared."""

TIMING = pa.schema(
    [
        ("sitting", pa.string()),  # in which the row was measured, and the name of its file
        ("measured_at", pa.string()),  # ISO 8601, UTC
        ("run", pa.string()),  # id of the run whose network and batches these are
        ("task", pa.string()),
        ("processor", pa.string()),  # its model's name
        ("vector_instructions", pa.string()),  # that torch uses: AVX2, AVX512, ...
        ("gpu", pa.string()),  # its name; null: on the CPU
        ("threads", pa.int32()),
        ("torch", pa.string()),  # its version
        ("code_version", pa.string()),
        ("machine_shared", pa.bool_()),  # others used more of the processors than a quiet machine has
        ("convolution", pa.string()),  # how the SSM was computed, models/ssm/choice.py
        ("train_ms", pa.list_(pa.float64())),  # of a training step, by round; at the run's own batch and lengths
        ("inference_ms", pa.list_(pa.float64())),  # of the answers to a batch of the test set
        ("train_samples", pa.float64()),  # examples of a step, on average
        ("train_tokens", pa.float64()),  # real tokens, padding not counted
        ("inference_samples", pa.float64()),
        ("inference_tokens", pa.float64()),
        # Of a fresh process that makes a few steps and inferences of this network alone, MiB. CPU: the resident set's
        # peak, and how much of it came after data and code were loaded; GPU: both are the allocator's peak. Null where
        # the system does not tell, or the process was ended.
        ("peak_memory_mib", pa.float64()),
        ("step_memory_mib", pa.float64()),
    ],
    metadata={VERSION_KEY: str(VERSION)},
)

_POSITIVE = ("train_samples", "train_tokens", "inference_samples", "inference_tokens", "threads")
_TEXTS = ("sitting", "run", "task", "processor", "vector_instructions", "torch", "code_version", "measured_at")


def timing_folder(folder: Path) -> Path:
    """The folder of the times in a results folder."""
    return folder / "timing"


def timing_path(folder: Path, sitting: str) -> Path:
    """The file of a sitting."""
    return timing_folder(folder) / f"{sitting}.parquet"


def new_sitting() -> str:
    """A name that no other sitting has."""
    return uuid.uuid4().hex


def write_timing(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write the rows of one sitting, of `TIMING`, to the results folder; returns the file's path.

    Raises `UserError` where they are not as `TIMING` has them, or the file cannot be written.
    """
    (sitting,) = {str(row["sitting"]) for row in rows}
    path = timing_path(folder, sitting)
    checked(path, rows)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=TIMING), sink)
    content = sink.getvalue().to_pybytes()
    try:
        patiently(lambda: replace(path, content), f"The times {path} cannot be written")
    except OSError as error:
        raise UserError(
            f"The times {path} cannot be written ({error.strerror}). Make room or make the folder writable, then "
            "measure them again with timing=only."
        ) from error
    return path


def read_timing(path: Path) -> list[dict[str, Any]]:
    """The rows of one sitting.

    Raises `UnreadableError` when they cannot be read now, or not by this code, and `UserError` for wrong content.
    """
    try:
        table = pq.read_table(pa.BufferReader(path.read_bytes()))
        version = (table.schema.metadata or {}).get(VERSION_KEY, b"")
        if version.isdigit() and int(version) > VERSION:
            raise UnreadableError(f"The times {path} are of a newer version of this code, and left out: update it.")
        columns = [
            table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
            for field in TIMING
        ]
        rows: list[dict[str, Any]] = pa.Table.from_arrays(columns, schema=TIMING).to_pylist()
    except OSError as error:
        if error.errno is None:  # of pyarrow, about what it read
            raise _damaged(path, error) from error
        raise UnreadableError(f"The times {path} cannot be read now ({error.strerror}), and are left out.") from error
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise _damaged(path, error) from error
    if not rows or {row["sitting"] for row in rows} != {path.stem}:
        raise _damaged(path, "they are not of the sitting that the file is named for")
    return checked(path, rows)


def read_timings(folder: Path) -> tuple[list[dict[str, Any]], list[UserError]]:
    """The rows of all sittings in a results folder, the latest last, and the error of each that cannot be read."""
    place = timing_folder(folder)
    rows: list[dict[str, Any]] = []
    errors: list[UserError] = []
    try:
        paths = sorted(path for path in place.iterdir() if path.suffix == ".parquet") if may_exist(place) else []
    except OSError as error:
        return [], [UnreadableError(f"The times in {place} cannot be read now ({error.strerror}), and are left out.")]
    for path in paths:
        try:
            rows += read_timing(path)
        except UserError as error:
            errors.append(error)
    return sorted(rows, key=lambda row: (row["measured_at"], row["sitting"])), errors


def machine_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells the machine of a row from others."""
    return tuple(row[name] for name in MACHINE)


def machine_name(row: Mapping[str, Any]) -> str:
    """The machine of a row for people: `AMD EPYC 9B14 (AVX512, 1 thread, torch 2.13.0)`."""
    threads = f"{row['threads']} thread{'' if row['threads'] == 1 else 's'}"
    details = ([] if row["gpu"] else [row["vector_instructions"]]) + [threads, f"torch {row['torch']}"]
    return f"{row['gpu'] or row['processor'] or 'CPU'} ({', '.join(details)})"


def checked(path: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The `rows` of sittings, read from `path`.

    Raises `UserError` where one holds what no measurement gives, or no page could show.
    """
    for row in rows:
        for name in _TEXTS:
            if not isinstance(row.get(name), str):
                raise _damaged(path, f"{name} is no text")
            check_line(f"{path}: {name}", row[name])
        check_line(f"{path}: gpu", row.get("gpu") or "")
        check_name("sitting", row["sitting"])
        times = [*(row.get("train_ms") or [None]), *(row.get("inference_ms") or [None])]
        numbers = [*times, *(row.get(name) for name in _POSITIVE)]
        numbers += [value for name in ("peak_memory_mib", "step_memory_mib") if (value := row.get(name)) is not None]
        if not all(isinstance(each, int | float) and math.isfinite(each) and 0 < each < LARGEST for each in numbers):
            raise _damaged(path, "a time, a size or a count in them is no positive number")
    rounds = {(row["sitting"], len(row[name])) for row in rows for name in ("train_ms", "inference_ms")}
    if len(rounds) > len({sitting for sitting, _ in rounds}):
        raise _damaged(path, "not all have the same number of rounds")
    return [dict(row) for row in rows]


def _damaged(path: Path, why: object) -> UserError:
    return UserError(
        f"The times {path} are damaged, and left out ({str(why).partition(chr(10))[0]}). Move the file away, and "
        "measure them again with timing=only."
    )
