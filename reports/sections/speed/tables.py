"""The tables of the speed section: ours beside the published figures, and what a method keeps and gives."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from spike_ssm.reports.loading.published import PublishedSpeed, SpeedTable
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT, number, ranged, significant

PUBLISHED = {"bptt": "BPTT", "sltt": "SLTT", "sdn": "SDN", "pmbc_m3": "PMBC"}
"""Method of ours -> the published method that it is or, for PMBC, is our reading of."""

_KINDS = {
    "times_loop": ("Speed-up over the loop", "Ours, times the loop", "Published, times BPTT"),
    "ms": ("Milliseconds per training iteration", "Ours, ms", "Published, ms"),
}
"""Column -> the caption of its table, the heading of our columns and of the published ones."""

_DETAILS = {
    "forward_ms": ("forward, ms", "Time"),
    "saved_mib": ("kept for backward", "Memory, MiB"),
    "peak_memory_mib": ("peak", "Memory, MiB"),
    "firing_rate_percent": ("rate, %", "Spikes"),
    "spike_mismatch_percent": ("not the loop's, %", "Spikes"),
    "undetermined_percent": ("undetermined, %", "PMBC"),
    "iterations": ("iterations", "PMBC"),
}
"""Column -> its heading and the group of it."""


def comparison_table(numbers: pd.DataFrame, column: str, looks: Mapping[str, Look], published: SpeedTable) -> Table:
    """Ours beside the published by sequence length; `column` is `times_loop` or `ms`."""
    caption, ours, theirs = _KINDS[column]
    lengths = sorted(set(numbers["length"]))
    headings = [Heading(f"L = {length:,}", group) for group in (ours, theirs) for length in lengths]
    rows = []
    for method, look in looks.items():
        own = {row["length"]: row for row in numbers[numbers["method"] == method].to_dict("records")}
        cells = [_our_cell(own.get(length), column) for length in lengths]
        found = published.methods.get(PUBLISHED.get(method, ""))
        rows.append(Row(method, (*cells, *_published_cells(found, column, lengths)), look))
    for name in [name for method, name in PUBLISHED.items() if method not in looks]:
        cells = [ABSENT] * len(lengths)
        theirs_cells = _published_cells(published.methods[name], column, lengths)
        rows.append(Row(f"{name}, published", (*cells, *theirs_cells), reference=True))
    notes = _notes(numbers, column, published)
    return Table(caption, "Method", tuple(headings), tuple(rows), notes, numbers=numbers)


def _our_cell(row: Mapping[Hashable, Any] | None, column: str) -> str:
    if row is None:
        return ABSENT
    shown = ranged(row[column], row[f"{column}_low"], row[f"{column}_high"])
    return f"{shown} †" if row["machine_shared"] else shown


def _published_cells(found: PublishedSpeed | None, column: str, lengths: list[int]) -> list[str]:
    values = getattr(found, column) if found else {}
    return [significant(values.get(length, math.nan)) for length in lengths]


def _notes(numbers: pd.DataFrame, column: str, published: SpeedTable) -> tuple[str, ...]:
    notes = []
    if column == "times_loop":
        notes.append("Ours: the loop's time over the method's, measured side by side in one process.")
        sources: dict[str, list[str]] = {}
        for name, found in published.methods.items():
            sources.setdefault(found.source, []).append(name)
        notes += [f"Published, {', '.join(names)}: {source}." for source, names in sources.items()]
        notes.append(
            "pmbc_m3 is our reading of the published PMBC; the certified pmbc and fused have no published figure."
        )
    else:
        notes.append("Ours: the neuron alone. What else the published iteration holds is not known to us.")
    if numbers["seeds"].max() > 1:
        notes.append("Median over seeds (lowest to highest).")
    if numbers["machine_shared"].any():
        notes.append("† Taken while others used the machine: do not compare it.")
    return tuple(notes)


def details_table(numbers: pd.DataFrame, looks: Mapping[str, Look]) -> Table:
    """What each method keeps and gives at the longest sequence that it was measured at."""
    longest = {row["method"]: row for row in numbers.sort_values("length").to_dict("records")}
    shown = {name: heading for name, heading in _DETAILS.items() if numbers[name].notna().any()}
    headings = [Heading("L"), *(Heading(*heading) for heading in shown.values())]
    rows = []
    for method, look in looks.items():
        row = longest[method]
        cells = [number(row[name], 0) if name == "iterations" else significant(row[name]) for name in shown]
        rows.append(Row(method, (f"{row['length']:,}", *cells), look))
    notes = (
        "Kept for backward: distinct memory that one forward saves for its gradient, the input included where it is "
        "kept.",
        "Gradients: bptt's flow through time and through the reset, sltt's through neither; for the others the spikes "
        "in the reset are constants.",
        "Iterations: of PMBC, the most of any chunk when certified.",
    )
    return Table("What each method gives and keeps", "Method", tuple(headings), tuple(rows), notes, numbers=numbers)
