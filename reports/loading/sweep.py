"""A sweep as the report sees it: what was planned, joined with what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from spike_ssm.reports.loading.places import TEMPORARY, shortened, without_places
from spike_ssm.reports.loading.plausible import left_out
from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.milestones import COLUMNS as LEARNED_BY
from spike_ssm.results.milestones import judged
from spike_ssm.results.reading import read_runs, run_path
from spike_ssm.results.schema import RUN, TRACED, Manifest
from spike_ssm.results.store import read_manifest

_NUMERIC = [field.name for field in RUN if str(field.type) in ("double", "int32", "int64")]
_TEXTS = ("problem", "traceback", "config", "environment")
_OF_A_TASK = (*("epochs", "layers", "operations", *TRACED, "robustness", "predictions", "groups", "rules", "pmbc_map"),)
_EXAMPLE = ["example", "label"]
_PLANNED = ["id", "task", "variant", "seed"]


@dataclass(frozen=True)
class Sweep:
    """A manifest and one row a planned run.

    `runs` has the columns of `results.schema.RUN` plus `variant`, `state` (done, failed, missing, damaged or
    unreadable), `problem`, a sentence for every state but done, and `learned`, a `results.milestones.Judged`. Rows are
    in the manifest's order. Nothing in it names a place of the machine that a run had, and tracebacks are those of
    `reports.loading.places.shortened`.
    """

    manifest: Manifest
    runs: pd.DataFrame
    left_out: tuple[str, ...] = ()  # sentences on values of runs that no measurement gives

    @property
    def done(self) -> pd.DataFrame:
        """The finished runs."""
        return self.runs[self.runs["state"] == "done"]

    def done_on(self, task: str) -> pd.DataFrame:
        """The finished runs of one task."""
        return self.done[self.done["task"] == task]

    @property
    def tasks(self) -> list[str]:
        """Tasks in the order of the manifest."""
        return list(dict.fromkeys(self.runs["task"]))

    @property
    def variants(self) -> list[str]:
        """Variants in the order of the manifest."""
        return list(dict.fromkeys(run.variant for run in self.manifest.runs))


def load(folder: Path, sweep: str, *, details: bool = True) -> Sweep:
    """Read a sweep's manifest and results, predictions and traces only with `details`: they are most of the files.

    Raises `UserError` when there is no such sweep.
    """
    manifest, planned = _plan(folder, sweep)
    return _joined(folder, manifest, planned, details)


@dataclass(frozen=True)
class Part:
    """The planned runs of one task of a sweep, whose results are not read yet."""

    folder: Path
    manifest: Manifest
    planned: pd.DataFrame

    def read(self) -> Sweep:
        """The part with what there is of it."""
        return _joined(self.folder, self.manifest, self.planned, details=True)

    def stamps(self) -> tuple[tuple[int, ...] | None, ...]:
        """What tells, for each run, whether its result is another one than before."""
        return tuple(stamp(run_path(self.folder, run_id)) for run_id in self.planned["id"])


def stamp(path: Path) -> tuple[int, ...] | None:
    """What differs where a file was replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def parts_by_task(folder: Path, sweep: str) -> list[Part]:
    """Parts of a sweep, one a task, so that no more than one need be held; one part where the plan does not tell tasks.

    A sweep without runs is one part, too. Raises `UserError` when there is no such sweep.
    """
    manifest, planned = _plan(folder, sweep)
    told = planned["task"].notna().all() and not planned.empty
    parts = [part for _, part in planned.groupby("task", sort=False)] if told else [planned]
    return [Part(folder, manifest, part) for part in parts]


def joined(parts: Sequence[Sweep]) -> Sweep:
    """The parts of a sweep as one, without what only the section of a task is made of."""
    runs = pd.concat([part.runs[[name for name in part.runs if name not in _OF_A_TASK]] for part in parts])
    return Sweep(parts[0].manifest, runs, tuple(said for part in parts for said in part.left_out))


def _plan(folder: Path, sweep: str) -> tuple[Manifest, pd.DataFrame]:
    speakable = json.dumps(read_manifest(folder, sweep).to_json(), ensure_ascii=False).encode(errors="replace")
    manifest = Manifest.from_json(json.loads(speakable))  # half a surrogate pair is no text that a table can hold
    words = [without_places(word, folder) for word in manifest.words]
    manifest = replace(manifest, words=[word for word in words if TEMPORARY not in word])  # which none can repeat
    planned = [(run.id, run.axes.get("task"), run.variant, run.seed) for run in manifest.runs]
    return manifest, pd.DataFrame(planned, columns=_PLANNED)


