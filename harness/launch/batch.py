"""From a grid to executed runs: what the commands that train many runs share."""

from __future__ import annotations

from pathlib import Path

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.launch.display import Display
from spike_ssm.harness.launch.launcher import launch
from spike_ssm.harness.launch.local_pool import worker_count
from spike_ssm.harness.plan.grid import GridRun
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.state.survey import RunState
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.provenance import code_version
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import discard_failure, prepare_folder


def results_folder(settings: Settings, create: bool) -> Path:
    """Its absolute path. Raises `UserError` when it is to be created and cannot be written to."""
    folder = Path(settings.paths.results).expanduser().absolute()
    return prepare_folder(folder) if create else folder


def require_launcher(settings: Settings) -> None:
    """Raise `UserError` when this machine does not have it."""
    if settings.launcher.kind == "slurm" and not slurm.is_available():
        raise UserError("launcher=slurm, but this machine lacks SLURM's sbatch or srun. Use launcher=local.")


def workers(settings: Settings, runs: int) -> int:
    """How many of so many runs are executed at a time."""
    launcher = settings.launcher
    return {"local": worker_count(launcher, runs), "slurm": launcher.max_parallel}.get(launcher.kind, 1)


def jobs_of(runs: list[GridRun], results: Path) -> dict[str, Job]:
    """By run id, in the order of the runs."""
    launcher = runs[0].settings.launcher
    # a node may have other tenants
    shared = launcher.kind == "slurm" or (launcher.kind == "local" and worker_count(launcher, len(runs)) > 1)
    version = code_version()
    return {run.plan.id: Job(run.plan.id, run.settings, results, shared, version) for run in runs}


def is_to_run(state: RunState, retry: bool) -> bool:
    """Whether a run has no result yet, or has failed and is wanted again."""
    return not (state.is_finished and state.recorded) or (state.has_failed and retry)


def announce(states: dict[str, RunState], todo: int, settings: Settings) -> None:
    """Print what will be done."""
    failed = sum(state.has_failed and state.recorded for state in states.values())
    at_a_time = f"{settings.launcher.kind}, {workers(settings, len(states))} at a time"
    print(f"{len(states)} runs: {len(states) - todo} finished earlier, {todo} to run ({at_a_time}).")
    if failed and not settings.retry:
        print(f"{failed} of them failed earlier; retry=true runs them again.")


def execute_shown(todo: list[Job], name: str, labels: dict[str, str]) -> None:
    """Have the jobs run under `name`, and wait for all, with a display; `labels` by run id."""
    for job in todo:
        discard_failure(job.results, job.run_id)
    at_a_time = workers(todo[0].settings, len(labels))
    with Display({job.run_id: labels[job.run_id] for job in todo}, at_a_time) as display:
        launch(todo, name, display)
