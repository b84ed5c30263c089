"""Prepared data on disk: Arrow files that are mapped into memory, and a file of facts with their checksums.

A data set is prepared once, under a lock, in a folder beside its place (`NAME.partial`) that is renamed when all is
written. Every shard in it is written to a temporary name and renamed too, so that an interrupted preparation goes on
with the shard it was at. Files are Arrow streams of one record batch; `datasets.Dataset.from_file` opens them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock

from spike_ssm.harness.data.splits import SPLITS, Flat, Integers, Sequences, Shard
from spike_ssm.results.errors import UserError

FACTS = "facts.json"
DIGESTS = "sha256.json"
"""Checksums of every file of data, and of the facts."""

CHECKED = "checked.json"
"""Sizes and times of change of all files when they were last compared with their checksums."""

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
        _to_disk(temporary)
        temporary.replace(path)

    def read(self) -> tuple[dict[str, tuple[Sequences, ...]], dict[str, Integers]]:
        """Sequences and labels of each split, of the shards written until now."""
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
    """The one record batch of a file, mapped; an empty table's file has none."""
    table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all().combine_chunks()
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=table.schema)


def _flat(column: pa.LargeListArray) -> Flat:
    return Flat(column.values.to_numpy(), column.offsets.to_numpy())


def prepared(folder: Path, build: Callable[[Preparation], dict[str, Any]]) -> Prepared:
    """The data set in `folder`, prepared by `build` if it is not there or damaged.

    `build` writes the shards and returns facts for JSON. Of processes that ask at once, one prepares and the others
    wait. Raises `UserError` when the folder cannot be written.
    """
    with _user_errors(folder):
        if not _is_unchanged(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f"{folder.name}.lock")):
                _check_or_build(folder, build)
        sequences, labels = Preparation(folder).read()
    return Prepared(sequences, labels, json.loads((folder / FACTS).read_text()))


def _check_or_build(folder: Path, build: Callable[[Preparation], dict[str, Any]]) -> None:
    damage = _damage(folder)
    if damage is None:
        return
    if folder.exists():
        _log.warning("The prepared data in %s are damaged (%s) and are prepared anew.", folder, damage)
        _discard(folder)
    _build(folder, build)


def _build(folder: Path, build: Callable[[Preparation], dict[str, Any]]) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(exist_ok=True)
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
    except (FileNotFoundError, ValueError):
        return False


def _damage(folder: Path) -> str | None:
    """The first fault of the prepared data, or None. Contents are read only if they may have changed."""
    if _is_unchanged(folder):  # another process may have prepared them in the meantime
        return None
    try:
        expected = json.loads((folder / DIGESTS).read_text())
        foreign = {path.name for path in _files(folder)} - expected.keys()
        if foreign:
            return f"{min(foreign)} does not belong to them"
        for name, digest in expected.items():
            if _sha256(folder / name) != digest:
                return f"the contents of {name} changed"
        (folder / CHECKED).write_text(json.dumps(_stamps(folder)))
    except (FileNotFoundError, ValueError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


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
    except OSError as error:
        raise UserError(
            f"The prepared data cannot be written to {folder.parent} ({error.strerror or error}): free some space or "
            "name another folder with paths.cache=FOLDER."
        ) from error
