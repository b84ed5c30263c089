"""Packs from anyone, checked: is each the file that it should be, and does all that it says agree?

It finds damage, mistakes and changes by hand. A pack that was made up as a whole, with numbers that agree, passes: that
such runs give such results shows only who computes them again.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spike_ssm.results.errors import UserError
from spike_ssm.results.names import check_name, count, quoted, visible
from spike_ssm.results.schema import RUN
from spike_ssm.results.verify.between import Between, Known, disagreements, known
from spike_ssm.results.verify.content import WEIGHTS, Pack, read_pack, why_no_weights
from spike_ssm.results.verify.identity import strange_identity
from spike_ssm.results.verify.numbers import disagreeing_numbers, impossible_numbers
from spike_ssm.results.verify.plain import read_object
from spike_ssm.results.verify.texts import strange_plan, strange_texts, strange_times
from spike_ssm.results.verify.whole import missing_entries

LARGEST_PACK = 2**32
"""Bytes that the file of a pack may have to be read."""

_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Checked:
    """A pack that was looked at, and a sentence for each thing that is wrong with it."""

    path: Path
    looked_at: int = 0  # runs
    runs: Mapping[str, Known] = field(default_factory=dict)  # those that nothing is wrong with, by id
    faults: tuple[str, ...] = ()


def check_packs(paths: Sequence[Path], beside: Sequence[Path] = ()) -> tuple[list[Checked], list[Between]]:
    """Each pack checked by itself, and what those without a fault say otherwise than each other.

    beside: further packs that they are compared with; what is wrong with these, or between them, is not told.
    """
    found = [check_pack(path) for path in paths]
    given = {path.resolve() for path in paths}
    others = [check_pack(path) for path in beside if path.resolve() not in given]
    between = disagreements(run for each in (*others, *found) if not each.faults for run in each.runs.values())
    names = {each.path.name for each in found}
    return found, [each for each in between if names & {each.one, each.other}]


def check_pack(path: Path) -> Checked:
    """The pack at `path`, checked by itself. Nothing is executed or written, and no link is followed."""
    looked_at, runs = 0, dict[str, Known]()
    faults: list[str] = []
    try:
        check_name("file", path.name)
        if reason := _why_not_read(path):
            raise UserError(f"{path.name} {reason}.")
        pack = read_pack(path)
        looked_at = len(pack.rows)
        faults += _of_the_file(path.name, pack)
        ids = Counter(pack.rows["id"].to_pylist())
        faults += [f"{path.name}, run {run_id}: it is there more than once." for run_id in ids if ids[run_id] > 1]
        for row, reasons in _each_run(pack):
            faults += [f"{path.name}, run {row['id']}: {reason}." for reason in reasons]
            if not reasons:
                runs[row["id"]] = known(path.name, row)
        faults += _of_sweeps(path.name, pack)
        faults += [each.sentence for each in disagreements(runs.values())]
    except UserError as error:
        faults.append(str(error))
    return Checked(path, looked_at, runs, tuple(map(visible, faults)))


def _each_run(pack: Pack) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Each run, and what is wrong with it; one row is in memory at a time."""
    for place, weights in zip(range(len(pack.rows)), _weights(pack), strict=True):
        (row,) = pack.rows.slice(place, 1).to_pylist()
        yield row, list(_of_a_run(row, weights))


def _why_not_read(path: Path) -> str:
    """Why a file is not even opened as a pack, in words that follow its name; empty where it may be one."""
    if path.suffix != ".parquet":
        return "is no pack, whose name ends in .parquet: leave it out"
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
    except FileNotFoundError:
        return "is not there"
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
    yield from strange_texts(row)
    unusable = list(missing_entries(row)) or list(impossible_numbers(row))
    yield from unusable or disagreeing_numbers(row, read_object(row["config"]))
    if weights is not None and (reason := why_no_weights(weights, row["id"])):
        yield f"its weights are none ({reason})"


def _of_sweeps(name: str, pack: Pack) -> Iterator[str]:
    """What is wrong between the runs of a pack and the sweeps that it says they are of."""
    seeds = dict(zip(*(pack.rows[column].to_pylist() for column in ("id", "seed")), strict=True))
    planned = {run.id for manifest in pack.manifests for run in manifest.runs}
    for manifest in pack.manifests:
        yield from (f"{name}: {reason}." for reason in strange_plan(manifest))
        missing = [run.id for run in manifest.runs if run.id not in seeds]
        if missing and not manifest.is_sequential:
            yield f"{name}: {len(missing)} of {len(manifest.runs)} runs of the sweep {manifest.name} are not in it."
        for run in manifest.runs:
            if seeds.get(run.id, run.seed) != run.seed:
                yield f"{name}, run {run.id}: the sweep {manifest.name} planned it with seed {run.seed}."
        for twice in (place for place, runs in _places(manifest.runs).items() if runs > 1):
            yield f"{name}: the sweep {manifest.name} has more than one run {quoted(' · '.join(twice))}."
    for run_id in seeds:
        if run_id not in planned:
            yield f"{name}, run {run_id}: it is of none of the sweeps in the file."
    yield from (f"{name}: {reason}." for reason in strange_times(pack.times))
    if strangers := {row["run"] for row in pack.times} - planned:
        yield f"{name} has times of {count(len(strangers), 'run')} that none of its sweeps planned."


def _places(runs: Sequence[Any]) -> Counter[tuple[str, ...]]:
    """How many runs there are of each task, variant and seed."""
    return Counter((run.axes.get("task", ""), run.variant, f"seed {run.seed}") for run in runs)
