"""What a worker is to do, as a file: data that is checked when it is read, and nothing that is executed.

submitit's pickle of a job holds a call of `harness.run.worker.work` with the path of such a file, and nothing else.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.system.private import private_folder
from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import write_json


@dataclass(frozen=True)
class _Run:
    """A job as it stands in the file."""

    id: str
    settings: dict[str, Any]
    results: str
    machine_shared: bool
    code_version: str


@dataclass(frozen=True)
class _Order:
    """The file."""

    threads: int
    runs: list[dict[str, Any]]


def submission_folder(*, here: bool = False) -> Path:
    """A new folder of the user's own for what one submission starts: orders, and what submitit writes.

    here: on this machine alone, so that a temporary folder does where the user has no private one that can be used.
    """
    try:
        folder = private_folder("jobs") / uuid.uuid4().hex
    except UserError:
        if not here:
            raise
        return Path(tempfile.mkdtemp(prefix="spike-ssm-jobs-"))
    folder.mkdir(mode=0o700)
    return folder


def write_order(folder: Path, jobs: Sequence[Job], threads: int) -> str:
    """Write into `folder` that these jobs are to be executed, with n threads; the file's path."""
    runs = [
        {
            "id": job.run_id,
            "settings": asdict(job.settings),
            "results": str(job.results),
            "machine_shared": job.machine_shared,
            "code_version": job.code_version,
        }
        for job in jobs
    ]
    path = folder / f"order-{uuid.uuid4().hex}.json"
    write_json(path, {"threads": threads, "runs": runs})
    return str(path)


def read_order(path: str, settings_of: Callable[[str], Settings]) -> tuple[list[Job], int]:
    """The jobs and the threads of an order; settings_of: checks settings and makes them from JSON.

    Raises `UserError` where the file cannot be read, or holds anything but settings that exist, each under its own id.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"The order {path} cannot be read ({error}). Submit the runs again.") from error
    order = read_document(_Order, content, path)
    if order.threads < 1:
        raise UserError(f"{path}: threads must be at least 1, but it is {order.threads}.")
    runs = [read_document(_Run, run, path, f"runs.{number}") for number, run in enumerate(order.runs)]
    return [_job(run, path, settings_of) for run in runs], order.threads


def _job(run: _Run, path: str, settings_of: Callable[[str], Settings]) -> Job:
    settings = settings_of(json.dumps(run.settings))
    if run.id != settings.run_id():
        raise UserError(f"The order {path} calls a run {run.id!r} whose settings make it {settings.run_id()}.")
    if not Path(run.results).is_absolute():
        raise UserError(f"The order {path} names the results folder {run.results!r}, which is no absolute path.")
    return Job(run.id, settings, Path(run.results), run.machine_shared, run.code_version)
