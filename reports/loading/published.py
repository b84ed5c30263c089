"""Published figures to set beside ours, from results/published.yaml."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf


@dataclass(frozen=True)
class PublishedSpeed:
    """A method of the published speed table; by sequence length, NaN where nothing is known."""

    method: str
    ms: dict[int, float]  # per training iteration
    times_loop: dict[int, float]  # speed-up over BPTT: as printed, else from its ms
    source: str


@dataclass(frozen=True)
class SpeedTable:
    """The published speed table and what is known of how it was measured."""

    batch: int
    device: str
    methods: dict[str, PublishedSpeed]


@cache
def speed_table() -> SpeedTable:
    """The `speed` table."""
    document: Any = OmegaConf.to_container(
        OmegaConf.create(files("spike_ssm.results").joinpath("published.yaml").read_text())
    )
    content = document["speed"]
    lengths = content["columns"]
    rows = {row["method"]: row for row in content["rows"]}
    reference = _by_length(lengths, rows["BPTT"]["ms"])
    methods = {}
    for name, row in rows.items():
        ms = _by_length(lengths, row.get("ms"))
        times_loop = {length: reference[length] / ms[length] for length in lengths}
        printed = _by_length(lengths, row.get("speedup"))
        times_loop |= {length: value for length, value in printed.items() if math.isfinite(value)}
        note = f"{row['source']} ({row['note']})" if "note" in row else row["source"]
        methods[name] = PublishedSpeed(name, ms, times_loop, note)
    return SpeedTable(content["batch"], content["device"], methods)


def _by_length(lengths: Sequence[int], values: Sequence[float | None] | None) -> dict[int, float]:
    known = values or [None] * len(lengths)
    return {length: math.nan if value is None else float(value) for length, value in zip(lengths, known, strict=True)}
