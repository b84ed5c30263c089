"""What each run of a plan is expected to take, from all that is known: finished runs, timed steps, a time limit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spike_ssm.harness.plan.cost import Range, RunCost
from spike_ssm.harness.plan.shapes import Shape
from spike_ssm.harness.timing.calibration import StepTimes

LEAST = 1.15
"""Factor within which a run takes as long as finished ones like it at the best: machines drift so much."""

TIMED = 1.4
"""Factor of a run whose steps were timed; what is beside the steps is not all in them."""

EXTRAPOLATED = 2.0
"""Factor of a run whose network, or size, was not timed, but another one."""

ELSEWHERE = 1.5
"""Further factor where what was timed is on another machine than the one that will execute the run."""


@dataclass(frozen=True)
class Finished:
    """What a finished run took."""

    shape: Shape
    seconds: float
    memory_mib: float = 0.0
    disk_bytes: float = 0.0

    @property
    def per_epoch(self) -> float:
        """Seconds; testing is spread over the epochs."""
        return self.seconds / self.shape.epochs


@dataclass(frozen=True)
class Wanted:
    """A run whose time is asked for. limit_s: the launcher ends it then; elsewhere: on another kind of machine."""

    shape: Shape
    cores: int = 1
    gpus: int = 0
    limit_s: float | None = None
    elsewhere: bool = False


class Evidence:
    """Finished runs, and timed steps by the key of their shape, that tell what others will take."""

    def __init__(self, finished: Sequence[Finished], timed: Mapping[str, tuple[Shape, StepTimes]]) -> None:
        self._timed = timed
        self._by_key: dict[str, list[Finished]] = {}
        self._by_family: dict[str, list[Finished]] = {}
        for run in finished:
            self._by_key.setdefault(run.shape.key, []).append(run)
            self._by_family.setdefault(run.shape.family, []).append(run)
        self._spread = max(LEAST, _spread(self._by_key.values()))

    def tells(self, shape: Shape) -> bool:
        """Whether there are finished runs, or steps, of this very shape."""
        return shape.key in self._by_key or shape.key in self._timed

    def expect(self, run: Wanted) -> RunCost | None:
        """What the run will take; None where nothing tells."""
        return (
            self._like_finished(run, self._by_key.get(run.shape.key, []), self._spread, "finished runs")
            or self._like_timed(run)
            or self._like_finished(
                run, self._by_family.get(run.shape.family, []), max(EXTRAPOLATED, self._spread), "other runs"
            )
            or self._like_others(run)
            or _at_its_limit(run)
        )

    def _like_finished(
        self, run: Wanted, found: Sequence[Finished], factor: float, basis: Literal["finished runs", "other runs"]
    ) -> RunCost | None:
        if not found:
            return None
        seconds = run.shape.epochs * statistics.median(each.per_epoch for each in found)
        memory = max(each.memory_mib for each in found)
        disk = statistics.median(each.disk_bytes for each in found)
        return RunCost(Range.around(seconds, factor), basis, run.cores, run.gpus, memory, disk)

    def _like_timed(self, run: Wanted) -> RunCost | None:
        if run.shape.key not in self._timed:
            return None
        return _of_steps(run, [self._timed[run.shape.key]], TIMED)

    def _like_others(self, run: Wanted) -> RunCost | None:
        """The cost by the steps of the most similar networks: of the same sizes, else of the same task, else of any."""
        timed = list(self._timed.values())
        for similar, factor in (
            ([each for each in timed if each[0].family == run.shape.family], EXTRAPOLATED),
            ([each for each in timed if each[0].task == run.shape.task], EXTRAPOLATED),
            (timed, EXTRAPOLATED**2),
        ):
            if similar and run.shape.effort:
                return _of_steps(run, similar, factor)
        return None


def _of_steps(run: Wanted, similar: Sequence[tuple[Shape, StepTimes]], factor: float) -> RunCost:
    """The cost that follows from similar steps, whose times are in proportion to their efforts."""
    seconds = statistics.median(
        times.seconds(run.shape.epochs) * run.shape.effort / shape.effort for shape, times in similar
    )
    own = similar[0][0].key == run.shape.key
    return RunCost(
        Range.around(seconds, factor * (ELSEWHERE if run.elsewhere else 1.0)),
        "timed steps" if own else "other steps",
        run.cores,
        run.gpus,
        max(times.memory_mib for _, times in similar),
        statistics.median(times.disk_bytes for _, times in similar),
    )


def _at_its_limit(run: Wanted) -> RunCost | None:
    if run.limit_s is None:
        return None
    return RunCost(Range(0.0, run.limit_s, run.limit_s), "time limit", run.cores, run.gpus)


def _spread(groups: Iterable[Sequence[Finished]]) -> float:
    """The factor within which 19 of 20 runs of a group are, as far as the groups tell; 1 where they do not."""
    squares, freedom = 0.0, 0
    for group in groups:
        logarithms = [math.log(each.per_epoch) for each in group]
        mean = statistics.fmean(logarithms)
        squares += math.fsum((each - mean) ** 2 for each in logarithms)
        freedom += len(group) - 1
    return math.exp(2 * math.sqrt(squares / freedom)) if freedom else 1.0
