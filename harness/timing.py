"""Timing candidates side by side: interleaved, so that a machine that drifts drifts for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import psutil
import torch

CPU = torch.device("cpu")
COLD_MATTERS_BELOW_MS = 100.0
CLOCK_S = 0.05  # processor time is counted in hundredths of a second, by clocks that are read one after the other


def interleaved_medians(
    candidates: Mapping[str, Callable[[], object]], rounds: int, device: torch.device = CPU
) -> dict[str, float]:
    """Median milliseconds of each candidate over `rounds` rounds in which each has one timed call.

    An untimed round comes first, and an untimed call before every timed one that is short: after another candidate's
    turn caches and threads are cold, which a training step's neuron does not find.
    """
    times = {name: [_milliseconds(candidate, device)] for name, candidate in candidates.items()}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            if times[name][-1] < COLD_MATTERS_BELOW_MS:
                candidate()
            times[name].append(_milliseconds(candidate, device))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def _milliseconds(candidate: Callable[[], object], device: torch.device) -> float:
    """Of one call; a GPU is waited for before the clock is read."""
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
