"""Every run there is, of whatever sweep: the parquet files of some folders, checked one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spike_ssm.reports.loading.sweep import device, flatten
from spike_ssm.results.schema import RUN
from spike_ssm.results.verify.limits import FRACTIONS, is_possible

COLUMNS = (
    "id", "status", "task", "scale", "seed", "config", "environment", "code_version", "started_at", "data_notes",
    "machine_shared", "test_accuracy", "test_perplexity", "firing_rate", "undetermined", "times_loop",
    "train_ms_per_step", "projection_energy_nj_per_token", "dense_projection_energy_nj_per_token",
)  # fmt: skip
_NEEDED = ("id", "status", "task", "scale", "seed", "config")
_DECISIVE = ("task.", "model.", "optim.", "stop_if")


@dataclass(frozen=True)
class Run:
    """One run: who it is, its settings by dotted name, and what it measured."""

    id: str
    task: str
    scale: str
    seed: int
    done: bool
    settings: Mapping[str, Any]
    values: Mapping[str, float]  # by measure of `reports.pages.paper.definition.MEASURES`; only the finite ones
    notes: tuple[str, ...]  # how its copy of the data differs from the published
    shared: bool  # others used the machine meanwhile
    device: str
    code_version: str
    started_at: str

    def meets(self, conditions: Mapping[str, Any]) -> bool:
        """Whether every setting has the value asked for."""
        absent = object()
        return all(self.settings.get(key, absent) == value for key, value in conditions.items())

    def differing(self, required: Mapping[str, Any], free: Sequence[str] = ()) -> list[str]:
        """The settings whose value is not the required one, and those of task, model and optim that none is for.

        Settings that came later are stored only where they are not as they always were: one that is not required is a
        difference, unless it is free.
        """
        unlike = [key for key, value in required.items() if not self.meets({key: value})]
        further = [key for key in self.settings if key.startswith(_DECISIVE) and key not in {*required, *free}]
        return [*unlike, *further]


@dataclass
class Runs:
    """All runs found, each id once, and a sentence for every file or row that is left out."""

    found: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # files of a known other kind


def gather(folders: Sequence[Path]) -> Runs:
    """The runs of all parquet files in `folders`, and in their `rows`; of an id that is there twice the first's."""
    runs, seen = Runs(), set[str]()
    for folder in folders:
        for path in sorted([*folder.glob("*.parquet"), *folder.glob("rows/*.parquet")]):
            for run in _read(path, runs):
                if run.id not in seen:
                    seen.add(run.id)
                    runs.found.append(run)
    return runs


def _read(path: Path, into: Runs) -> list[Run]:
    try:
        content = path.read_bytes()
    except OSError as error:
        into.problems.append(f"{path} cannot be read now and is left out: {error.strerror or error}.")
        return []
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            schema = file.schema_arrow
            if not _is_runs(path, schema, into):
                return []
            rows = file.read(columns=[name for name in COLUMNS if name in schema.names]).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        into.problems.append(f"{path} is damaged and left out: {' '.join(str(error).split())}")
        return []
    if not rows:
        into.problems.append(f"{path} holds no run and is left out.")
    found = []
    for row in rows:
        run = _run(row)
        if isinstance(run, Run) and "robustness.streamed_examples" in run.settings:
            into.others.append(f"{path} holds an evaluation of a trained run, which counts by itself.")
        elif isinstance(run, Run):
            found.append(run)
        else:
            into.problems.append(f"{path}, run {row['id']!r}: {run} It is left out.")
    return found


def _is_runs(path: Path, schema: pa.Schema, into: Runs) -> bool:
    """Whether the columns are those of runs; else says so in `into`."""
    lacking = [name for name in _NEEDED if name not in schema.names]
    unlike = [name for name in COLUMNS if name in schema.names and schema.field(name).type != RUN.field(name).type]
    if not lacking and not unlike:
        return True
    if {"environment", "code_version"} <= set(schema.names) and "id" not in schema.names:
        into.others.append(f"{path} holds other measurements, not runs.")
        return False
    reason = f"no column {lacking[0]!r}" if lacking else f"the column {unlike[0]!r} has another type"
    into.problems.append(f"{path} is not a file of runs and is left out: {reason}.")
    return False


def _run(row: Mapping[str, Any]) -> Run | str:
    """The run of a row, or a sentence on what is wrong with it."""
    try:
        config = json.loads(row["config"])
        environment = json.loads(row.get("environment") or "{}")
    except (TypeError, ValueError):
        return "its configuration is not JSON."
    if not isinstance(config, dict) or not isinstance(environment, dict):
        return "its configuration is not JSON."
    settings = flatten(config)
    for key, value in (("task.name", row["task"]), ("scale", row["scale"]), ("seed", row["seed"])):
        if settings.get(key, value) != value or value is None:
            return f"its row says {key} {value!r} and its configuration {settings.get(key)!r}."
    outside = [name for name in COLUMNS if name in FRACTIONS and not is_possible(name, row.get(name))]
    if outside:
        return f"its {outside[0]} is {row[outside[0]]!r} and should be a fraction."
    texts = {name: str(row.get(name) or "") for name in ("code_version", "started_at")}
    notes = tuple(row.get("data_notes") or ())
    return Run(
        str(row["id"]), row["task"], row["scale"], int(row["seed"]), row["status"] == "done", settings, _values(row),
        notes, bool(row.get("machine_shared")), device(environment), **texts,
    )  # fmt: skip


def _values(row: Mapping[str, Any]) -> dict[str, float]:
    values = {
        name: row.get(name)
        for name in ("test_accuracy", "test_perplexity", "firing_rate", "times_loop", "train_ms_per_step")
    }
    if row.get("undetermined") is not None:
        values["determined"] = 1 - row["undetermined"]
    if row.get("projection_energy_nj_per_token") is not None and row.get("dense_projection_energy_nj_per_token"):
        saved = row["projection_energy_nj_per_token"] / row["dense_projection_energy_nj_per_token"]
        values["energy_saving"] = 1 - saved
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
