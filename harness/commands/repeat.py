"""The work of harness.repeat: one run of a pack, computed again in a folder of its own, and compared."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.stored import settings_of_row
from spike_ssm.harness.system.environment import compute_with
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import instead
from spike_ssm.results.reading import read_run
from spike_ssm.results.store import prepare_folder
from spike_ssm.results.verify.content import read_pack
from spike_ssm.results.verify.marks import IDENTICAL, NOT_REPEATED, WITHIN, Mark, Verdict, write_mark
from spike_ssm.results.verify.packs import check_pack

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Repeated:
    """A stored run beside the same, computed again."""

    stored: Row
    again: Row

    @property
    def differing(self) -> float | None:
        """The share of test predictions that are others; None where none are stored."""
        pairs = list(zip(self.stored["predictions"] or [], self.again["predictions"] or [], strict=False))
        return sum(one["prediction"] != other["prediction"] for one, other in pairs) / len(pairs) if pairs else None

    @property
    def distance(self) -> float:
        """The largest difference in points: of accuracy, also under each corruption, firing rate or % of perplexity."""
        rows = self.stored, self.again
        corrupted = [{(e["corruption"], e["level"]): e["accuracy"] for e in row["robustness"] or []} for row in rows]
        pairs = [(corrupted[0][key], corrupted[1].get(key)) for key in corrupted[0]]
        pairs += [(self.stored[name], self.again[name]) for name in ("test_accuracy", "firing_rate")]
        found = [100 * _apart(one, other) for one, other in pairs]
        one, other = (row["test_perplexity"] for row in rows)
        return max(*found, 100 * _apart(one, other) / one if one else 0.0)

    def verdict(self, tolerance: float) -> Verdict:
        """Whether it is the same, or within so many points."""
        if self.differing in (0, None) and self.distance == 0:
            return IDENTICAL
        return WITHIN if self.distance <= tolerance else NOT_REPEATED

    def sentence(self, tolerance: float) -> str:
        """What came of it, for people."""
        accuracies = f"accuracy {_percent(self.stored['test_accuracy'])}"
        if (verdict := self.verdict(tolerance)) == IDENTICAL:
            same = "" if self.differing is None else f", all {len(self.stored['predictions']):,} predictions the same"
            return f"The run {self.stored['id']} is repeated, and identical: {accuracies}{same}."
        said = {WITHIN: f"is repeated within {tolerance:g} points", NOT_REPEATED: "is not repeated"}[verdict]
        parts = [f"{accuracies} in the file and {_percent(self.again['test_accuracy'])} here"]
        if self.stored["firing_rate"] is not None:
            parts.append(
                f"firing rate {_percent(self.stored['firing_rate'])} and {_percent(self.again['firing_rate'])}"
            )
        if self.differing is not None:
            parts.append(f"{_percent(self.differing)} of {len(self.stored['predictions']):,} predictions differ")
        parts.append(f"the largest difference is {self.distance:.2f} points")
        return f"The run {self.stored['id']} {said}: {', '.join(parts)}."


def run(options: argparse.Namespace) -> int:
    """The exit status: 0 where the run was repeated. Errors are raised, see `harness.cli`."""
    pack = options.pack.expanduser().absolute()
    checked = check_pack(pack)
    if checked.faults:
        raise UserError(f"{pack.name} is not as it should be, and nothing of it is repeated: {checked.faults[0]}")
    stored = _row(pack, options.run)
    settings = settings_of_row(stored, options.settings, options.trust)
    with _folder(options.results) as folder:
        repeated = Repeated(stored, _computed(settings, folder, _threads(stored, settings)))
    print(repeated.sentence(options.tolerance))
    verdict = repeated.verdict(options.tolerance)
    if options.write:
        outcome = checked.runs[options.run].outcome
        print(write_mark(pack, options.run, _mark(repeated, outcome, verdict, options.tolerance)))
    return 1 if verdict == NOT_REPEATED else 0


def _row(pack: Path, run_id: str) -> Row:
    """The finished run of that id in the pack. Raises `UserError`."""
    rows = read_pack(pack).rows
    ids = rows["id"].to_pylist()
    if run_id not in ids:
        raise UserError(f"{pack.name} has no run {run_id!r}; {instead(run_id, ids, 'it has', ids[:6])}")
    (row,) = rows.slice(ids.index(run_id), 1).to_pylist()
    if row["status"] != "done" or row["test_accuracy"] is None:
        raise UserError(f"The run {run_id} is {row['status']} without an accuracy, so there is nothing to repeat.")
    if row["task"] in MEASUREMENTS:
        raise UserError(f"The run {run_id} measures times, which no machine gives twice: repeat one that is trained.")
    return dict(row)


@contextmanager
def _folder(named: Path | None) -> Iterator[Path]:
    if named is not None:
        yield prepare_folder(named)
        return
    with tempfile.TemporaryDirectory(prefix="spike-ssm-repeat-") as folder:
        yield prepare_folder(Path(folder))


def _threads(stored: Row, settings: Settings) -> int:
    """The threads that the run had, for the same rounding, or more where more were asked for."""
    had = json.loads(stored["environment"]).get("threads")
    return max(settings.launcher.threads, had if isinstance(had, int) and 0 < had < 1000 else 1)


def _computed(settings: Settings, folder: Path, threads: int) -> Row:
    """The row of the run, computed now; of an evaluation, after the training that it evaluates. Raises `UserError`."""
    compute_with(threads)
    trained = [replace(settings.trained(), keep_weights=True)] if settings.robustness is not None else []
    for each in (*trained, settings):
        job = Job(each.run_id(), each, folder, machine_shared=False)
        execute(job, "repeat")
        if job.files.fault.exists():
            raise UserError(f"The run {job.run_id} cannot be computed here: {job.files.read_fault()}")
        row = read_run(job.files.result)
        if row["status"] != "done":
            raise UserError(f"The run {job.run_id}, which is done in the file, is {row['status']} here: {row['error']}")
    return row


def _mark(repeated: Repeated, outcome: str, verdict: Verdict, tolerance: float) -> Mark:
    environment = json.loads(repeated.again["environment"])
    return Mark(
        outcome=outcome,
        verdict=verdict,
        tolerance=tolerance,
        stored_accuracy=repeated.stored["test_accuracy"],
        accuracy=repeated.again["test_accuracy"],
        differing=repeated.differing,
        processor=str(environment["processor"] if environment["device"] == "cpu" else environment["device"]),
        code_version=repeated.again["code_version"],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _apart(one: float | None, other: float | None) -> float:
    """How far two numbers are apart; infinitely where only one is known."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs(one - other)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
