"""The section of the measurement `speed`: each method's training iteration beside the loop's and the published one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from spike_ssm.reports.loading.published import SpeedTable, speed_table
from spike_ssm.reports.loading.sweep import Sweep
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.statements import Findings, Statement
from spike_ssm.reports.render.text import listing, number, significant
from spike_ssm.reports.sections.measured import MeasuredSection, devices, method_of, task_settings
from spike_ssm.reports.sections.speed.figures import speed_figures
from spike_ssm.reports.sections.speed.tables import PUBLISHED, comparison_table, details_table

NAME = "speed"
LOOP = "bptt"
"""The method that is the loop itself: timed against itself, it shows how far timings can be trusted."""

TIE = 0.1  # relative; timings of one and the same method differ by about so much
RANGES = {"train_ms_per_step": "ms", "times_loop": "times_loop"}
MEDIANS = {
    "loop_ms_per_step": "loop_ms",
    **{name: name for name in ("forward_ms", "saved_mib", "peak_memory_mib", "iterations")},
}
PERCENTAGES = ("firing_rate", "spike_mismatch", "undetermined")


def speed_section(sweep: Sweep, looks: Mapping[str, Look], prefix: str) -> MeasuredSection | None:
    """The section of the finished speed runs; None without any. `looks` by method, `prefix` of its figures' ids."""
    runs = sweep.done_on(NAME)
    if runs.empty:
        return None
    plans = {run.id: run for run in sweep.manifest.runs}
    runs = runs.assign(method=[method_of(plans[run_id]) for run_id in runs["id"]])
    notes = {
        method: sweep.manifest.variant_notes.get(variant, "")
        for method, variant in zip(runs["method"], runs["variant"], strict=True)
    }
    published = speed_table()
    numbers = measurements(runs, published)
    legend = {method: looks[method] for method in notes}
    return MeasuredSection(
        name=NAME,
        title="Speed of a training iteration",
        notice=notice(runs, numbers, published),
        notes=notes,
        findings=[_times(numbers), _spikes(numbers)],
        tables=[
            comparison_table(numbers, "times_loop", legend, published),
            comparison_table(numbers, "ms", legend, published),
            details_table(numbers, legend),
        ],
        legend=legend,
        figures=speed_figures(numbers, legend, prefix),
        numbers=numbers,
    )


def measurements(runs: pd.DataFrame, published: SpeedTable) -> pd.DataFrame:
    """One row a method and length: medians over seeds, and the range of what is compared; units are in the names."""
    settings = pd.DataFrame([task_settings(run) for run in runs.to_dict("records")], index=runs.index)
    runs = runs.join(settings[["length", "batch", "channels"]])
    rows: list[dict[str, Any]] = []
    for (name, steps), group in runs.groupby(["method", "length"], sort=False):
        method, length = str(name), int(str(steps))
        row: dict[str, Any] = {"task": NAME, "method": method, "length": length}
        row |= {"batch": group["batch"].iloc[0], "channels": group["channels"].iloc[0], "seeds": len(group)}
        for column, named in RANGES.items():
            values = group[column]
            row |= {named: values.median(), f"{named}_low": values.min(), f"{named}_high": values.max()}
        row |= {named: group[column].median() for column, named in MEDIANS.items()}
        row |= {f"{column}_percent": group[column].median() * 100 for column in PERCENTAGES}
        found = published.methods.get(PUBLISHED.get(method, ""))
        row["published_ms"] = found.ms.get(length, math.nan) if found else math.nan
        row["published_times_bptt"] = found.times_loop.get(length, math.nan) if found else math.nan
        row["published_source"] = found.source if found else ""
        row["device"] = devices(group)
        row["machine_shared"] = bool(group["machine_shared"].eq(True).any())
        rows.append(row)
    return pd.DataFrame(rows)


def notice(runs: pd.DataFrame, numbers: pd.DataFrame, published: SpeedTable) -> str:
    """Which device and sizes these are, and whether they are the published ones."""
    sizes = sorted({*zip(numbers["batch"], numbers["channels"], strict=True)})
    shown = listing([f"batch {batch} with {channels} channels" for batch, channels in sizes])
    ours = f"{devices(runs)}; {shown}; float32"
    theirs = f"{published.device}, batch {published.batch}, its model and the number of channels not known to us"
    same_batch = {batch for batch, _ in sizes} == {published.batch}
    if same_batch and not any('"device": "cpu"' in document for document in runs["environment"]):
        return (
            f"Our device: {ours}. Theirs: {theirs}. The batch is the published one, the device need not be: compare "
            "speed-ups, not milliseconds."
        )
    return f"Not comparable with the published times. Our device: {ours}. Theirs: {theirs}."


def _times(numbers: pd.DataFrame) -> Findings:
    """Each method's longest sequence beside the loop, and how its time grows with the length."""
    lead = "Forward and backward of the neuron alone, interleaved with the loop in one process."
    itself = numbers.loc[numbers["method"] == LOOP, "times_loop"]
    if not itself.empty:
        off = float((itself - 1).abs().max()) * 100
        lead += f" Timed against itself, the loop is off by up to {number(off, 0)} %; smaller differences mean nothing."
    if numbers["machine_shared"].any():
        lead += " No verdict where others used the machine meanwhile."
    others = numbers[numbers["method"] != LOOP].sort_values("length")
    ends = [(group.iloc[0], group.iloc[-1]) for _, group in others.groupby("method", sort=False)]
    ends.sort(key=lambda pair: -float(pair[1]["times_loop"]))
    return Findings("Training speed compared with the loop", lead, tuple(_growth(*pair) for pair in ends))


def _growth(first: pd.Series[Any], last: pd.Series[Any]) -> Statement:
    times = float(last["times_loop"])
    tag = "faster" if times > 1 + TIE else "slower" if times < 1 - TIE else "as fast"
    text = (
        f"trains {significant(times)} times as fast as the loop at L = {last['length']:,} "
        f"({significant(last['ms'])} ms against {significant(last['loop_ms'])} ms)"
    )
    if first["length"] < last["length"]:
        text += (
            f"; {number(last['length'] / first['length'], 0)} times the length takes it "
            f"{significant(last['ms'] / first['ms'])} times as long"
        )
    if first["machine_shared"] or last["machine_shared"]:
        tag = "no verdict"
    return Statement(tag, (str(last["method"]),), f"{text}.")


def _spikes(numbers: pd.DataFrame) -> Findings:
    """Which methods' spikes are the loop's."""
    worst = numbers.groupby("method", sort=False)[["spike_mismatch_percent", "undetermined_percent"]].max()
    same = tuple(str(method) for method in worst.index[worst["spike_mismatch_percent"] == 0])
    statements = [Statement("same", same, "every spike is the loop's.", grouped=True)] if same else []
    for method, row in worst[worst["spike_mismatch_percent"] > 0].iterrows():
        text = f"decides up to {significant(row['spike_mismatch_percent'])} % of the positions otherwise than the loop"
        if row["undetermined_percent"] > 0:
            text += f"; up to {significant(row['undetermined_percent'])} % were undetermined and settled by a rule"
        statements.append(Statement("differs", (str(method),), f"{text}."))
    rates = numbers["firing_rate_percent"]
    lead = f"The neurons fire at {number(rates.min(), 1)} to {number(rates.max(), 1)} % of the steps."
    return Findings("Spikes compared with the loop's", lead, tuple(statements))
