"""One run as a job: claimed by a lease, executed once, its result or its failure stored."""

from __future__ import annotations

import json
import logging
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import torch

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.harness.run.compute import NOT_BEGUN, Report, compute
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.process_group import SINGLE, ProcessGroup
from spike_ssm.harness.state.lease import Lease, LostLease, Watch
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.provenance import code_version, environment
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.trainer import Progress
from spike_ssm.results.errors import UnpreparedError, sentence
from spike_ssm.results.files import PATIENCE_S, Guard, Survived, may_exist, patiently
from spike_ssm.results.store import write_json, write_run

SECONDS_BETWEEN_REPORTS = 0.5

_log = logging.getLogger(__name__)


def execute(job: Job, worker: str, watch: Watch | None = None, group: ProcessGroup = SINGLE) -> bool:
    """Execute the run unless it has a result or another process is at it. Returns whether it was executed here.

    A run that fails leaves a result too, with its error: it neither stops the others nor runs again unasked. Where its
    surroundings are at fault it leaves that sentence and no result, and the next call begins it anew. A run that is
    interrupted leaves a checkpoint, from which the next call goes on. One that lost its lease leaves nothing and was
    not executed here. `watch`: what was seen of holders elsewhere.
    The others of the `group` that this process leads train the run along.
    """
    claim = Lease.acquire(job.files.lease, slurm_alive=slurm.is_live, watch=watch, patience_s=PATIENCE_S)
    if claim is None:
        return False
    with claim:
        if may_exist(job.files.result):
            return False
        checkpoints = Checkpoints(job.files.checkpoints, job.run_id, claim.guard)
        _log.info("Run %s begins, worker %s, code %s.", job.run_id, worker, code_version())
        with suppress(OSError):  # while it has a lease, or a result, the run is not judged by it
            job.files.fault.unlink(missing_ok=True)
        try:
            row = {**job.identity(), **_outcome(job, worker, checkpoints, group)}
            patiently(claim.guard, f"The lease {claim.path} cannot be read")
            write_run(job.results, row)
            if row["status"] == "done":
                checkpoints.remove()  # a failed run's is there to be looked at, and to go on from
        except UnpreparedError as error:
            _log.info("Run %s cannot begin.", job.run_id, exc_info=error)
            fault = {"error": str(error)}
            if claim.held():
                patiently(lambda: write_json(job.files.fault, fault), f"{job.files.fault} cannot be written")
        except LostLease as error:
            _log.warning(str(error))
            return False
        finally:
            with suppress(OSError):  # what is left is told from a running run's by the lease
                if claim.held():
                    job.files.progress.unlink(missing_ok=True)
    return True


def _outcome(job: Job, worker: str, checkpoints: Checkpoints, group: ProcessGroup) -> dict[str, Any]:
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        measured = {"status": "done", **compute(job, _reporter(job, worker, checkpoints.guard), checkpoints, group)}
    except (LostLease, UnpreparedError):
        raise
    except Exception as error:
        _log.info("Run %s failed.", job.run_id, exc_info=error)
        lacks_memory = _is_out_of_memory(error)
        measured = {
            "status": "out of memory" if lacks_memory else "failed",
            "error": sentence(error) + (f" {_less_memory(job.settings)}" if lacks_memory else ""),
            "traceback": traceback.format_exc(),
            "log_tail": job.files.log_tail(),
        }
    return {
        "started_at": moment,
        "duration_s": checkpoints.seconds(),
        "environment": json.dumps(environment(torch.device("cpu")), sort_keys=True),
        "machine_shared": job.machine_shared,
        "code_warning": _code_warning(job),
        **measured,
    }


def _code_warning(job: Job) -> str | None:
    """A sentence where the code is not the one that the run was submitted with."""
    now = code_version()
    if job.code_version in ("", now):
        return None
    sentence = f"The code changed between submission ({job.code_version}) and start ({now}); the latter counts."
    _log.warning(sentence)
    return sentence


def _less_memory(settings: Settings) -> str:
    """What can be done about a step that needs too much."""
    steps = "" if settings.launcher.recompute_activations else " or set launcher.recompute_activations=true"
    return (
        f"Lower optim.batch_size ({settings.optim.batch_size}){steps}; launcher.memory_gb is the limit of a process, "
        f"and launcher.processes ({settings.launcher.processes}) share a batch."
    )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _reporter(job: Job, worker: str, guard: Guard) -> Report:
    """Writes a run's progress to its file, twice a second at most; raises `LostLease` when the run is another's."""
    path, last = job.files.progress, 0.0
    survived = Survived(f"The progress of the run cannot be written to {path}")

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_REPORTS:
            last = now
            with survived:
                guard()
                write_json(path, {"worker": worker, **asdict(progress)})

    trains = job.settings.task.name not in MEASUREMENTS and job.settings.robustness is None
    epochs = job.settings.optim.epochs if trains else 0
    with survived:
        write_json(path, {"worker": worker, **asdict(replace(NOT_BEGUN, epochs=epochs))})
    return report
