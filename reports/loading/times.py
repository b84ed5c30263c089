"""What was timed of a sweep's variants alone, by machine, and the machine whose times are the runs' throughput."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from spike_ssm.reports.loading.places import without_places
from spike_ssm.reports.statistics.rounds import NONE, Median, median
from spike_ssm.results.schema import MEASUREMENTS, Manifest
from spike_ssm.results.timing.rows import machine_name, machine_of, read_timings

SHARED = "Other processes used this machine meanwhile: do not compare; timing=again takes the times anew."
"""What a page says of times that are so marked."""

_PER_RUN = {
    "train_samples_per_s": "train_samples_per_s",
    "train_tokens_per_s": "train_tokens_per_s",
    "train_ms_per_step": "train_ms",
    "test_samples_per_s": "inference_samples_per_s",
    "test_tokens_per_s": "inference_tokens_per_s",
    "machine_shared": "machine_shared",
}
"""Column of a run -> of the times that replace what it measured of itself, beside others on its machine."""

_KINDS = ("train", "inference")
COLUMNS = [
    *("task", "variant", "machine", "chosen", "machine_shared", "rounds", "measured_at", "code_version"),
    *(
        f"{kind}_{name}"
        for kind in _KINDS
        for name in ("ms", "ms_low", "ms_high", "ratio", "ratio_low", "ratio_high", "tokens_per_s", "samples_per_s")
    ),
    *("step_memory_mib", "peak_memory_mib"),
]


def load_times(folder: Path, manifest: Manifest) -> tuple[pd.DataFrame, list[str]]:
    """The latest times of each variant on each task and machine, and a sentence for each file that cannot be read.

    The frame has the `COLUMNS`: `*_ms` are medians over rounds, milliseconds, with a 95 % interval; `*_ratio` those of
    a round over the baseline's in the same round, together right with 95 % on one task, NaN without a baseline.
    `chosen` are those of one machine: the one that timed the most variants, of several the one of the latest.
    """
    found, errors = read_timings(folder)
    planned = {run.id: run for run in manifest.runs}
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    baselines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in found:
        if (run := planned.get(row["run"])) is None or row["task"] in MEASUREMENTS:
            continue
        task = run.axes.get("task", row["task"])
        latest[(machine_of(row), task, run.variant)] = row
        if run.variant == manifest.baseline:
            baselines[(row["sitting"], row["task"])] = row
    machines: dict[tuple[Any, ...], tuple[int, str]] = {}
    for (machine, _, _), row in latest.items():
        many, newest = machines.get(machine, (0, ""))
        machines[machine] = (many + 1, max(newest, row["measured_at"]))
    best = max(machines, key=lambda machine: machines[machine], default=None)
    per_task: dict[tuple[Any, ...], int] = {}
    for machine, task, _ in latest:
        per_task[(machine, task)] = per_task.get((machine, task), 0) + 1
    rows = [
        {
            "task": task,
            "variant": variant,
            "chosen": machine == best,
            **_numbers(row, baselines.get((row["sitting"], row["task"])), max(1, per_task[(machine, task)] - 1)),
        }
        for (machine, task, variant), row in latest.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS), [without_places(str(error), folder) for error in errors]


def _numbers(row: Mapping[str, Any], baseline: Mapping[str, Any] | None, compared: int) -> dict[str, Any]:
    """The columns of a row; compared: variants whose ratios are read together, each with its share of the 5 %."""
    found: dict[str, Any] = {
        name: row[name]
        for name in ("machine_shared", "measured_at", "code_version", "step_memory_mib", "peak_memory_mib")
    }
    found |= {"machine": machine_name(row), "rounds": len(row["train_ms"])}
    for kind in _KINDS:
        times, own = row[f"{kind}_ms"], baseline is not None and baseline["run"] == row["run"]
        ratios = NONE
        if baseline is not None:
            pairs = zip(times, baseline[f"{kind}_ms"], strict=True)
            ratios = Median(1.0, math.nan, math.nan) if own else median([a / b for a, b in pairs], 0.05 / compared)
        for name, (value, low, high) in (("ms", median(times)), ("ratio", ratios)):
            found |= {f"{kind}_{name}": value, f"{kind}_{name}_low": low, f"{kind}_{name}_high": high}
        for unit in ("tokens", "samples"):
            found[f"{kind}_{unit}_per_s"] = 1e3 * row[f"{kind}_{unit}"] / found[f"{kind}_ms"]
    return found


def chosen(times: pd.DataFrame) -> pd.DataFrame:
    """The times that stand for the throughput of runs."""
    return times.loc[times["chosen"].astype(bool)]


def with_times(runs: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """The runs with the throughput of their variant alone on the chosen machine; none where that was not timed.

    Measurements, which time themselves alone, keep theirs.
    """
    at = chosen(times).set_index(["task", "variant"])
    networks = ~runs["task"].isin(MEASUREMENTS)
    keys = pd.MultiIndex.from_frame(runs[["task", "variant"]])

    def alone(column: str, name: str) -> pd.Series[Any]:
        found = pd.Series(at[name].reindex(keys).to_numpy(), runs.index)
        return found.where(networks, runs[column]).astype("boolean" if name == "machine_shared" else float)

    return runs.assign(**{column: alone(column, name) for column, name in _PER_RUN.items()})
