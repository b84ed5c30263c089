"""What was handed to whom: one small file a submission, so that any terminal finds the jobs of a sweep again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from spike_ssm.harness.system import slurm
from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import link_if_free, make_lowest_folders, patiently, written
from spike_ssm.results.process import Process


@dataclass(frozen=True)
class Submission:
    """Runs that were handed to SLURM, or to the worker processes of one machine.

    jobs: SLURM's job id -> ids of its runs, in their order. For workers of a machine the one key is "" and `process`
    tells which process looks after them. user and cluster: whose the jobs are, "" in files of earlier versions.
    """

    kind: Literal["slurm", "local"]
    sweep: str
    jobs: dict[str, list[str]]
    process: Process | None = None
    submitted_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    user: str = ""
    cluster: str = ""
    name: str = slurm.JOB_NAME  # of the jobs

    def owned(self, job: str) -> slurm.OwnedJob:
        """One of the jobs, with whose it is."""
        return slurm.OwnedJob(job, self.user, self.cluster, self.name)


def record(results: Path, submission: Submission) -> Path:
    """Store `submission` as this user's, on this machine's cluster, under the number that follows the last one's."""
    user, cluster = slurm.user(), slurm.cluster() if submission.kind == "slurm" else ""
    content = json.dumps(asdict(replace(submission, user=user, cluster=cluster)), indent=1, sort_keys=True)
    folder = _folder(results)

    def store() -> Path:
        make_lowest_folders(folder, levels=2)
        number = 1 + max(map(_number, folder.glob("*.json")), default=0)
        with written(folder / "submission", content.encode()) as temporary:
            while not link_if_free(temporary, path := folder / f"{number:020d}.json"):
                number += 1
        return path

    return patiently(store, f"What was submitted cannot be written to {folder}")


def submissions(results: Path) -> list[Submission]:
    """All that was submitted, the latest last; files that are damaged are left out."""
    found = []
    for path in sorted(_folder(results).glob("*.json"), key=lambda path: (_number(path), path.name)):
        try:
            found.append(read_document(Submission, json.loads(path.read_bytes()), str(path)))
        except (OSError, ValueError, RecursionError, UserError):
            continue
    return found


def _number(path: Path) -> int:
    """The number that a file's name begins with; earlier versions took the time in ns for it, and added letters."""
    number = path.name.partition(".")[0].partition("-")[0]
    return int(number) if number.isdecimal() and len(number) <= 20 else 0


def _folder(results: Path) -> Path:
    return results / "state" / "submissions"