def _joined(folder: Path, manifest: Manifest, planned: pd.DataFrame, details: bool) -> Sweep:
    """What was planned, with what there is of it."""
    ids = list(planned["id"])
    rows, missing, errors = read_runs(folder, ids, predictions=details, traces=details)
    problems = {
        run_id: _problem(status, error)
        for run_id, status, error in zip(rows["id"], rows["status"], rows["error"], strict=True)
    }
    problems |= dict.fromkeys(missing, ("missing", "not finished, or never started"))
    problems |= {run_id: (trouble_of(error), str(error)) for run_id, error in errors.items()}
    runs = planned.merge(rows.drop(columns=["seed"]), on="id", how="left", suffixes=("", "_measured"))
    runs["task"] = runs["task"].fillna(runs.pop("task_measured")).fillna("task not recorded")
    runs["state"] = runs["id"].map(lambda run_id: problems[run_id][0])
    runs["problem"] = runs["id"].map(lambda run_id: problems[run_id][1])
    runs["traceback"] = runs["traceback"].map(lambda text: shortened(text) if isinstance(text, str) else text)
    for column in _TEXTS:
        runs[column] = runs[column].map(lambda text: without_places(text, folder) if isinstance(text, str) else text)
    runs["data_notes"] = runs["data_notes"].map(
        lambda notes: [without_places(note, folder) for note in notes] if isinstance(notes, list) else None
    )
    runs, sentences = left_out(runs, [name for name in _NUMERIC if name != "seed"])
    rows_read = runs.reindex(columns=LEARNED_BY).itertuples(index=False)
    learned = [judged(dict(zip(LEARNED_BY, row, strict=True))) for row in rows_read]
    runs["learned"] = pd.Series(learned, runs.index, dtype=object)
    return Sweep(manifest, runs, tuple(sentences))


def _problem(status: str, error: Any) -> tuple[str, str]:
    """State and sentence of a run that has a row."""
    if status == "done":
        return "done", ""
    return "failed", error if isinstance(error, str) else "No error was recorded."


def trouble_of(error: UserError) -> str:
    """The state of a run whose result raises the error when it is read."""
    return "unreadable" if isinstance(error, UnreadableError) else "damaged"


def unfold(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """A nested column (`epochs`, `layers`) in long form: variant, seed and the fields of its entries."""
    rows: list[dict[str, Any]] = [
        {"variant": variant, "seed": seed, **entry}
        for variant, seed, entries in zip(runs["variant"], runs["seed"], runs[column], strict=True)
        if isinstance(entries, list)
        for entry in entries
    ]
    return pd.DataFrame(rows)


def correctness(runs: pd.DataFrame) -> dict[str, dict[int, pd.Series[bool]]]:
    """Right or wrong, indexed by (example, label), for every variant and seed with stored predictions.

    Runs with the same test set share one index, so that aligning them costs nothing.
    """
    right: dict[str, dict[int, pd.Series[bool]]] = {}
    indexes: dict[bytes, pd.MultiIndex] = {}
    for variant, seed, predictions in zip(runs["variant"], runs["seed"], runs["predictions"], strict=True):
        if predictions is None or predictions.empty:
            continue
        keys = [predictions[name].to_numpy() for name in _EXAMPLE]
        test_set = b"".join(key.tobytes() for key in keys)
        if test_set not in indexes:
            indexes[test_set] = pd.MultiIndex.from_arrays(keys, names=_EXAMPLE)
        correct = predictions["label"].to_numpy() == predictions["prediction"].to_numpy()
        right.setdefault(variant, {})[int(seed)] = pd.Series(correct, indexes[test_set])
    return right


def json_object(document: object) -> dict[str, Any]:
    """The object in a run's column `config` or `environment`; empty where it holds none."""
    try:
        content = json.loads(document) if isinstance(document, str) else None
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {}


def device(environment: Mapping[str, Any]) -> str:
    """The name of the GPU that a run used, or of its processor."""
    name = environment.get("device")
    return str(environment.get("processor") or "CPU") if name in (None, "cpu") else str(name)


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as `a.b.c` -> value."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


def flat_texts(content: Mapping[str, Any]) -> dict[str, str]:
    """Nested mappings as `a.b.c` -> value; lists and scalars as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in flatten(content).items()}
