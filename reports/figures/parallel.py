"""The figures of every task of a page, by several processes where there are many: drawing takes most of the time."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import pandas as pd

from spike_ssm.reports.figures.accuracy import task_figures
from spike_ssm.reports.figures.groups import accuracy_by_group
from spike_ssm.reports.figures.inside import inside_figures
from spike_ssm.reports.figures.intervals import interval_figures
from spike_ssm.reports.figures.iterations import against_iterations
from spike_ssm.reports.figures.spike_trains import spike_trains
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.statistics.matched import Curve

MANY_RUNS = 500
"""Runs from which on starting processes pays."""

Promise = Callable[[], list[Drawn]]
"""A function that gives the figures of a task when they are drawn."""

Draw = Callable[[pd.DataFrame, Mapping[str, Look], Sequence[Curve], str, str], Promise]
"""Takes the finished runs of a task that are drawn, their looks and curves, the beginning of the figures' ids, and the
end of their captions."""


@contextmanager
def drawing(runs: int) -> Iterator[Draw]:
    """A function that draws while the context is open; for many runs, by processes that start while these are read."""
    if runs < MANY_RUNS:
        yield partial(partial, _figures)
        return
    processes = os.cpu_count() or 1
    # spawned: a forked process would inherit the locks of the threads that read the results
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for _ in range(processes):
            pool.submit(_get_ready)
        yield partial(_draw_there, pool, deque(maxlen=processes + 1))


def _get_ready() -> None:
    """Once this module is imported, what came with it is no garbage: looking for some there is a sixth of drawing."""
    gc.freeze()


def _draw_there(pool: Executor, waiting: deque[Promise], runs: pd.DataFrame, *others: Any) -> Promise:
    """The runs of as many tasks as `waiting` holds are kept at once, no more."""
    if len(waiting) == waiting.maxlen:
        waiting.popleft()()
    waiting.append(pool.submit(_figures, runs.drop(columns="predictions"), *others).result)
    return waiting[-1]


def _figures(
    runs: pd.DataFrame, looks: Mapping[str, Look], curves: Sequence[Curve], prefix: str, remark: str
) -> list[Drawn]:
    drawn = [
        *task_figures(runs, looks, prefix, curves),
        *filter(None, (accuracy_by_group(runs, looks, f"{prefix}g"), against_iterations(runs, looks, f"{prefix}m"))),
        *inside_figures(runs, looks, prefix),
        *interval_figures(runs, looks, prefix),
        *filter(None, (spike_trains(runs, looks, f"{prefix}s"),)),
    ]
    return [replace(figure, caption=figure.caption + remark) for figure in drawn]
