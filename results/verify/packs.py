"""Packs from anyone, checked: is each the file that it should be, and does all that it says agree?

It finds damage, mistakes and changes by hand. A pack that was made up as a whole, with numbers that agree, passes: that
such runs give such results shows only who computes them again.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spike_ssm.results.errors import UserError
from spike_ssm.results.schema import RUN
from spike_ssm.results.verify.content import WEIGHTS, Pack, read_pack, why_no_weights
from spike_ssm.results.verify.identity import config_of, id_of, strange_identity
from spike_ssm.results.verify.numbers import disagreeing_numbers, impossible_numbers, percent

LARGEST_PACK = 2**32
"""Bytes that a pack, and what is compressed in it, may have to be read."""

_PARQUET = b"PAR1"
_OUTCOME = ("status", "test_accuracy", "test_perplexity", "firing_rate", "robustness")
_OF_DATA = ("shortcut_accuracy", "majority_accuracy")


@dataclass(frozen=True)
class Known:
    """What other runs are compared with, of one run."""

    pack: str  # the file's name
    outcome: str  # a hash of `_OUTCOME` and of what was predicted
    trained: str | None  # the id of the run that it evaluates
    accuracy: float | None
    data: str  # settings of its task, and notes on its copy of the data
    baselines: tuple[float | None, ...]
    labels: str  # a hash of those of its test set; empty where it has no predictions


@dataclass(frozen=True)
class Checked:
    """A pack that was looked at: its runs by id, and a sentence for each thing that is wrong with it."""

    path: Path
    runs: Mapping[str, Known] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Between:
    """What is wrong between the runs of two packs, or of one where both are the same."""

    one: str
    other: str  # the files' names
    sentence: str


def check_packs(paths: Sequence[Path]) -> tuple[list[Checked], list[Between]]:
    """Each pack checked by itself, and what is wrong between them."""
    found = [check_pack(path) for path in paths]
    known = [(run_id, run) for each in found for run_id, run in each.runs.items()]
    return found, [*_one_outcome(known), *_one_test_set(known), *_evaluated(known)]


def check_pack(path: Path) -> Checked:
    """The pack at `path`, checked by itself. Nothing is executed or written, and no link is followed."""
    if reason := _why_not_read(path):
        return Checked(path, faults=(f"{path.name} {reason}.",))
    runs: dict[str, Known] = {}
    faults: list[str] = []
    try:
        pack = read_pack(path)
        faults += _of_the_file(path.name, pack)
        for run_id, run, reasons in _each_run(path.name, pack):
            faults += [f"{path.name}, run {run_id}: {reason}." for reason in reasons]
            if run_id in runs:
                faults.append(f"{path.name}, run {run_id}: it is there more than once.")
            runs[run_id] = run
        faults += _of_sweeps(path.name, pack)
    except UserError as error:
        faults.append(str(error))
    return Checked(path, runs, tuple(faults))


def _each_run(name: str, pack: Pack) -> Iterator[tuple[str, Known, list[str]]]:
    """Each run's id, what others are compared with, and what is wrong with it; one row is in memory at a time."""
    for place, weights in zip(range(len(pack.rows)), _weights(pack), strict=True):
        (row,) = pack.rows.slice(place, 1).to_pylist()
        yield row["id"], _known(name, row), list(_of_a_run(row, weights))


