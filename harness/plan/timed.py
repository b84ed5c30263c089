"""Which runs stand for the variants of a sweep where these are timed."""

from __future__ import annotations

from collections.abc import Container

from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.harness.plan.grid import Grid, GridRun

MOST = 48
"""Variants of a task that are timed, at most: they are all in memory at once, and each takes seconds."""


def timed_runs(grid: Grid, among: Container[str]) -> list[str]:
    """Ids of one run a variant and task, the one with the lowest seed, the baseline's before others.

    Only runs that train a network, of those with an id `among` these, and of a task no more than `MOST`.
    """
    chosen: dict[tuple[str, str], GridRun] = {}
    for run in sorted(grid.runs, key=lambda run: run.plan.seed):
        settings = run.settings
        trains = settings.task.name not in MEASUREMENTS and settings.robustness is None
        if trains and run.plan.id in among:
            chosen.setdefault((settings.task.name, run.plan.variant), run)
    by_task: dict[str, list[str]] = {}
    for run in sorted(chosen.values(), key=lambda run: run.plan.variant != grid.baseline):
        by_task.setdefault(run.settings.task.name, []).append(run.plan.id)
    return [run_id for ids in by_task.values() for run_id in ids[:MOST]]
