"""The work of harness.repeat: one run of a pack, computed again in a folder of its own, and compared."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

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
from spike_ssm.results.verify.marks import IDENTICAL, NOT_REPEATED, WITHIN, Mark, Verdict, verdict_of, write_mark
from spike_ssm.results.verify.numbers import percent
from spike_ssm.results.verify.outcome import SIZES, Row, differences, differing, digest
from spike_ssm.results.verify.packs import check_pack


@dataclass(frozen=True)
class Repeated:
    """A stored run beside the same, computed again."""

    stored: Row
    again: Row
    tolerance: float  # points

    @cached_property
    def differences(self) -> dict[str, float]:
        """How far the two are apart, by what: see `results.verify.outcome.differences`."""
        return differences(self.stored, self.again)

    @property
    def distance(self) -> float | None:
        """The largest of the differences; None where something must be the same and is not."""
        largest = max(self.differences.values())
        return largest if math.isfinite(largest) else None

    @property
    def differing(self) -> float | None:
        """The share of test predictions that are others; None where that cannot be told."""
        return differing(self.stored, self.again)

    @property
    def verdict(self) -> Verdict:
        """Whether it is the same, or within the tolerance."""
        return verdict_of(self.distance, self.differing, self.tolerance)

    def sentence(self) -> str:
        """What came of it, for people."""
        run = f"The run {self.stored['id']}"
        predictions = f"{len(self.stored['predictions'] or []):,} predictions"
        accuracies = f"accuracy {percent(self.stored['test_accuracy'])}"
        if self.verdict == IDENTICAL:
            same = "" if self.differing is None else f", all {predictions} the same"
            return f"{run} is repeated, and identical: {accuracies}{same}."
        within = f"is repeated within {self.tolerance:g} points"
        parts = [f"{accuracies} in the file and {percent(self.again['test_accuracy'])} here"]
        if None not in (rates := (self.stored["firing_rate"], self.again["firing_rate"])):
            parts.append(f"firing rate {' and '.join(map(percent, rates))}")
        if self.differing is not None:
            parts.append(f"{percent(self.differing)} of {predictions} differ")
        parts.append(self._furthest())
        return f"{run} {within if self.verdict == WITHIN else 'is not repeated'}: {', '.join(parts)}."

    def _furthest(self) -> str:
        if self.distance is None:
            others = [name for name, difference in self.differences.items() if math.isinf(difference)]
            return f"and these must be the same and are not: {', '.join(others)}"
        name = max(self.differences, key=lambda each: self.differences[each])
        unit = "%" if name in SIZES else "points"
        return f"the largest difference is {self.distance:.2f} {unit} ({name})"


def run(options: argparse.Namespace) -> int:
    """The exit status: 0 where the run was repeated. Errors are raised, see `harness.cli`."""
    pack = options.pack.expanduser().absolute()
    checked = check_pack(pack)
    if checked.faults:
        raise UserError(f"{pack.name} is not as it should be, and nothing of it is repeated: {checked.faults[0]}")
    stored = _row(pack, options.run)
    settings = settings_of_row(stored, options.settings, options.trust)
    with _folder(options.results) as folder:
        again = _computed(settings, folder, _threads(stored, settings))
    repeated = Repeated(stored, again, options.tolerance)
    print(repeated.sentence())
    if options.write:
        print(write_mark(pack, options.run, _mark(repeated)))
    return 1 if repeated.verdict == NOT_REPEATED else 0


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


def _mark(repeated: Repeated) -> Mark:
    environment = json.loads(repeated.again["environment"])
    return Mark(
        outcome=digest(repeated.stored),
        verdict=repeated.verdict,
        tolerance=repeated.tolerance,
        distance=repeated.distance,
        differing=repeated.differing,
        stored_accuracy=repeated.stored["test_accuracy"],
        accuracy=repeated.again["test_accuracy"],
        processor=str(environment["processor"] if environment["device"] == "cpu" else environment["device"]),
        code_version=repeated.again["code_version"],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
