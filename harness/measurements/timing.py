"""Times of candidates side by side: interleaved, so that a machine that drifts drifts for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import psutil
import torch

CPU = torch.device("cpu")
TURN_MS = 30.0
CLOCK_S = 0.05  # processor time is counted in hundredths of a second, by clocks that are read one after the other


def interleaved_medians(
    candidates: Mapping[str, Callable[[], object]], rounds: int, device: torch.device = CPU
) -> dict[str, float]:
    """Median milliseconds of one call of each candidate, over `rounds` rounds in which each has one turn.

    A turn is as many calls as fill `TURN_MS`, at least one, and counts with the median of the later half of them:
    after another candidate's turn, caches and threads are cold at first. An untimed round comes before.
    """
    for candidate in candidates.values():
        candidate()
    turns: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            turns[name].append(_turn(candidate, device))
    return {name: statistics.median(values) for name, values in turns.items()}


def _turn(candidate: Callable[[], object], device: torch.device) -> float:
    calls = [milliseconds(candidate, device)]
    while sum(calls) < TURN_MS:
        calls.append(milliseconds(candidate, device))
    return statistics.median(calls[len(calls) // 2 :])


def milliseconds(candidate: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of one call; a GPU is waited for before the clock is read."""
    wait_for(device)
    started = time.perf_counter()
    candidate()
    wait_for(device)
    return 1e3 * (time.perf_counter() - started)


class Contention:
    """The share of this machine's processors, in [0, 1], that other processes have used since this was made."""

    def __init__(self) -> None:
        self._started, self._others = time.perf_counter(), _seconds_of_others()

    def share(self) -> float:
        """The share up to now."""
        available = (time.perf_counter() - self._started) * (psutil.cpu_count() or 1)
        used = _seconds_of_others() - self._others - CLOCK_S
        return min(max(used / available, 0.0), 1.0)


def _seconds_of_others() -> float:
    """Processor time that was used but not by this process, seconds since the machine began counting."""
    used, own = psutil.cpu_times(), psutil.Process().cpu_times()
    return used.user + used.nice + used.system - own.user - own.system


def wait_for(device: torch.device) -> None:
    """Return when `device` has finished all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
