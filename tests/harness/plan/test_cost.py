"""What runs cost together, given what each takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from spike_ssm.harness.plan.cost import NOTHING, Range, RunCost, cost_of, makespan, sentence

SECONDS = some.floats(0.01, 1e5)
RUNS = some.lists(
    some.builds(
        RunCost,
        some.builds(Range.around, SECONDS, some.floats(1.0, 4.0)),
        some.sampled_from(["finished runs", "timed steps"]),
        cores=some.integers(1, 8),
        gpus=some.integers(0, 4),
        memory_mib=some.floats(0, 1e5),
        disk_bytes=some.floats(0, 1e9),
    ),
    min_size=1,
    max_size=30,
)
AT_ONCE = some.integers(1, 8)


def ends(found: Range) -> tuple[float, float, float]:
    return found.low, found.point, found.high


@given(RUNS, AT_ONCE)
def test_every_interval_holds_its_point(runs: list[RunCost], at_once: int) -> None:
    cost = cost_of(runs, at_once, Range.around(3.0, 1.4))
    for found in (cost.wall, cost.core, cost.gpu, cost.shortest):
        assert list(ends(found)) == sorted(ends(found))


@given(RUNS, RUNS, AT_ONCE)
def test_core_hours_gpu_hours_and_disk_add_up(some_runs: list[RunCost], others: list[RunCost], at_once: int) -> None:
    first, second, both = (cost_of(runs, at_once) for runs in (some_runs, others, [*some_runs, *others]))
    for of in ("core", "gpu"):
        sums = [a + b for a, b in zip(ends(getattr(first, of)), ends(getattr(second, of)), strict=True)]
        assert list(ends(getattr(both, of))) == pytest.approx(sums)
    assert both.disk_bytes == pytest.approx(first.disk_bytes + second.disk_bytes)
    assert both.memory_mib == max(first.memory_mib, second.memory_mib)
    assert both.runs == first.runs + second.runs


@given(RUNS, AT_ONCE, some.integers(0, 29))
def test_fewer_runs_never_end_later(runs: list[RunCost], at_once: int, left_out: int) -> None:
    place = left_out % len(runs)
    fewer = cost_of([*runs[:place], *runs[place + 1 :]], at_once)
    for one, other in zip(ends(fewer.wall), ends(cost_of(runs, at_once).wall), strict=True):
        assert one <= other + 1e-6


@given(RUNS, AT_ONCE)
def test_more_at_once_never_end_later_nor_cost_more(runs: list[RunCost], at_once: int) -> None:
    few, more = cost_of(runs, at_once), cost_of(runs, at_once + 1)
    for one, other in zip(ends(more.wall), ends(few.wall), strict=True):
        assert one <= other + 1e-6
    assert ends(more.core) == ends(few.core)


@given(some.lists(SECONDS, min_size=1, max_size=30), AT_ONCE)
def test_the_last_one_ends_between_the_even_share_and_one_run_more(seconds: list[float], at_once: int) -> None:
    found = makespan(seconds, at_once)
    least = max(math.fsum(seconds) / at_once, max(seconds))
    assert least <= found * (1 + 1e-9)
    assert found <= (math.fsum(seconds) / at_once + max(seconds)) * (1 + 1e-9)


def run(seconds: float = 60.0, factor: float = 1.5, **fields: object) -> RunCost:
    return RunCost(Range.around(seconds, factor), "timed steps", **fields)  # type: ignore[arg-type]


def test_workers_start_once_and_jobs_each() -> None:
    start = Range(10.0, 10.0, 10.0)
    assert cost_of([run()] * 4, 2, start).wall.point == 10 + 120
    assert cost_of([run()] * 4, 2, start, each_job_starts=True).wall.point == 2 * (10 + 60)
    assert cost_of([run()] * 4, 2, start, bundle=2, each_job_starts=True).wall.point == 10 + 120


def words(runs: Sequence[RunCost | None], at_once: int = 2) -> str:
    return sentence(cost_of(runs, at_once, NOTHING))


def test_the_sentence_names_all_that_is_spent() -> None:
    said = words([run(cores=2, memory_mib=614.4, disk_bytes=5e5)] * 24)
    assert said == (
        "About 12 min (8 to 18) with 2 at a time, 0.8 core hours (0.53 to 1.2), 0.6 GiB of memory a run, 12 MB of disk "
        "(24 runs from steps timed here)."
    )


def test_gpu_hours_are_named_where_there_are_any() -> None:
    assert "40 GPU hours (27 to 60)" in words([run(3600.0, gpus=1)] * 40)


def test_runs_of_which_nothing_is_known_are_said() -> None:
    assert words([run(), None]).endswith(
        "Besides, one run has neither finished runs like them nor steps that can be timed here. "
        "One finished run of each kind, e.g. with one seed, tells it."
    )
    assert words([None, None]).startswith("What this costs cannot be said: 2 runs have neither")


def test_what_only_a_time_limit_bounds_is_a_range() -> None:
    limited = RunCost(Range(0.0, 3600.0, 3600.0), "time limit", cores=4, gpus=1)
    assert words([limited] * 6) == (
        "Between 0 s and 3 h with 2 at a time, up to 24 core hours, up to 6 GPU hours "
        "(6 runs known only not to exceed launcher.timeout_minutes)."
    )
