"""The figures of every task of a page, by several processes where there are many: drawing takes most of the time."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context

import pandas as pd

from spike_ssm.reports.figures.accuracy import task_figures
from spike_ssm.reports.figures.inside import inside_figures
from spike_ssm.reports.figures.iterations import against_iterations
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.statistics.matched import Curve

MANY_RUNS = 500
"""Runs from which on starting processes pays."""

Tasks = Mapping[str, pd.DataFrame]
"""Finished runs by task."""

Promised = dict[str, Callable[[], list[Drawn]]]
"""Functions by task that give its figures when they are drawn; ids of the n-th task's figures start with `t<n>`."""

Draw = Callable[[Tasks, Mapping[str, Look], Sequence[Curve]], Promised]


@contextmanager
def drawing(runs: int) -> Iterator[Draw]:
    """A function that draws while the context is open; for many runs, by processes that start while these are read."""
    if runs < MANY_RUNS:
        yield _draw_here
        return
    processes = os.cpu_count() or 1
    # spawned: a forked process would inherit the locks of the threads that read the results
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for _ in range(processes):
            pool.submit(_get_ready)
        yield partial(_draw_there, pool)


def _get_ready() -> None:
    """Once this module is imported, what came with it is no garbage: looking for some there is a sixth of drawing."""
    gc.freeze()


def _draw_here(tasks: Tasks, looks: Mapping[str, Look], curves: Sequence[Curve]) -> Promised:
    return {
        task: partial(_figures, runs, looks, curves, f"t{place}") for place, (task, runs) in enumerate(tasks.items())
    }


def _draw_there(pool: Executor, tasks: Tasks, looks: Mapping[str, Look], curves: Sequence[Curve]) -> Promised:
    return {
        task: pool.submit(_figures, runs.drop(columns="predictions"), looks, curves, f"t{place}").result
        for place, (task, runs) in enumerate(tasks.items())
    }


def _figures(runs: pd.DataFrame, looks: Mapping[str, Look], curves: Sequence[Curve], prefix: str) -> list[Drawn]:
    iterations = against_iterations(runs, looks, f"{prefix}m")
    others = [] if iterations is None else [iterations]
    return [*task_figures(runs, looks, prefix, curves), *others, *inside_figures(runs, looks, prefix)]
