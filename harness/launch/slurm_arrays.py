"""Runs as SLURM arrays: one array for all runs that need the same resources, split where it grows too long.

submitit writes the batch files and starts the workers. What became of a job is read from files and from SLURM
(`harness.state.survey`), never asked of the process that submitted it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, TypeVar

import submitit

from spike_ssm.harness.config.settings import LauncherSettings
from spike_ssm.harness.run.job import Job, Work
from spike_ssm.harness.state.submissions import Submission, record
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.environment import worker_environment
from spike_ssm.results.errors import UserError

T = TypeVar("T")

MEND = "Mend the launcher.* settings (sweeps/launcher/slurm.yaml), or use launcher=local."


def submit(jobs: Sequence[Job], sweep: str, work: Work) -> None:
    """Hand `jobs` to SLURM, where `work` executes them, and leave a record of it.

    Raises `UserError` when SLURM does not take them.
    """
    most = slurm.max_array_size()
    for launcher, members in _alike(jobs):
        bundles = _chunks(members, launcher.runs_per_job)
        for part in _chunks(bundles, most):
            share = max(1, round(launcher.max_parallel * len(part) / len(bundles)))
            ids = _submit_array(part, launcher, share, work)
            held = {job: [run.run_id for run in bundle] for job, bundle in zip(ids, part, strict=True)}
            name = str(launcher.extra.get("job-name", slurm.JOB_NAME))
            record(jobs[0].results, Submission("slurm", sweep, held, name=name))


def _alike(jobs: Sequence[Job]) -> list[tuple[LauncherSettings, list[Job]]]:
    """The jobs by what they need."""
    groups: dict[str, tuple[LauncherSettings, list[Job]]] = {}
    for job in jobs:
        needs = job.settings.launcher
        groups.setdefault(repr(astuple(needs)), (needs, []))[1].append(job)
    return list(groups.values())


def _submit_array(bundles: Sequence[Sequence[Job]], launcher: LauncherSettings, parallel: int, work: Work) -> list[str]:
    """The ids of the array's tasks, one a bundle."""
    executor = submitit.SlurmExecutor(folder=bundles[0][0].results / "logs")
    executor.update_parameters(**_sbatch(launcher), array_parallelism=parallel)
    try:
        with worker_environment():
            tasks = executor.map_array(work, bundles, [launcher.threads] * len(bundles))
    except submitit.core.utils.FailedJobError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"SLURM did not take the jobs: {reason}. {MEND}") from error
    return [task.job_id for task in tasks]


def _sbatch(launcher: LauncherSettings) -> dict[str, Any]:
    """submitit's parameters."""
    optional = {name: getattr(launcher, name) for name in ("partition", "account", "qos", "constraint")}
    return {
        "job_name": slurm.JOB_NAME,
        "time": math.ceil(launcher.timeout_minutes or 0),
        "ntasks_per_node": launcher.processes,
        "cpus_per_task": launcher.threads,
        "srun_args": [f"--cpus-per-task={launcher.threads}", "--kill-on-bad-exit=1"],  # srun takes no hint from sbatch
        "mem": f"{(launcher.memory_gb or 0) * launcher.processes}GB",
        "signal_delay_s": launcher.grace_seconds,
        "additional_parameters": {"requeue": True, **launcher.extra},
        **({"gpus_per_node": launcher.gpus * launcher.processes} if launcher.gpus else {}),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
