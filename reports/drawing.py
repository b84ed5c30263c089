"""The figures of every task of a page, by several processes where there are many: drawing takes most of the time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd

from reports.figures import Drawn, task_figures
from reports.inside import inside_figures
from reports.palette import Look

MANY_RUNS = 500
"""From so many on, starting processes pays."""


def draw(tasks: Mapping[str, pd.DataFrame], looks: Mapping[str, Look]) -> dict[str, list[Drawn]]:
    """The figures of each task, from its finished runs; the ids of the n-th task's, from 0 on, start with `t<n>`."""
    if len(tasks) < 2 or sum(map(len, tasks.values())) < MANY_RUNS:
        return {task: _draw(runs, looks, f"t{place}") for place, (task, runs) in enumerate(tasks.items())}
    # spawned: a forked process would inherit the locks of the threads that read the results
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(tasks)), mp_context=get_context("spawn")) as pool:
        begun = {
            task: pool.submit(_draw, runs.drop(columns="predictions"), looks, f"t{place}")
            for place, (task, runs) in enumerate(tasks.items())
        }
        return {task: drawn.result() for task, drawn in begun.items()}


def _draw(runs: pd.DataFrame, looks: Mapping[str, Look], prefix: str) -> list[Drawn]:
    return task_figures(runs, looks, prefix) + inside_figures(runs, looks, prefix)
