"""What is compared takes turns, and short calls are timed warm."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.timing import COLD_MATTERS_BELOW_MS, interleaved_medians


def test_candidates_take_turns_and_short_ones_are_warmed_each_time() -> None:
    calls: list[str] = []

    def candidate(name: str, seconds: float) -> Callable[[], None]:
        return lambda: (calls.append(name), time.sleep(seconds))[1]

    long = 1.2e-3 * COLD_MATTERS_BELOW_MS
    medians = interleaved_medians({"short": candidate("short", 0.001), "long": candidate("long", long)}, rounds=2)
    assert calls == ["short", "long", *["short", "short", "long"] * 2]
    assert 1 <= medians["short"] < medians["long"]
    assert medians["long"] >= 1e3 * long
