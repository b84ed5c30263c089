"""Writing result files: one parquet file per run, whole or not there.

A file that is damaged all the same (a bad copy) is named in a sentence and never hides the others.

Which of two results of one run stays: a finished one gives way to none, a failure to a finished one. A failure is only
ever linked to a free name and can therefore replace nothing, whoever writes it and however late. A finished result is
linked as well; where the name is taken it takes the place of what it has read to be a failure, and nothing else. Two
finished ones could meet there only if both found the failure: the run's lease (`harness.state.lease`) keeps them
apart, and even then a reader sees one of them, whole.

Nothing is removed but what was read to be a failure. A file whose content is wrong moves to the folder `quarantine`,
and one that cannot be read now stays where it is.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import (
    PATIENCE_S,
    link_if_free,
    may_exist,
    patiently,
    remove_leftovers,
    replace,
    written,
)
from spike_ssm.results.names import check_name, instead
from spike_ssm.results.reading import (
    OUTCOME_COLUMNS,
    OUTCOME_KEY,
    read_outcome,
    read_run,
    rows_folder,
    run_path,
)
from spike_ssm.results.schema import RUN, SCHEMA_VERSION, Manifest

RESULTS = Path("results/runs")
"""The results folder unless told otherwise, as `paths.results` has it."""

_log = logging.getLogger(__name__)


def results_folder(text: str) -> Path:
    """The absolute path of the folder that a user wrote, e.g. on the command line."""
    return Path(text).expanduser().absolute()


def prepare_folder(folder: Path) -> Path:
    """Create `folder`, prove that results can be written to it, and remove what killed writers left.

    Returns its absolute path. Raises `UserError`.
    """
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
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
    for place in (folder, rows_folder(folder), folder / "state", folder / "sweeps"):
        remove_leftovers(place)
    for path in folder.glob("*.parquet"):
        with suppress(UserError, OSError):  # it is read where it is
            _move_to_rows(folder, path)
    return folder


def manifest_path(folder: Path, sweep: str) -> Path:
    """Path of the manifest of sweep `sweep`. Raises `UserError` for what can be no name of a file."""
    check_name("sweep", sweep)
    return folder / "sweeps" / f"{sweep}.json"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    replace(path, json.dumps(content, indent=1, sort_keys=True).encode())


def write_run(folder: Path, row: Mapping[str, Any], patience_s: float = PATIENCE_S) -> Path:
    """Publish one run's row (keys of `results.schema.RUN`; missing ones become null) and return its path.

    A finished result already there stays, whatever `row` is; a failure gives way to a finished result only. Raises
    `UserError` when the file could not be written for `patience_s` seconds, `KeyError` for unknown columns.
    """
    unknown = set(row) - set(RUN.names)
    if unknown:
        raise KeyError(f"Not columns of a run: {sorted(unknown)}; results/schema.py lists the columns.")
    complete = dict.fromkeys(RUN.names) | {"schema_version": SCHEMA_VERSION} | dict(row)
    path, content, done = run_path(folder, str(row["id"])), _as_parquet(complete), complete["status"] == "done"

    def publish() -> None:
        with written(path, content) as temporary:
            try:
                _give_name(folder, temporary, path, done)
            except UnreadableError as error:
                if not may_exist(path) and link_if_free(temporary, path):  # a failure, discarded this moment
                    return
                aside = _aside(folder, path)
                link_if_free(temporary, aside)
                _log.warning("%s The new result of the run is kept as %s.", error, aside)

    try:
        patiently(publish, f"The result file {path} cannot be written", patience_s)
    except OSError as error:
        raise UserError(
            f"The result file {path} cannot be written ({error.strerror}). Make room or make the folder writable, "
            "then run the sweep again: it goes on from here; or name another folder with paths.results=FOLDER."
        ) from error
    return path


def _give_name(folder: Path, new: Path, path: Path, done: bool) -> bool:
    """Whether the result `new` got the name `path`, which was free or, as it is done, gave way to it.

    Raises `UnreadableError` where that cannot be told, and `OSError`.
    """
    if link_if_free(new, path):
        return True
    standing = _verdict(path) if done else "done"
    if standing == "done":
        return False
    if standing == "damaged":
        aside = _aside(folder, path)
        aside.hardlink_to(path)
        _say_damaged(path, aside)
    new.replace(path)
    return True


def _verdict(path: Path) -> Literal["done", "failed", "damaged"]:
    """What stands in a result file. Raises `UnreadableError`."""
    for status in (lambda: read_outcome(path).status, lambda: read_run(path, ["status"])["status"]):
        try:
            return "done" if status() == "done" else "failed"
        except UnreadableError:
            raise
        except UserError:  # the footer and the row are read apart, before a file counts as damaged
            continue
    return "damaged"


def _aside(folder: Path, path: Path) -> Path:
    """A free name in quarantine for the file `path`."""
    place = folder / "quarantine"
    place.mkdir(exist_ok=True)
    return place / f"{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}"


def set_aside(folder: Path, path: Path) -> None:
    """Move a damaged file to quarantine, with a word. Raises `OSError`."""
    aside = _aside(folder, path)
    path.rename(aside)
    _say_damaged(path, aside)


def _say_damaged(path: Path, aside: Path) -> None:
    _log.warning("The file %s was damaged and is kept as %s.", path, aside)


def _move_to_rows(folder: Path, path: Path) -> None:
    """Move a result from where it lay until 0.1. Raises `UserError` when it is no result, and `OSError`.

    Where the run has another by now and neither gives way, it moves to quarantine.
    """
    read_run(path, ["id"])
    place = rows_folder(folder) / path.name
    place.parent.mkdir(exist_ok=True)
    if _give_name(folder, path, place, _verdict(path) == "done"):
        path.unlink(missing_ok=True)
        return
    aside = _aside(folder, path)
    path.rename(aside)
    _log.warning("The run of %s has another result, %s, so it is kept as %s.", path, place, aside)


def discard_failure(folder: Path, run_id: str) -> None:
    """Remove the result of a run that failed, so that the run may be executed again; a damaged one is set aside.

    Raises `UserError` where the result cannot be read or moved now.
    """
    path = run_path(folder, run_id)
    try:
        judged = path.stat()
        try:
            verdict = _verdict(path)
        except UnreadableError:
            path.stat()  # is it still there?
            raise
        if verdict == "done":
            return
        aside = _aside(folder, path)
        path.rename(aside)
        if not os.path.samestat(judged, aside.stat()):  # a finished result came meanwhile
            if link_if_free(aside, path):
                aside.unlink()
        elif verdict == "failed":
            aside.unlink()
            with suppress(OSError):
                aside.parent.rmdir()
        else:
            _say_damaged(path, aside)
    except FileNotFoundError:  # there is none, or another process was first
        return
    except OSError as error:
        raise UserError(
            f"The result file {path} cannot be moved ({error.strerror}), so the run is not executed again. "
            "Make its folder writable, or have its owner run the sweep."
        ) from error


def _as_parquet(row: dict[str, Any]) -> bytes:
    """The file of one run. Its footer tells the outcome, so that looking at many runs reads no columns."""
    footer = {f"spike_ssm.{key}".encode(): str(row[key]) for key in ("id", "config", "environment", "code_version")}
    footer[OUTCOME_KEY] = json.dumps({name: row[name] for name in OUTCOME_COLUMNS})
    schema = RUN.with_metadata({**(RUN.metadata or {}), **footer})
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist([row], schema=schema)
    # one row: dictionaries and statistics only lengthen it, the latter by four copies of a raster, and setting up zstd
    # for each column takes longer than all else of a read
    pq.write_table(table, sink, compression="lz4", use_dictionary=False, write_statistics=False)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write the manifest of a sweep; returns its path. Raises `UserError`."""
    path = manifest_path(folder, manifest.name)
    try:
        patiently(lambda: write_json(path, manifest.to_json()), f"The manifest {path} cannot be written")
    except OSError as error:
        raise UserError(
            f"The manifest {path} cannot be written ({error.strerror}). Make room or make the folder writable, then "
            "run the sweep again; or name another folder with paths.results=FOLDER."
        ) from error
    return path


