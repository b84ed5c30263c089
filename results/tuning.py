"""Result of a tuning: the chosen settings of every variant, as a YAML file that people read and sweeps use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from spike_ssm.results import files
from spike_ssm.results.errors import UserError

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


@dataclass(frozen=True)
class Choice:
    """Outcome of the trials of a variant on a task."""

    done: int  # trials, all of whose seeds finished
    failed: int
    trial: int | None = None  # the chosen one, counted from 0; None where all failed
    score: float | None = None  # its mean over seeds, of validation `measure`
    measure: str = "accuracy"  # or perplexity
    values: dict[str, Any] = field(default_factory=dict)  # its settings
    edges: list[str] = field(default_factory=list)  # settings at an end of their range: a wider one might do better


@dataclass(frozen=True)
class Tuning:
    """The outcome for all variants: equally many trials, at the same points, each with what it has of the axes."""

    sweep: str
    scale: str
    command: str
    code_version: str
    sampler: str
    budget: int  # trials for each variant and task
    seeds: list[int]
    axes: dict[str, Any]  # setting -> its range: {low, high, log} or {choices}
    lacking: dict[str, list[str]]  # setting -> variants on which it is not tuned
    chosen: dict[str, dict[str, Choice]]  # task -> variant -> choice

    def choice(self, task: str, variant: str) -> Choice | None:
        """Choice for `variant` on `task`; None where the variant was not tuned, or no trial finished."""
        found = self.chosen.get(task, {}).get(variant)
        return found if found is not None and found.trial is not None else None

    def joined(self, earlier: Tuning) -> Tuning:
        """The tuning, joined by an `earlier` one's choices for other tasks and variants."""
        chosen = {
            task: {**earlier.chosen.get(task, {}), **self.chosen.get(task, {})}
            for task in [*earlier.chosen, *(task for task in self.chosen if task not in earlier.chosen)]
        }
        lacking = {
            axis: list(dict.fromkeys([*earlier.lacking.get(axis, []), *self.lacking.get(axis, [])]))
            for axis in self.axes
            if axis in earlier.lacking or axis in self.lacking
        }
        return replace(self, chosen=chosen, lacking=lacking)

    def is_same_search(self, other: Tuning) -> bool:
        """Whether the other tried the same points with the same seeds."""
        return all(getattr(self, name) == getattr(other, name) for name in ("axes", "sampler", "budget", "seeds"))

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Tuning:
        """The inverse of `dataclasses.asdict`. Raises TypeError or AttributeError for anything else."""
        chosen = {
            task: {variant: Choice(**choice) for variant, choice in variants.items()}
            for task, variants in content["chosen"].items()
        }
        return Tuning(**{**content, "chosen": chosen})


def tuning_path(folder: Path, sweep: str, scale: str) -> Path:
    """Path of a sweep's tuning at a scale; the trials lie beside it, as parquet."""
    return folder / "tuned" / f"{sweep}_{scale}.yaml"


def write_tuning(path: Path, tuning: Tuning, trials: list[dict[str, Any]]) -> None:
    """Write the YAML file, and beside it the trials, rows of `TRIALS`. Raises `UserError`."""
    head = f"# Written by: {tuning.command}\n# Used by: python -m harness.sweep +sweep={tuning.sweep} tuned=true\n"
    content = head + yaml.safe_dump(asdict(tuning), sort_keys=False, allow_unicode=True)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(trials, schema=TRIALS), sink)
    try:
        files.replace(path.with_suffix(".parquet"), sink.getvalue().to_pybytes())
        files.replace(path, content.encode())
    except OSError as error:
        raise UserError(
            f"The tuning {path} cannot be written ({error.strerror}). Make room or make the folder writable, then run "
            "the command again: finished trials are not run again."
        ) from error


def read_trials(path: Path) -> list[dict[str, Any]]:
    """The rows that `write_tuning` put beside the YAML file `path`; none where they cannot be read."""
    try:
        rows: list[dict[str, Any]] = pq.read_table(path.with_suffix(".parquet"), schema=TRIALS).to_pylist()
    except (OSError, pa.ArrowException):
        return []
    return rows


def read_tuning(path: Path, sweep: str, scale: str) -> Tuning:
    """The tuning of `sweep` at `scale`. Raises `UserError` where the file is missing, damaged or of something else."""
    again = f"Run python -m harness.tune +sweep={sweep} budget=K scale={scale} first, or name its file: tuned=PATH."
    if not path.is_file():
        raise UserError(f"There is no tuning {path}. {again}")
    try:
        found = Tuning.from_json(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"The tuning {path} is damaged ({' '.join(str(error).split())}). {again}") from error
    if (found.sweep, found.scale) != (sweep, scale):
        raise UserError(
            f"The tuning {path} is of the sweep {found.sweep!r} at scale {found.scale!r}, not of {sweep!r} at "
            f"{scale!r}. {again}"
        )
    return found
