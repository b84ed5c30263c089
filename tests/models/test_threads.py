"""Kernels on the threads of torch: all groups are computed once, on as many threads, and errors are not lost."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from spike_ssm.models.ops import threads
from spike_ssm.models.ops.compiled import Threaded
from spike_ssm.models.ops.threads import compute_together


@Threaded
def count(counts, amount, first, end):  # type: ignore[no-untyped-def]
    for group in range(first, end):
        counts[group] += amount


@pytest.fixture(params=["torch's threads", "threads of our own"])
def which(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "threads of our own":
        monkeypatch.setattr(threads, "_openmp", lambda: None)


@pytest.mark.usefixtures("which")
@pytest.mark.parametrize(("groups", "least"), [(1, 1), (2, 1), (7, 1), (7, 4), (7, 100), (1000, 0)])
def test_every_group_is_computed_once(groups: int, least: int) -> None:
    counts = np.zeros(groups)
    for _ in range(3):
        count(groups, least, counts, 1.0)
    assert (counts == 3).all()


@pytest.mark.usefixtures("which")
@pytest.mark.parametrize("wanted", [2, 3])
def test_parts_are_computed_at_the_same_time_by_different_threads(wanted: int) -> None:
    torch.set_num_threads(wanted)
    together, seen = threading.Barrier(wanted, timeout=30), {}

    def compute(part: int, parts: int) -> None:
        together.wait()
        seen[part] = (parts, threading.get_native_id())

    compute_together(wanted, compute)
    assert sorted(seen) == list(range(wanted))
    assert {parts for parts, _ in seen.values()} == {wanted}
    assert len({thread for _, thread in seen.values()}) == wanted


@pytest.mark.usefixtures("which")
def test_an_error_in_a_part_is_raised_and_the_threads_are_as_good_as_before() -> None:
    def compute(part: int, parts: int) -> None:
        if part == parts - 1:
            raise ValueError("of the last part")

    for _ in range(2):
        with pytest.raises(ValueError, match="of the last part"):
            compute_together(2, compute)