def read_manifests(folder: Path) -> tuple[list[Manifest], list[UserError]]:
    """The manifests of all sweeps that were run, by name, and the error of each that cannot be read."""
    found, errors = [], []
    for sweep in _sweeps(folder):
        try:
            found.append(read_manifest(folder, sweep))
        except UserError as error:
            errors.append(error)
    return found, errors


def _sweeps(folder: Path) -> list[str]:
    """The names of the sweeps that were run. Raises `UnreadableError`."""
    place = folder / "sweeps"
    try:
        return sorted(path.stem for path in place.iterdir() if path.suffix == ".json") if may_exist(place) else []
    except OSError as error:
        raise UnreadableError(f"The folder {place} cannot be read now ({error.strerror}).") from error


def read_manifest(folder: Path, sweep: str) -> Manifest:
    """The manifest of a sweep. Raises `UserError` when there is none or it cannot be read."""
    path = manifest_path(folder, sweep)
    if not may_exist(path):
        known = _sweeps(folder)
        raise UserError(
            f"No sweep named {sweep!r} has been run in {folder}: "
            + (instead(sweep, known) if known else f"run python -m harness.sweep +sweep={sweep} first.")
        )
    try:
        manifest = Manifest.from_json(json.loads(path.read_bytes()))
        if manifest.name != sweep:
            raise UserError(f"it is of the sweep {manifest.name!r}")
        return manifest
    except OSError as error:
        raise UnreadableError(
            f"The manifest {path} cannot be read now ({error.strerror}). Look at its permissions, then try again."
        ) from error
    except (UserError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"The manifest {path} is damaged, or of newer code ({str(error).rstrip('.')}). Run python -m harness.sweep "
            f"+sweep={sweep} again: it writes a new one and skips the finished runs."
        ) from error
