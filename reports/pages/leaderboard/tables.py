"""The tables of a leaderboard: entries by accuracy, with what is known of each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from spike_ssm.reports.pages.leaderboard.entries import Board, Entry, Place
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import estimate, number
from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, Interval, t_interval
from spike_ssm.results.verify.marks import IDENTICAL, NOT_REPEATED, WITHIN

NOTES = (
    f"Accuracy is the mean over seeds; \N{PLUS-MINUS SIGN} is the half width of the 95 % t-interval over seeds, from "
    f"{VERDICT_SEEDS} on. Below, in brackets stand the lowest and the highest seed. The order says nothing of "
    "significance, and entries may differ in network and training as well as in their neuron.",
    "Shortcut: what a simple rule reaches on the same test examples. Energy: of a token, operations counted, at 45 nm.",
    "Repeated: how many of the entry's runs were computed again, and what the furthest of them came to.",
)


def board_table(board: Board) -> Table:
    """The table of a board, the best entry first."""
    numbers = board_numbers(board)
    language = board.is_language
    measure = ("perplexity", "shortcut") if language else ("accuracy, %", "shortcut, %")
    headings = (*measure, "seeds", "repeated", "firing rate, %", "nJ/token", "parameters", "from")
    rows = []
    for row in numbers.to_dict("records"):
        mean = "perplexity" if language else "accuracy_percent"
        span = (row[f"{mean}_{end}"] for end in ("half_interval", "lowest", "highest"))
        half, least, most = span
        shown = estimate(Interval(row[mean], half, row["seeds"], least, most))
        shortcut = "shortcut_perplexity" if language else "shortcut_percent"
        failed = f" ({row['failed_seeds']} failed)" if row["failed_seeds"] else ""
        cells = (
            *(shown, number(row[shortcut]), f"{row['seeds']}{failed}", row["repeated"]),
            number(row["firing_rate_percent"]),
            number(row["energy_nj_per_token"], 1),
            *(number(row["parameters"], 0), row["pack"]),
        )
        where = f"{row['neuron']}, {row['variant']} of the sweep {row['sweep']}, from {row['pack']}"
        rows.append(Row(row["entry"], cells, title=where))
    shown_headings = tuple(map(Heading, headings))
    caption = "Entries by perplexity" if language else "Entries by accuracy"
    data = (f"Data: {' '.join(board.place.notes)}",) if board.place.notes else ()
    return Table(caption, "Entry", shown_headings, tuple(rows), (*NOTES, *data), whole=True, numbers=numbers)


def titles(boards: Sequence[Board]) -> list[str]:
    """A title for each board, no two alike: those that settings leave alike, as notes on the data do, are numbered."""
    plain = [_title(board.place, [each.place for each in boards]) for board in boards]
    total, so_far = Counter(plain), Counter[str]()
    numbered = []
    for name in plain:
        so_far[name] += 1
        numbered.append(f"{name} ({so_far[name]} of {total[name]})" if total[name] > 1 else name)
    return numbered


def _title(place: Place, places: Sequence[Place]) -> str:
    """`listops, laptop scale`, with the protocol, and the settings of the task in which boards of one task differ."""
    alike = [each.data for each in places if (each.task, each.scale) == (place.task, place.scale)]
    different = [f"{key} {value}" for key, value in place.data.items() if any(each.get(key) != value for each in alike)]
    protocol = [f"protocol {place.protocol}"] if place.protocol else []
    return ", ".join([place.task, f"{place.scale} scale", *protocol, *different])


def board_numbers(board: Board) -> pd.DataFrame:
    """The numbers of a board, an entry a row, the best first; units are in the columns' names."""
    names = Counter((entry.pack, entry.variant, entry.neuron) for entry in board.entries)
    rows = [_numbers(board, entry, names[entry.pack, entry.variant, entry.neuron] > 1) for entry in board.entries]
    frame = pd.DataFrame(rows)
    if board.is_language:
        return frame.sort_values("perplexity", kind="stable")
    return frame.sort_values("accuracy_percent", ascending=False, kind="stable")


def _numbers(board: Board, entry: Entry, ambiguous: bool) -> dict[str, Any]:
    called = entry.variant if entry.variant == entry.neuron else f"{entry.variant} ({entry.neuron})"
    accuracy, perplexity = (t_interval(_values(entry, name)) for name in ("test_accuracy", "test_perplexity"))
    return {
        "task": board.place.task,
        "scale": board.place.scale,
        "protocol": board.place.protocol,
        "entry": f"{called}, {entry.sweep}" if ambiguous else called,
        "variant": entry.variant,
        "neuron": entry.neuron,
        "sweep": entry.sweep,
        "pack": entry.pack,
        "seeds": accuracy.n,
        "failed_seeds": entry.failed,
        **_stated("accuracy_percent", accuracy, 100),
        **_stated("perplexity", perplexity, 1),
        "shortcut_percent": 100 * _mean(entry, "shortcut_accuracy"),
        "shortcut_perplexity": _mean(entry, "shortcut_perplexity"),
        "firing_rate_percent": 100 * _mean(entry, "firing_rate"),
        "energy_nj_per_token": _mean(entry, "energy_nj_per_token"),
        "parameters": _mean(entry, "parameters"),
        "repeated": repeated(entry),
        "runs": " ".join(run["id"] for run in entry.runs),
    }


def _stated(name: str, found: Interval, factor: float) -> dict[str, float]:
    values = {"": found.mean, "_half_interval": found.half, "_lowest": found.least, "_highest": found.most}
    return {f"{name}{end}": value * factor for end, value in values.items()}


def _values(entry: Entry, name: str) -> list[float]:
    return [math.nan if run[name] is None else run[name] for run in entry.runs]


def _mean(entry: Entry, name: str) -> float:
    return t_interval(_values(entry, name)).mean


def repeated(entry: Entry) -> str:
    """`2 of 5, identical`: how many runs of an entry were computed again, and the worst verdict; `none` of none."""
    if not entry.marks:
        return "none"
    verdicts = {mark.verdict for mark in entry.marks}
    worst = next(each for each in (NOT_REPEATED, WITHIN, IDENTICAL) if each in verdicts)
    widest = max(mark.tolerance for mark in entry.marks)
    return f"{len(entry.marks)} of {len(entry.runs)}, {f'within {widest:g} points' if worst == WITHIN else worst}"
