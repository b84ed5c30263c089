"""What was handed to whom: one small file a submission, so that any terminal finds the jobs of a sweep again."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from spike_ssm.results.store import write_json


@dataclass(frozen=True)
class Submission:
    """Runs that were handed to SLURM, or to the worker processes of one machine.

    jobs: SLURM's job id -> ids of its runs, in their order. For workers of a machine the one key is "" and `process`
    tells which process looks after them.
    """

    kind: Literal["slurm", "local"]
    sweep: str
    jobs: dict[str, list[str]]
    process: dict[str, Any] | None = None
    submitted_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def record(results: Path, submission: Submission) -> Path:
    """Store `submission`. Later ones sort behind earlier ones."""
    path = _folder(results) / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json"
    write_json(path, asdict(submission))
    return path


def submissions(results: Path) -> list[Submission]:
    """All that was submitted, the latest last; files that are damaged are left out."""
    found = []
    for path in sorted(_folder(results).glob("*.json")):
        try:
            found.append(Submission(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            continue
    return found


def _folder(results: Path) -> Path:
    return results / "state" / "submissions"
