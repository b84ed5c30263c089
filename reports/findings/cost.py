"""What a sweep's finished runs took, beside what had been estimated when they were started."""

from __future__ import annotations

import pandas as pd

from spike_ssm.reports.loading.sweep import json_object
from spike_ssm.reports.render.text import count, duration, listing, percent, significant
from spike_ssm.results.costs.estimate import Estimates


def cost_sentences(done: pd.DataFrame, estimates: Estimates) -> str | None:
    """What the finished runs took and what had been estimated; None where none has finished.

    Runs are compared with their own estimates, as far as they have one. The time from the first start to the last end
    is compared where all were started at once.
    """
    runs = done[done["duration_s"].notna()]
    if runs.empty:
        return None
    said = [f"The {count(len(runs), 'finished run')} took {_hours(runs)}."]
    if not (compared := runs[runs["id"].isin(list(estimates.runs))]).empty:
        expected = compared.assign(duration_s=compared["id"].map(estimates.runs))
        of_some = f" for {len(compared)} of them, which took {_hours(compared)}" if len(compared) < len(runs) else ""
        error = _error(expected["duration_s"].sum(), compared["duration_s"].sum())
        said.append(f"When they were started, {_hours(expected)} were estimated{of_some}: {error}.")
    if len(estimates.starts) == 1 and set(estimates.runs) == set(runs["id"]):
        (start,), taken = estimates.starts, _from_first_to_last(runs)
        error = _error(start.wall_s, taken)
        said.append(f"All were done after {duration(taken)}; {duration(start.wall_s)} were estimated: {error}.")
    return " ".join(said)


def _hours(runs: pd.DataFrame) -> str:
    """`0.41 core hours`, or GPU hours, or both: a run has all the cores, or GPUs, of its processes."""
    hours: dict[str, float] = {}
    for environment, seconds in zip(map(json_object, runs["environment"]), runs["duration_s"], strict=True):
        on_gpu = environment.get("device", "cpu") != "cpu"
        each = _whole(environment.get("processes")) * (1 if on_gpu else _whole(environment.get("threads")))
        unit = "GPU hours" if on_gpu else "core hours"
        hours[unit] = hours.get(unit, 0.0) + seconds / 3600 * each
    return listing([f"{significant(spent)} {unit}" for unit, spent in hours.items()])


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < 10**6 else 1


def _from_first_to_last(runs: pd.DataFrame) -> float:
    started = pd.to_datetime(runs["started_at"], utc=True, errors="coerce")
    ended = started + pd.to_timedelta(runs["duration_s"], unit="s")
    return float((ended.max() - started.min()).total_seconds())


def _error(estimated: float, taken: float) -> str:
    """`12 % too little`, `as much` within half a percent."""
    share = 100 * (estimated / taken - 1) if taken else float("nan")
    if abs(share) < 0.5:
        return "as much as they took"
    return f"{percent(abs(share), 0)} too {'much' if share > 0 else 'little'}"
