"""Prepared data on disk: Arrow files that are mapped into memory, and a file of facts with their checksums.

A data set is prepared once, under a lock, in a folder beside its place (`NAME.partial`) that is renamed when all is
written. Every shard in it is written to a temporary name and renamed too, so that an interrupted preparation goes on
with the shard it was at. Files are Arrow streams of one record batch; `datasets.Dataset.from_file` opens them.
Nothing but numbers and JSON is read, so that users who share a cache have to trust each other's data, not their code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock

from spike_ssm.harness.data.readers.common import one_line
from spike_ssm.harness.data.shared import make_folder, share
from spike_ssm.harness.data.splits import SPLITS, Flat, Integers, Sequences, Shard
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import replace

FACTS = "facts.json"
DIGESTS = "sha256.json"
"""Checksums of every file of data, and of the facts."""

CHECKED = "checked.json"
"""Sizes and times of change of all files when they were last compared with their checksums."""

DAMAGE = (FileNotFoundError, NotADirectoryError, ValueError, AttributeError, KeyError)
"""Exceptions that reading prepared data raises which are not there, or not as they were written."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A prepared data set: sequences and labels of each split, and the facts stored with them."""

    sequences: dict[str, tuple[Sequences, ...]]
    labels: dict[str, Integers]
    facts: dict[str, Any]


class Preparation:
    """A data set that is being prepared."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, split: str, number: int, make: Callable[[], Shard]) -> None:
        """Store shard `number` of a split; one that an earlier, interrupted preparation stored is not made again."""
        path = self.folder / f"{split}-{number:05d}.arrow"
        if path.exists():
            return
        temporary = path.with_suffix(".tmp")
        table = _table(make())
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
        share(temporary)
        _to_disk(temporary)
        temporary.replace(path)

    def read(self) -> tuple[dict[str, tuple[Sequences, ...]], dict[str, Integers]]:
        """Sequences and labels of each split, of the shards written until now.

        Raises OSError, and ValueError where a file does not hold integers in sequences with labels.
        """
        sequences, labels = {}, {}
        for split in SPLITS:
            batches = [_map(path) for path in sorted(self.folder.glob(f"{split}-*.arrow"))]
            names = [name for name in batches[0].schema.names if name != "label"] if batches else []
            sequences[split] = tuple(Sequences(*(_flat(batch.column(name)) for batch in batches)) for name in names)
            columns = [batch.column("label").to_numpy() for batch in batches]
            labels[split] = np.concatenate(columns) if columns else np.zeros(0, np.int64)
        return sequences, labels


def _to_disk(path: Path) -> None:
    """Wait until the content of a file, or of a folder, is on the disk and would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _table(shard: Shard) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for number, (values, offsets) in enumerate(shard.sequences):
        columns[f"sequence_{number}"] = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values))
    columns["label"] = pa.array(shard.labels)
    return pa.table(columns)


def _map(path: Path) -> pa.RecordBatch:
    """The one record batch of a file, mapped; an empty table's file has none. Raises ValueError."""
    try:
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all().combine_chunks()
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(f"{path.name}: {error}") from error  # what pyarrow says of contents that make no sense
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if not pa.types.is_integer(kind if name == "label" else getattr(kind, "value_type", kind)):
            raise ValueError(f"{path.name} holds {kind} in its column {name}")
    table.validate()
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=table.schema)


def _flat(column: pa.LargeListArray) -> Flat:
    return Flat(column.values.to_numpy(), column.offsets.to_numpy())


def prepared(folder: Path, build: Callable[[Preparation], dict[str, Any]]) -> Prepared:
    """The data set in `folder`, prepared by `build` if it is not there or damaged.

    `build` writes the shards and returns facts for JSON. Of processes that ask at once, one prepares and the others
    wait. Raises `UserError` when the folder cannot be written.
    """
    with _user_errors(folder):
        if _is_unchanged(folder):
            with suppress(*DAMAGE):
                return _open(folder)
        make_folder(folder.parent)
        lock = folder.with_name(f"{folder.name}.lock")
        with FileLock(lock):
            share(lock)
            return _open_or_build(folder, build)


def _open(folder: Path) -> Prepared:
    """Raises one of `DAMAGE`, and other OSErrors."""
    sequences, labels = Preparation(folder).read()
    return Prepared(sequences, labels, json.loads((folder / FACTS).read_text()))


def _open_or_build(folder: Path, build: Callable[[Preparation], dict[str, Any]]) -> Prepared:
    try:
        _check(folder)
        return _open(folder)
    except DAMAGE as damage:
        if folder.exists():
            _log.warning("The prepared data in %s are damaged (%s) and are prepared anew.", folder, one_line(damage))
            _discard(folder)
    _build(folder, build)
    return _open(folder)


def _build(folder: Path, build: Callable[[Preparation], dict[str, Any]]) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    make_folder(partial)
    try:
        facts = build(Preparation(partial))
        (partial / FACTS).write_text(json.dumps(facts))
        (partial / DIGESTS).write_text(json.dumps({path.name: _sha256(path) for path in _files(partial)}))
        (partial / CHECKED).write_text(json.dumps(_stamps(partial)))
    except Exception:  # whatever the cause was, a part of it may be in the shards; a process that is killed keeps them
        shutil.rmtree(partial)
        raise
    for leftover in partial.glob("*.tmp"):
        leftover.unlink()
    for path in [*_files(partial), partial / DIGESTS, partial / CHECKED, partial]:
        share(path)
        _to_disk(path)
    partial.rename(folder)
    _to_disk(folder.parent)


def _is_unchanged(folder: Path) -> bool:
    """Whether sizes and times of change are unchanged since the contents were last compared with their checksums.

    No lock is needed to find out, so that data which others prepared are opened where nothing can be written.
    """
    try:
        checked: dict[str, list[int]] = json.loads((folder / CHECKED).read_text())
        return checked == _stamps(folder)
    except DAMAGE:
        return False


def _check(folder: Path) -> None:
    """Raise one of `DAMAGE` where the prepared data are damaged. Contents are read only if they may have changed."""
    if _is_unchanged(folder):  # another process may have prepared them in the meantime
        return
    expected = json.loads((folder / DIGESTS).read_text())
    foreign = {path.name for path in _files(folder)} - expected.keys()
    if foreign:
        raise ValueError(f"{min(foreign)} does not belong to them")
    for name, digest in expected.items():
        if _sha256(folder / name) != digest:
            raise ValueError(f"the contents of {name} changed")
    with suppress(PermissionError):  # data of somebody else's, who lets others read them
        replace(folder / CHECKED, json.dumps(_stamps(folder)).encode())
        share(folder / CHECKED)


def _stamps(folder: Path) -> dict[str, list[int]]:
    files = [*_files(folder), folder / DIGESTS]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.arrow"), folder / FACTS])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _discard(folder: Path) -> None:
    """Remove a folder, renamed first: another process may have the files mapped, and removing many takes time."""
    doomed = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.damaged")
    folder.rename(doomed)
    shutil.rmtree(doomed)


@contextmanager
def _user_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise UserError(
            f"The prepared data in {folder.parent} may not be read or written ({error.filename}: {error.strerror}): "
            "ask whose they are to share them with you, or name another folder with paths.cache=FOLDER."
        ) from error
    except OSError as error:
        raise UserError(
            f"The prepared data cannot be written to {folder.parent} ({error.strerror or error}): free some space or "
            "name another folder with paths.cache=FOLDER."
        ) from error