def _why_not_read(path: Path) -> str:
    """Why a file is not even opened as a pack, in words that follow its name; empty where it may be one."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            return "is a link to another file: name that file"
        if not stat.S_ISREG(found.st_mode):
            return "is no file"
        if found.st_size > LARGEST_PACK:
            return f"has more than {LARGEST_PACK:,} bytes"
        with path.open("rb") as file:
            begins = file.read(4)
            file.seek(max(0, found.st_size - 4))
            ends = file.read(4)
    except OSError as error:
        return f"cannot be read now ({error.strerror or error})"
    if begins == b"PK\x03\x04":
        return "is a zip archive, which is not opened: name the parquet file itself"
    if begins != _PARQUET:
        return "is no parquet file"
    return "" if ends == _PARQUET else "has lost its end: copy it again"


def _of_the_file(name: str, pack: Pack) -> Iterator[str]:
    """What is wrong with the file as a whole."""
    foreign = [column for column in pack.file.schema_arrow.names if column not in (*RUN.names, WEIGHTS)]
    if foreign:
        yield f"{name} has columns that no run has: {', '.join(repr(column[:40]) for column in foreign[:4])}."
    if not len(pack.rows):
        yield f"{name} holds no runs."


def _weights(pack: Pack) -> Iterator[bytes | None]:
    """The weights of one row after the other, None where it has none."""
    if WEIGHTS in pack.file.schema_arrow.names:
        yield from pack.weights()
    else:
        yield from [None] * len(pack.rows)


def _of_a_run(row: Mapping[str, Any], weights: bytes | None) -> Iterator[str]:
    """What is wrong with a run, in words that follow "run ID: "."""
    yield from strange_identity(row)
    impossible = list(impossible_numbers(row))
    yield from impossible or disagreeing_numbers(row, config_of(row))
    if weights is not None and (reason := why_no_weights(weights, row["id"])):
        yield f"its weights are none ({reason})"


def _known(name: str, row: Mapping[str, Any]) -> Known:
    config = config_of(row)
    without = {key: value for key, value in config.items() if key != "robustness"}
    return Known(
        name,
        _digest([*(row[column] for column in _OUTCOME), [each["prediction"] for each in row["predictions"] or []]]),
        id_of(json.dumps(without, sort_keys=True)) if "robustness" in config else None,
        row["test_accuracy"],
        json.dumps([config.get("task"), row["data_notes"] or []], sort_keys=True),
        tuple(None if row[column] is None else round(row[column], 6) for column in _OF_DATA),
        _digest([each["label"] for each in row["predictions"]]) if row["predictions"] else "",
    )


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _of_sweeps(name: str, pack: Pack) -> Iterator[str]:
    """What is wrong between the runs of a pack and the sweeps that it says they are of."""
    seeds = dict(zip(*(pack.rows[column].to_pylist() for column in ("id", "seed")), strict=True))
    planned = {run.id for manifest in pack.manifests for run in manifest.runs}
    for manifest in pack.manifests:
        missing = [run.id for run in manifest.runs if run.id not in seeds]
        if missing and not manifest.is_sequential:
            yield f"{name}: {len(missing)} of {len(manifest.runs)} runs of the sweep {manifest.name} are not in it."
        for run in manifest.runs:
            if seeds.get(run.id, run.seed) != run.seed:
                yield f"{name}, run {run.id}: the sweep {manifest.name} planned it with seed {run.seed}."
        for twice in (variant for (variant, count) in _places(manifest.runs).items() if count > 1):
            yield f"{name}: the sweep {manifest.name} has more than one run {' · '.join(map(str, twice))}."
    for run_id in seeds:
        if run_id not in planned:
            yield f"{name}, run {run_id}: it is of none of the sweeps in the file."
    if strangers := {row["run"] for row in pack.times} - planned:
        yield f"{name} has times of {len(strangers)} runs that none of its sweeps planned."


def _places(runs: Sequence[Any]) -> Counter[tuple[str, ...]]:
    """How many runs there are of each task, variant and seed."""
    return Counter((run.axes.get("task", ""), run.variant, f"seed {run.seed}") for run in runs)


Pairs = dict[tuple[str, str], list[str]]
"""Names of two packs -> the runs of the second that do not agree with the first."""


def _one_outcome(known: Sequence[tuple[str, Known]]) -> Iterator[Between]:
    """The packs that have different outcomes of one run, or of more."""
    first: dict[str, Known] = {}
    between: Pairs = {}
    for run_id, run in known:
        earlier = first.setdefault(run_id, run)
        if earlier.outcome != run.outcome:
            accuracies = " and ".join(percent(each.accuracy) for each in (earlier, run) if each.accuracy is not None)
            between.setdefault((earlier.pack, run.pack), []).append(f"{run_id} ({accuracies or 'without accuracy'})")
    for (one, other), runs in between.items():
        said = f"{one} and {other} have different outcomes of the same runs, {len(runs)} of them, the first {runs[0]}"
        why = "other processors round otherwise, or one was changed; python -m harness.repeat tells how far they are"
        yield Between(one, other, f"{said}: {why}.")


def _one_test_set(known: Sequence[tuple[str, Known]]) -> Iterator[Between]:
    """The packs whose runs on the same data have other test sets, or other accuracies of simple rules on them."""
    first: dict[tuple[str, bool], tuple[str, Known]] = {}
    between: Pairs = {}
    for run_id, run in known:
        earlier_id, earlier = first.setdefault((run.data, bool(run.labels)), (run_id, run))
        if (earlier.labels, earlier.baselines) != (run.labels, run.baselines):
            between.setdefault((earlier.pack, run.pack), []).append(f"{run_id} beside {earlier_id}")
    for (one, other), runs in between.items():
        where = f"{other} has runs" if one == other else f"{one} and {other} have runs"
        yield Between(
            one, other, f"{where} with the same task and other test sets, {len(runs)} of them, the first {runs[0]}."
        )


def _evaluated(known: Sequence[tuple[str, Known]]) -> Iterator[Between]:
    """The packs whose evaluations under corruptions have, without one, another accuracy than the runs they are of."""
    first: dict[str, Known] = {}
    for run_id, run in known:
        first.setdefault(run_id, run)
    between: Pairs = {}
    for run_id, run in known:
        trained = first.get(run.trained or "")
        if trained is not None and trained.accuracy != run.accuracy:
            between.setdefault((trained.pack, run.pack), []).append(f"{run_id} of {run.trained}")
    for (one, other), runs in between.items():
        said = f"{len(runs)} evaluations have not the accuracy of the runs in {one} that they are of"
        yield Between(one, other, f"{other}: {said}, the first {runs[0]}.")
