"""Marks beside a pack: which of its runs somebody computed again, and what came of it."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import replace
from spike_ssm.results.names import check_name
from spike_ssm.results.verify.plain import read_json

Verdict = Literal["identical", "within tolerance", "not repeated"]

IDENTICAL: Verdict = "identical"
WITHIN: Verdict = "within tolerance"
NOT_REPEATED: Verdict = "not repeated"

VERSION = 1

MOST_POINTS = 100.0
"""The largest tolerance: no two shares are further apart."""

LARGEST_MARKS = 2**24
"""Bytes that a file of marks may have to be read."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Mark:
    """What came of a run that was computed again. Accuracies are shares; a language model's are of words."""

    outcome: str  # `results.verify.outcome.digest` of the stored run that it was compared with
    verdict: Verdict  # `verdict_of` the next three
    tolerance: float  # points
    distance: float | None  # of what differs most, points; null where what must be the same is not
    differing: float | None  # share of the test predictions that are others; null where none are stored
    stored_accuracy: float
    accuracy: float
    processor: str  # on which it was computed again
    code_version: str
    at: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Marks:
    """The file of marks of one pack."""

    version: int = VERSION
    runs: dict[str, Mark] = field(default_factory=dict)  # by id


def marks_path(pack: Path) -> Path:
    """The file of the marks of `pack`, beside it: `theirs.repeated.json` for `theirs.parquet`."""
    return pack.with_suffix(".repeated.json")


def verdict_of(distance: float | None, differing: float | None, tolerance: float) -> Verdict:
    """What follows from a `Mark`'s numbers of these names."""
    if distance is None:
        return NOT_REPEATED
    if distance == 0 and not differing:
        return IDENTICAL
    return WITHIN if distance <= tolerance else NOT_REPEATED


def read_marks(pack: Path) -> dict[str, Mark]:
    """The marks of the pack's runs, by id; none where there is no file. No link is followed.

    Raises `UserError` for a file that is none, damaged, or with a mark that contradicts itself.
    """
    path = marks_path(pack)
    try:
        content = _content(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read now ({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"{path} holds no marks: it is no JSON.") from error
    found = read_document(Marks, content, str(path))
    if found.version != VERSION:
        raise UserError(f"{path} is of version {found.version} of marks, and this code reads version {VERSION}.")
    for run_id, mark in found.runs.items():
        try:
            check_name("run", run_id)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        if reason := _why_impossible(mark):
            raise UserError(f"{path}: the mark of run {run_id} {reason}. Repeat the run with --write.")
    return found.runs


def _content(path: Path) -> object:
    """The JSON in a file. Raises `UserError` for a link or a file too large, ValueError for no JSON, and OSError."""
    there = path.lstat()
    if not stat.S_ISREG(there.st_mode) or there.st_size > LARGEST_MARKS:
        raise UserError(
            f"{path} holds no marks: it must be a file of its own, no link, of at most {LARGEST_MARKS:,} bytes."
        )
    return read_json(path.read_bytes())


def _why_impossible(mark: Mark) -> str:
    """How a mark contradicts itself, in words that follow its run; empty where it does not."""
    shares = (mark.stored_accuracy, mark.accuracy, mark.differing or 0)
    if not all(0 <= share <= 1 for share in shares):
        return "has a share that is none"
    if not (0 <= mark.tolerance <= MOST_POINTS and 0 <= (mark.distance or 0) < math.inf):
        return "has a tolerance or a distance that cannot be"
    if mark.distance is not None and 100 * abs(mark.accuracy - mark.stored_accuracy) > mark.distance + _ROUNDING:
        return "has accuracies that are further apart than its distance"
    if mark.verdict != verdict_of(mark.distance, mark.differing, mark.tolerance):
        return f"is {mark.verdict!r}, which does not follow from its numbers"
    return ""


def write_mark(pack: Path, run_id: str, mark: Mark) -> Path:
    """Add the mark of a run to those of its pack, in the place of an earlier one; returns the file's path.

    Raises `UserError`.
    """
    path = marks_path(pack)
    content: Mapping[str, object] = asdict(Marks(runs={**read_marks(pack), run_id: mark}))
    try:
        replace(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from error
    return path
