"""How long the runs that are left will take: from what others of the task took, and from how far running ones are."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from spike_ssm.harness.state.survey import RunState

ENOUGH = 0.02
"""The share of itself that a run must have done before our eyes until its own pace is believed."""


@dataclass(frozen=True)
class Kind:
    """What is known before of how long a run takes: those of a variant on a task take alike."""

    task: str
    variant: str
    epochs: int = 1  # the scale between tasks of which nothing else is known


@dataclass(frozen=True)
class Left:
    """What is left of a run: its share, and how long all of it takes at its own pace, where that shows already."""

    kind: Kind
    share: float = 1.0
    own: float | None = None  # seconds
    runs: bool = False


def seconds_left(runs: Sequence[Left], took: Collection[tuple[Kind, float]], workers: int) -> float | None:
    """Seconds until all of `runs` have ended, by so many workers that take them in order; None: nothing to tell it by.

    A run is expected to take what its own pace says; else the mean of what its variant `took` on its task; else that
    of any variant on its task; else that of running ones; else that of other tasks, by the epoch.
    """
    own = [(run.kind, run.own) for run in runs if run.own is not None]
    by_kind, by_task = _means(took), _means((kind.task, seconds) for kind, seconds in took)
    by_pace = _means((kind.task, seconds) for kind, seconds in own)
    by_epoch = _means((None, seconds / kind.epochs) for kind, seconds in [*took, *own])
    if runs and not by_epoch:
        return None

    def expected(kind: Kind) -> float:
        found = by_kind.get(kind, by_task.get(kind.task, by_pace.get(kind.task)))
        return by_epoch[None] * kind.epochs if found is None else found

    free = [0.0] * max(1, workers)
    for run in sorted(runs, key=lambda run: not run.runs):
        seconds = run.share * (expected(run.kind) if run.own is None else run.own)
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _means(pairs: Iterable[tuple[Hashable, float]]) -> dict[Hashable, float]:
    """The mean of the seconds by what they are of."""
    sums: dict[Hashable, tuple[float, int]] = {}
    for of, seconds in pairs:
        total, count = sums.get(of, (0.0, 0))
        sums[of] = total + seconds, count + 1
    return {of: total / count for of, (total, count) in sums.items()}


def in_words(seconds: float | None) -> str:
    """The time left as people say it."""
    if seconds is None:
        return "time left not known yet"
    if seconds < 60:
        return "less than a minute left"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left" if seconds < 10 * 3600 else f"about {seconds / 3600:.0f} h left"


class TimeLeft:
    """Watches runs, of these kinds by id, that so many workers execute.

    took: what runs of such kinds took earlier, in seconds. stored: run id -> what a run that is done says it took, over
    all its processes; None where that is not known, and what was seen here counts.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        workers: int,
        took: Iterable[tuple[Kind, float]] = (),
        stored: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        self._kinds, self._workers, self._stored = kinds, workers, stored
        self._took = list(took)
        self._begun: dict[str, tuple[float, float]] = {}  # when it was first seen running, and how far it was then

    def note(self, run_id: str, state: RunState, now: float) -> None:
        """Take in that a run has another state since `now`, in seconds of any clock."""
        if state.status == "running":
            self._begun[run_id] = now, _share(state)
            return
        begun = self._begun.pop(run_id, None)
        if state.status == "done" and begun is not None:
            seconds = self._stored(run_id)
            self._took.append((self._kinds[run_id], now - begun[0] if seconds is None else seconds))

    def words(self, states: Mapping[str, RunState], now: float) -> str:
        """How long the runs in these states take from `now` on; "" when all have ended."""
        left = [self._left(run_id, state, now) for run_id, state in states.items() if not state.is_finished]
        return in_words(seconds_left(left, self._took, self._workers)) if left else ""

    def _left(self, run_id: str, state: RunState, now: float) -> Left:
        share, (begun, at_first) = _share(state), self._begun.get(run_id, (now, 0.0))
        own = (now - begun) / (share - at_first) if share - at_first >= ENOUGH else None
        return Left(self._kinds[run_id], max(0.0, 1 - share), own, state.status == "running")


def _share(state: RunState) -> float:
    return state.progress["done"] if state.progress else 0.0
