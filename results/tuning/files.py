"""A tuning as a YAML file that people read and sweeps use, and its trials beside it as parquet."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from spike_ssm.results import files
from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.tuning.record import Tuning

TRIALS = pa.schema(
    [
        ("sweep", pa.string()),
        ("scale", pa.string()),
        ("task", pa.string()),
        ("variant", pa.string()),
        ("trial", pa.int32()),  # counted from 0
        ("seed", pa.int64()),
        ("values", pa.string()),  # JSON: the settings tried, by name; those without meaning for the variant left out
        ("validation_accuracy", pa.float64()),  # null when the run failed
        ("validation_perplexity", pa.float64()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("chosen", pa.bool_()),
        ("id", pa.string()),  # of the run
    ]
)
"""Columns of a tuning's trials, one row per run."""


def tuning_path(folder: Path, sweep: str, scale: str) -> Path:
    """Path of a sweep's tuning at a scale; the trials lie beside it, as parquet."""
    return folder / "tuned" / f"{sweep}_{scale}.yaml"


def write_tuning(path: Path, tuning: Tuning, trials: list[dict[str, Any]]) -> None:
    """Write the YAML file, and beside it the trials, rows of `TRIALS`. Raises `UserError`."""
    head = f"# Written by: {tuning.command}\n# Used by: python -m harness.sweep +sweep={tuning.sweep} tuned=true\n"
    content = head + yaml.safe_dump(asdict(tuning), sort_keys=False, allow_unicode=True)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(trials, schema=TRIALS), sink)
    trouble = f"The tuning {path} cannot be written"
    try:
        table = sink.getvalue().to_pybytes()
        files.patiently(lambda: files.replace(path.with_suffix(".parquet"), table), trouble)
        files.patiently(lambda: files.replace(path, content.encode()), trouble)
    except OSError as error:
        raise UserError(
            f"The tuning {path} cannot be written ({error.strerror}). Make room or make the folder writable, then run "
            "the command again: finished trials are not run again."
        ) from error


def read_trials(path: Path) -> list[dict[str, Any]]:
    """The rows that `write_tuning` put beside the YAML file `path`, if it did.

    Raises `UserError` where they cannot be read.
    """
    path = path.with_suffix(".parquet")
    if not files.may_exist(path):
        return []
    try:
        rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(_content(path)), schema=TRIALS).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"The trials {path} are damaged ({' '.join(str(error).split())}).") from error
    return rows


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"{path} cannot be read now ({error.strerror}). Look at its permissions, then run the command again."
        ) from error


def read_tuning(path: Path, sweep: str, scale: str) -> Tuning:
    """The tuning of `sweep` at `scale`. Raises `UserError` where the file is missing, damaged or of something else."""
    again = f"Run python -m harness.tune +sweep={sweep} budget=K scale={scale} first, or name its file: tuned=PATH."
    if not files.may_exist(path):
        raise UserError(f"There is no tuning {path}. {again}")
    try:
        found = Tuning.from_json(yaml.safe_load(_content(path).decode()))
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError, KeyError) as error:
        raise UserError(
            f"The tuning {path} is damaged, or of newer code ({' '.join(str(error).split())}). {again}"
        ) from error
    if (found.sweep, found.scale) != (sweep, scale):
        raise UserError(
            f"The tuning {path} is of the sweep {found.sweep!r} at scale {found.scale!r}, not of {sweep!r} at "
            f"{scale!r}. {again}"
        )
    return found
