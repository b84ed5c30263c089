"""The settings that a tuning chose, as a sweep uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.settings import PathSettings, Settings
from spike_ssm.harness.plan.grid import Grid, Tuned, untuned
from spike_ssm.harness.plan.sweep_file import Sweep
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import results_folder
from spike_ssm.results.tuning.files import read_tuning, tuning_path
from spike_ssm.results.tuning.record import Tuning


def results_of(command: CommandLine) -> Path:
    """The results folder of the command line."""
    return results_folder(str(command.overrides.get("paths.results", PathSettings.results)))


def wanted_tuning(sweep: Sweep, command: CommandLine) -> Tuning | None:
    """The tuning that `tuned=` asks for: true for the one in the results folder, or a file's path."""
    tuned = command.flags.tuned
    if tuned is None or tuned is False:
        return None
    results = results_of(command)
    name = sweep.of or sweep.name
    path = tuning_path(results, name, sweep.scale) if tuned is True else Path(str(tuned)).expanduser().absolute()
    return read_tuning(path, name, sweep.scale)


def tuned_by(tuning: Tuning | None) -> Tuned:
    """From a run's settings and variant to what the tuning chose for it; without one, to nothing."""
    if tuning is None:
        return untuned

    def of_run(settings: Settings, variant: str) -> dict[str, Any]:
        choice = tuning.choice(settings.task.name, variant)
        return {} if choice is None else choice.values

    return of_run


def check_seeds(tuning: Tuning, grid: Grid) -> None:
    """Raise `UserError` when a run has a seed that its settings were chosen by."""
    if shared := sorted({run.plan.seed for run in grid.runs} & set(tuning.seeds)):
        raise UserError(
            f"The tuning chose by the seeds {tuning.seeds}, so the sweep cannot have {shared} as well: its results "
            "would be better than chance allows. Give other seeds."
        )
