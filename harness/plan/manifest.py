"""The manifest of a sweep: what it is, for whoever reads its results."""

from __future__ import annotations

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.plan.grid import Grid
from spike_ssm.harness.plan.sweep_file import Sweep
from spike_ssm.results.schema import Manifest
from spike_ssm.results.tuning import Tuning


def manifest_of(sweep: Sweep, grid: Grid, command: CommandLine, tuning: Tuning | None) -> Manifest:
    """What the results folder keeps of a sweep."""
    scale = grid.runs[0].settings.scale
    tasks = {run.plan.axes.get("task", run.settings.task.name): run.settings.task.name for run in grid.runs}
    return Manifest(
        name=sweep.name,
        title=sweep.title,
        question=sweep.question,
        scale=scale.name,
        scale_note=scale.note,
        baseline=grid.baseline,
        words=command.lasting(),
        runs=[run.plan for run in grid.runs],
        variant_notes=grid.variant_notes,
        task_notes={label: TASKS[name][0].shortcut() for label, name in sorted(tasks.items()) if name in TASKS},
        tuning=tuning,
        controls=grid.controls,
    )
