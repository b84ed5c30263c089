"""What the section of a task says of times: tables of what a step takes, each variant alone, one a machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from spike_ssm.reports.loading.times import SHARED
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, digits_for, number
from spike_ssm.results.schema import Manifest

TIMES = "\N{MULTIPLICATION SIGN}"


def time_tables(times: pd.DataFrame, looks: Mapping[str, Look], baseline: str | None) -> list[Table]:
    """One a machine of the `times` of a task, as `reports.loading.times` has them; that of the main table first."""
    known = times[times["variant"].isin(list(looks))].sort_values("chosen", ascending=False, kind="stable")
    return [_table(rows, looks, baseline) for _, rows in known.groupby("machine", sort=False)]


def with_advice(main: Table, times: pd.DataFrame, manifest: Manifest) -> Table:
    """The main table, with a note on how to get the throughput that it lacks where its task was not timed."""
    if not times.empty:
        return main
    return replace(
        main,
        notes=(*main.notes, f"Throughput is not shown, as no variant was timed alone: {manifest.command} timing=only"),
    )


def _table(rows: pd.DataFrame, looks: Mapping[str, Look], baseline: str | None) -> Table:
    machine, compared = rows["machine"].iloc[0], bool(rows["train_ratio"].notna().any())
    headings = []
    for kind in ("Training", "Inference"):
        headings += [Heading("ms/step", kind, rest=kind == "Inference")]
        headings += [Heading(f"{TIMES} {baseline}", kind)] if compared else []
        headings += [Heading("tokens/s", kind, rest=kind == "Training")]
    headings += [Heading("steps, MiB", "Memory"), Heading("process, MiB", "Memory", rest=True)]
    order = list(looks)
    shown = [
        Row(str(row["variant"]), tuple(_cells(row, rows, compared=compared)), looks[str(row["variant"])])
        for row in sorted(rows.to_dict("records"), key=lambda row: order.index(row["variant"]))
    ]
    return Table(
        f"Time of a step, measured alone on {machine}",
        "Variant",
        tuple(headings),
        tuple(shown),
        _notes(rows, baseline if compared else None),
        numbers=rows.drop(columns=["chosen"]),
    )


def _cells(row: Mapping[object, object], rows: pd.DataFrame, *, compared: bool) -> list[str]:
    cells = []
    for kind in ("train", "inference"):
        cells.append(_with_interval(row, f"{kind}_ms", digits_for(rows[f"{kind}_ms"])))
        cells += [_with_interval(row, f"{kind}_ratio", 3)] if compared else []
        cells.append(number(float(str(row[f"{kind}_tokens_per_s"])), 0))
    return [*cells, *(_mib(row[name]) for name in ("step_memory_mib", "peak_memory_mib"))]


def _with_interval(row: Mapping[object, object], name: str, digits: int) -> str:
    """`12.3 (12.1 to 12.6)`; the median alone where there is no interval."""
    value, low, high = (float(str(row[key])) for key in (name, f"{name}_low", f"{name}_high"))
    shown = number(value, digits)
    return f"{shown} ({number(low, digits)} to {number(high, digits)})" if math.isfinite(low) else shown


def _mib(value: object) -> str:
    return ABSENT if value is None else number(float(str(value)), 0)


def _notes(rows: pd.DataFrame, baseline: str | None) -> tuple[str, ...]:
    ratios = (
        f" {TIMES} {baseline}: medians of ratios of rounds that followed each other, with intervals that hold together."
        if baseline
        else ""
    )
    least, most = int(rows["rounds"].min()), int(rows["rounds"].max())
    rounds = f"{least}" if least == most else f"{least} to {most}"
    notes = [
        f"Medians of {rounds} rounds, in which the variants took turns in one process, with their 95 % intervals."
        f"{ratios} These tell how rounds differ; how far sittings differ tells timing=again.",
        "At the batch size and lengths of the runs, with the network as it is before training. A training step is "
        "loss, gradients and update, an inference the answers to a batch of the test set; making batches is not "
        "counted.",
        "Memory: of a fresh process that makes a few steps and inferences; steps, what of it came after code and data "
        "were loaded. Of a GPU, the most that torch's allocator gave out.",
    ]
    return (*notes, *([SHARED] if rows["machine_shared"].any() else []))
