"""Marks beside a pack: which of its runs somebody computed again, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UnreadableError, UserError
from spike_ssm.results.files import may_exist, replace

Verdict = Literal["identical", "within tolerance", "not repeated"]

IDENTICAL: Verdict = "identical"
WITHIN: Verdict = "within tolerance"
NOT_REPEATED: Verdict = "not repeated"

VERSION = 1


@dataclass(frozen=True)
class Mark:
    """What came of a run that was computed again. Accuracies are shares; a language model's are of words."""

    outcome: str  # the hash of the stored outcome that it was compared with, `results.verify.packs.Known.outcome`
    verdict: Verdict
    tolerance: float  # points of accuracy
    stored_accuracy: float
    accuracy: float
    differing: float | None  # share of the test predictions that are others; null where none are stored
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


def read_marks(pack: Path) -> dict[str, Mark]:
    """The marks of the pack's runs, by id; none where there is no file. Raises `UserError` for one that is damaged."""
    path = marks_path(pack)
    if not may_exist(path):
        return {}
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read now ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} holds no marks: it is no JSON.") from error
    found = read_document(Marks, content, str(path))
    if found.version != VERSION:
        raise UserError(f"{path} is of version {found.version} of marks, and this code reads version {VERSION}.")
    return found.runs


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
