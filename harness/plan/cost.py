"""What a number of runs cost on a launcher, worked out from what each is expected to take; nothing is measured here."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Basis = Literal["finished runs", "timed steps", "other steps", "other runs", "time limit"]
"""What an expected time follows from: finished runs like it; its own steps, timed on this machine; those of other
networks or sizes; finished runs with another neuron; or nothing but the launcher's limit."""

WORDS: dict[Basis, str] = {
    "finished runs": "from finished runs like them",
    "timed steps": "from steps timed here",
    "other steps": "extrapolated from steps of other networks or sizes",
    "other runs": "from finished runs with another neuron",
    "time limit": "known only not to exceed launcher.timeout_minutes",
}


@dataclass(frozen=True)
class Range:
    """A number of seconds and the interval that it may lie in."""

    low: float
    point: float
    high: float

    @staticmethod
    def around(point: float, factor: float) -> Range:
        """From `point / factor` to `point * factor`; factor: at least 1."""
        return Range(point / factor, point, point * factor)

    def times(self, factor: float) -> Range:
        """A range `factor` times as long."""
        return Range(self.low * factor, self.point * factor, self.high * factor)


NOTHING = Range(0.0, 0.0, 0.0)


def total(ranges: Iterable[Range]) -> Range:
    """The sum; all may be too short, or too long, by the same cause, so the ends add up too."""
    every = list(ranges)
    return Range(*(math.fsum(getattr(each, end) for each in every) for end in ("low", "point", "high")))


@dataclass(frozen=True)
class RunCost:
    """What one run is expected to take."""

    seconds: Range  # of the process, or processes, that it is executed by
    basis: Basis
    cores: int = 1
    gpus: int = 0
    memory_mib: float = 0.0  # of all its processes together; 0 where it is not known
    disk_bytes: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What runs cost together. wall: until the last one ends; of all ranges the unit is the second."""

    runs: int  # whose cost this is
    unknown: int  # further ones, of which nothing is known
    at_once: int
    wall: Range
    core: Range
    gpu: Range
    shortest: Range  # of one run
    memory_mib: float  # of the largest run
    disk_bytes: float
    bases: dict[Basis, int]  # -> runs


def cost_of(
    runs: Sequence[RunCost | None],
    at_once: int,
    start: Range = NOTHING,
    bundle: int = 1,
    *,
    each_job_starts: bool = False,
) -> Cost:
    """The cost of `runs` in the order in which they are taken; None: nothing is known of the run.

    at_once: processes, or jobs, that take them, each whenever it is free. start: what each of these needs before its
    first run. bundle: runs that one job takes; each_job_starts: anew, where a worker does so once for all its runs.
    """
    known = [run for run in runs if run is not None]

    def wall(end: str) -> float:
        seconds = [getattr(run.seconds, end) for run in known]
        before = getattr(start, end)
        if each_job_starts:
            jobs = [before + math.fsum(seconds[first : first + bundle]) for first in range(0, len(seconds), bundle)]
            return makespan(jobs, at_once)
        return before + makespan(seconds, at_once) if seconds else 0.0

    return Cost(
        runs=len(known),
        unknown=len(runs) - len(known),
        at_once=max(1, min(at_once, math.ceil(len(known) / bundle))),
        wall=Range(*map(wall, ("low", "point", "high"))),
        core=total(run.seconds.times(run.cores) for run in known),
        gpu=total(run.seconds.times(run.gpus) for run in known),
        shortest=min((run.seconds for run in known), key=lambda each: each.point, default=NOTHING),
        memory_mib=max((run.memory_mib for run in known), default=0.0),
        disk_bytes=math.fsum(run.disk_bytes for run in known),
        bases=dict(Counter(run.basis for run in known)),
    )


def makespan(seconds: Sequence[float], at_once: int) -> float:
    """When the last task ends, where each of `at_once` workers takes the next one whenever it is free."""
    free = [0.0] * max(1, min(at_once, len(seconds)))
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def sentence(cost: Cost) -> str:
    """The cost in words, e.g. `About 12 min (9 to 17) with 2 at a time, 0.4 core hours, 0.6 GiB a run, ...`."""
    if not cost.runs:
        return f"What this costs cannot be said: {_unknown(cost.unknown)}"
    if cost.bases.get("time limit", 0):
        parts = [f"Between {duration(cost.wall.low)} and {duration(cost.wall.high)} with {cost.at_once} at a time"]
    else:
        parts = [f"About {span(cost.wall)} with {cost.at_once} at a time"]
    parts += [_hours(spent, unit) for spent, unit in ((cost.core, "core hours"), (cost.gpu, "GPU hours")) if spent.high]
    if cost.memory_mib:
        parts.append(f"{cost.memory_mib / 1024:.1f} GiB of memory a run")
    if cost.disk_bytes:
        parts.append(f"{_bytes(cost.disk_bytes)} of disk")
    bases = "; ".join(f"{count} run{'s' if count > 1 else ''} {WORDS[basis]}" for basis, count in cost.bases.items())
    rest = f" Besides, {_unknown(cost.unknown)}" if cost.unknown else ""
    return f"{', '.join(parts)} ({bases}).{rest}"


def _unknown(count: int) -> str:
    which = "one run has" if count == 1 else f"{count} runs have"
    return (
        f"{which} neither finished runs like them nor steps that can be timed here. One finished run of each kind, "
        "e.g. with one seed, tells it."
    )


def span(seconds: Range) -> str:
    """`12 min (9 to 17)`, or with units of their own where the ends need others."""
    unit, name = _unit(seconds.point)
    if _unit(seconds.low) == _unit(seconds.high) == (unit, name):
        return (
            f"{_digits(seconds.point / unit)} {name} ({_digits(seconds.low / unit)} to {_digits(seconds.high / unit)})"
        )
    return f"{duration(seconds.point)} ({duration(seconds.low)} to {duration(seconds.high)})"


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `5.2 h`."""
    unit, name = _unit(seconds)
    return f"{_digits(seconds / unit)} {name}"


def _unit(seconds: float) -> tuple[float, str]:
    return (1.0, "s") if seconds < 100 else (60.0, "min") if seconds < 100 * 60 else (3600.0, "h")


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.2g}"


def _hours(spent: Range, unit: str) -> str:
    low, point, high = (_digits(each / 3600) for each in (spent.low, spent.point, spent.high))
    return f"up to {high} {unit}" if not spent.low else f"{point} {unit} ({low} to {high})"


def _bytes(count: float) -> str:
    return f"{_digits(count / 1e6)} MB" if count < 1e9 else f"{_digits(count / 1e9)} GB"
