"""Runs as SLURM arrays: one array for all runs that need the same resources, split where it grows too long.

submitit writes the batch files and starts the workers. What became of a job is read from files and from SLURM
(`harness.state.survey`), never asked of the process that submitted it.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, TypeVar

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from spike_ssm.harness.config.settings import LauncherSettings
from spike_ssm.harness.run.job import Job, Work
from spike_ssm.harness.run.order import submission_folder, write_order
from spike_ssm.harness.state.submissions import Submission, record
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.environment import worker_environment
from spike_ssm.results.errors import UserError

T = TypeVar("T")

MEND = "Mend the launcher.* settings (sweeps/launcher/slurm.yaml), or use launcher=local."


class _RefusedError(Exception):
    """SLURM did not take an array; the message says why."""


def submit(jobs: Sequence[Job], sweep: str, work: Work) -> list[str]:
    """Hand `jobs` to SLURM, where `work` executes them, and leave a record of it; returns the arrays' ids.

    `launcher.max_parallel` tasks run at once, of all arrays together. Raises `UserError` when SLURM does not take all.
    """
    longest, most = slurm.max_array_size(), jobs[0].settings.launcher.max_parallel
    arrays = [
        (launcher, part)
        for launcher, members in _alike(jobs)
        for part in _chunks(_chunks(members, launcher.runs_per_job), longest)
    ]
    shares = _shares([len(bundles) for _, bundles in arrays], most)
    folder, taken = submission_folder(), 0
    ids: list[list[str]] = []
    for number, (launcher, bundles) in enumerate(arrays):
        name = f"{slurm.JOB_NAME}-{uuid.uuid4().hex[:12]}"
        wanted = _sbatch(launcher, after=ids[number - most][:1] if number >= most else [])
        wanted |= {"job_name": name, "array_parallelism": shares[number]}
        try:
            ids.append(_submit_array(bundles, wanted, folder, work))
        except _RefusedError as error:
            raise UserError(_refusal(str(error), taken, len(jobs), sweep)) from error
        held = {job: [run.run_id for run in bundle] for job, bundle in zip(ids[-1], bundles, strict=True)}
        record(jobs[0].results, Submission("slurm", sweep, held, name=name))
        taken += sum(map(len, bundles))
    return [first.split("_")[0] for first, *_ in ids]


def _alike(jobs: Sequence[Job]) -> list[tuple[LauncherSettings, list[Job]]]:
    """The jobs by what they need."""
    groups: dict[str, tuple[LauncherSettings, list[Job]]] = {}
    for job in jobs:
        needs = job.settings.launcher
        groups.setdefault(repr(astuple(needs)), (needs, []))[1].append(job)
    return list(groups.values())


def _shares(sizes: Sequence[int], most: int) -> list[int]:
    """How many tasks of each array may run at once: one, and by its size a part of what is then left of `most`.

    Where there are more arrays than `most`, each waits for the one that is `most` places before it.
    """
    spare = max(0, most - len(sizes))
    return [1 + spare * size // sum(sizes) for size in sizes]


def submit_alone(
    jobs: Sequence[Job], sweep: str, work: Callable[..., object], *words: object, after: Sequence[str]
) -> slurm.OwnedJob:
    """Hand SLURM one job that has a node to itself, where `work` gets an order of all `jobs` and the `words`.

    It begins when the jobs `after` have ended, however they did, and has the most that any of `jobs` needs, for one
    process. Raises `UserError` when SLURM does not take it.
    """
    needs = [job.settings.launcher for job in jobs]
    launcher = replace(
        needs[0],
        processes=1,
        threads=max(each.threads for each in needs),
        gpus=max(each.gpus for each in needs),
        memory_gb=max((each.memory_gb or 0) * each.processes for each in needs),
    )
    name, folder = f"{slurm.JOB_NAME}-{uuid.uuid4().hex[:12]}", submission_folder()
    wanted = _sbatch(launcher, after) | {"job_name": name}
    wanted["additional_parameters"] = {"exclusive": True, **wanted["additional_parameters"]}
    executor = submitit.SlurmExecutor(folder=folder)
    executor.update_parameters(**wanted)
    order = write_order(folder, jobs, launcher.threads)
    try:
        (job,) = _taken(lambda: [executor.submit(work, order, *words)], name)
    except _RefusedError as error:
        raise UserError(f"SLURM did not take the job that times the variants: {error}{MEND}") from error
    submission = Submission("slurm", sweep, {job: []}, name=name)
    record(jobs[0].results, submission)
    return replace(submission, user=slurm.user(), cluster=slurm.cluster()).owned(job)


def _submit_array(bundles: Sequence[Sequence[Job]], wanted: dict[str, Any], folder: Path, work: Work) -> list[str]:
    """The ids of the array's tasks, one a bundle. Raises `_RefusedError`; SLURM then has no job of it."""
    threads = bundles[0][0].settings.launcher.threads
    orders = [write_order(folder, bundle, threads) for bundle in bundles]
    executor = submitit.SlurmExecutor(folder=folder)
    executor.update_parameters(**wanted)
    return _taken(lambda: executor.map_array(work, orders), wanted["job_name"])


def _taken(submit: Callable[[], Sequence[submitit.Job[Any]]], name: str) -> list[str]:
    """The ids of the jobs called `name` that this submits. Raises `_RefusedError`; SLURM then has none of them."""
    try:
        with worker_environment():
            return [job.job_id for job in submit()]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        said = str(error).partition("\nJob instance")[0]  # what submitit adds is for programmers
        raise _RefusedError(f"{' '.join(said.split()).rstrip('.')}. {_recalled(name)}") from error


def _recalled(name: str) -> str:
    """A sentence on the job of this name that SLURM may have taken although sbatch did not say so; it is cancelled."""
    ids = slurm.cancel_named(name)
    if ids is None:
        return (
            f"Whether it took a job all the same cannot be told, since squeue does not answer: "
            f"scancel --name={name} ends one. "
        )
    return f"Job {', '.join(ids)}, which it took all the same, was cancelled. " if ids else ""


def _refusal(reason: str, taken: int, runs: int, sweep: str) -> str:
    if not taken:
        return f"SLURM did not take the jobs: {reason}{MEND}"
    return (
        f"SLURM took {taken} of {runs} runs, and not the others: {reason}The {taken} go on; python -m harness.status "
        f"{sweep} shows them, and python -m harness.cancel {sweep} ends them. {MEND}"
    )


def _sbatch(launcher: LauncherSettings, after: Sequence[str]) -> dict[str, Any]:
    """submitit's parameters; after: jobs, or tasks of arrays, that have to end first."""
    optional = {name: getattr(launcher, name) for name in ("partition", "account", "qos", "constraint")}
    extra: dict[str, Any] = {key: value.lower() == "true" or value for key, value in launcher.extra.items()}
    if after:
        needs = [extra["dependency"]] if "dependency" in extra else []
        extra["dependency"] = ",".join([*needs, *(f"afterany:{job.split('_')[0]}" for job in after)])
    return {
        "time": math.ceil(launcher.timeout_minutes or 0),
        "ntasks_per_node": launcher.processes,
        "cpus_per_task": launcher.threads,
        "srun_args": [f"--cpus-per-task={launcher.threads}", "--kill-on-bad-exit=1"],  # srun takes no hint from sbatch
        "mem": f"{(launcher.memory_gb or 0) * launcher.processes}GB",
        "signal_delay_s": launcher.grace_seconds,
        "additional_parameters": {"requeue": True, **extra},
        **({"gpus_per_node": launcher.gpus * launcher.processes} if launcher.gpus else {}),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
