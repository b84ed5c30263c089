"""Timing candidates side by side: interleaved, so that a machine that drifts drifts for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved_medians(candidates: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each candidate over `rounds` rounds in which each runs once, after one warm-up."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for candidate in candidates.values():
        candidate()
    for _ in range(rounds):
        for name, candidate in candidates.items():
            started = time.perf_counter()
            candidate()
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}
