"""The profile of a training step: its parts make up the whole, and none of those it names is missing."""

from __future__ import annotations

import pytest

from benchmarks.profile import PARTS, measured
from benchmarks.steps import Size


def test_the_parts_of_a_step_are_all_found_and_add_up_to_it() -> None:
    found = measured(Size(layers=2, channels=8, state_size=4, length=256, batch=2))
    assert sum(sum(parts.values()) for parts in found.values()) == pytest.approx(100)
    for phase in ("forward", "backward"):
        assert {part for part, share in found[phase].items() if share > 0} >= set(PARTS)
