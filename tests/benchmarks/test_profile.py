"""The profile of a training step: its parts make up the whole, and none of those it names is missing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from benchmarks import profile
from benchmarks.profile import PARTS, measured
from benchmarks.steps import Size
from spike_ssm.harness.system.environment import KEEP_MEMORY


def test_the_parts_of_a_step_are_all_found_and_add_up_to_it() -> None:
    found = measured(Size(layers=2, channels=8, state_size=4, length=256, batch=2))
    assert sum(sum(parts.values()) for parts in found.values()) == pytest.approx(100)
    for phase in ("forward", "backward"):
        assert {part for part, share in found[phase].items() if share > 0} >= set(PARTS)


def test_the_picture_of_the_documentation_is_drawn_only_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    picture = tmp_path / "step_profile.svg"
    monkeypatch.setattr(profile, "PICTURE", picture)
    monkeypatch.setattr(profile, "STEPS", 1)
    monkeypatch.setattr(profile, "compute_with", lambda _: None)  # later tests need subnormal numbers
    monkeypatch.setattr(profile, "Size", partial(Size, layers=1, channels=8, length=64, batch=1))
    for name in (*KEEP_MEMORY, "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):  # else the process of the tests starts anew
        monkeypatch.setenv(name, KEEP_MEMORY.get(name, "2"))
    for words, drawn in (([], False), (["--save"], True)):
        monkeypatch.setattr("sys.argv", ["profile", *words])
        profile.main()
        assert picture.exists() == drawn
