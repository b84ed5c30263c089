"""What is compared takes turns, and short calls fill theirs."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import groupby

from spike_ssm.harness.measurements.timing import TURN_MS, interleaved_medians


def test_candidates_take_turns_and_short_ones_are_called_until_theirs_is_full() -> None:
    calls: list[str] = []

    def candidate(name: str, ms: float) -> Callable[[], None]:
        return lambda: (calls.append(name), time.sleep(1e-3 * ms))[1]

    medians = interleaved_medians({"short": candidate("short", 1), "long": candidate("long", 1.2 * TURN_MS)}, rounds=2)
    turns = [(name, len(list(group))) for name, group in groupby(calls)]
    assert [name for name, _ in turns] == ["short", "long"] * 3  # the first round is not timed
    assert [count for name, count in turns if name == "long"] == [1, 1, 1]
    assert all(count > 1 for name, count in turns[2:] if name == "short")
    assert 1 <= medians["short"] < TURN_MS < medians["long"]
