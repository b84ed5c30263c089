"""The time left, from what runs of the task took, and from how far running ones are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.launch.time_left import Kind, Left, TimeLeft, in_words, seconds_left
from spike_ssm.harness.state.survey import RunState

SHORT, LONG, OTHER = Kind("short", "a", 2), Kind("long", "a", 2), Kind("long", "b", 2)

kinds = st.builds(Kind, st.sampled_from("xyz"), st.sampled_from("ab"), st.integers(1, 9))
took = st.lists(st.tuples(kinds, st.floats(0.1, 1e4)), min_size=1, max_size=9)
runs = st.lists(st.builds(Left, kinds, st.floats(0, 1), st.none() | st.floats(0.1, 1e4), st.booleans()), max_size=9)
workers = st.integers(1, 5)


# --- what is expected of a run


def test_runs_of_a_long_task_are_not_taken_for_those_of_a_short_one() -> None:
    known = [(SHORT, 20.0)] * 20 + [(LONG, 600.0)]
    assert seconds_left([Left(LONG)] * 6, known, 1) == pytest.approx(3600)
    assert seconds_left([Left(LONG), Left(SHORT)], known, 1) == pytest.approx(620)


@pytest.mark.parametrize(
    ("left", "known", "expected"),
    [
        (Left(OTHER), [(OTHER, 300.0), (LONG, 600.0), (SHORT, 20.0)], 300),  # its variant
        (Left(OTHER), [(LONG, 600.0), (SHORT, 20.0)], 600),  # its task
        (Left(Kind("third", "a", 6)), [(LONG, 600.0), (SHORT, 20.0)], 6 * 155),  # others, by the epoch
        (Left(OTHER, 0.5, 400.0, runs=True), [(OTHER, 300.0)], 200),  # its own pace
    ],
    ids=["variant", "task", "epochs", "own"],
)
def test_the_nearest_runs_tell(left: Left, known: list[tuple[Kind, float]], expected: float) -> None:
    assert seconds_left([left], known, 1) == pytest.approx(expected)


def test_while_nothing_of_a_task_is_finished_its_running_runs_tell() -> None:
    at_half = Left(LONG, 0.5, 600.0, runs=True)
    assert seconds_left([at_half, Left(OTHER)], [(SHORT, 20.0)], 1) == pytest.approx(300 + 600)


def test_one_long_run_is_not_shared_by_the_workers() -> None:
    assert seconds_left([Left(LONG)], [(LONG, 600.0)], 8) == pytest.approx(600)


def test_without_anything_to_tell_it_by_the_time_is_not_known() -> None:
    assert seconds_left([Left(LONG)], [], 2) is None


# --- laws


@given(runs, took, workers)
def test_no_less_than_the_work_needs_and_no_more_than_one_after_the_other(
    runs: list[Left], took: list[tuple[Kind, float]], workers: int
) -> None:
    found, alone = seconds_left(runs, took, workers), [seconds_left([run], took, 1) for run in runs]
    if any(run.own is not None for run in runs):  # which tell of the others too
        return
    seconds = [each or 0.0 for each in alone]
    assert found is not None
    assert max([*seconds, sum(seconds) / workers]) <= found * (1 + 1e-9) + 1e-9
    assert found <= sum(seconds) * (1 + 1e-9)


@given(runs, took, workers, st.floats(0.01, 100))
def test_where_all_takes_longer_by_a_factor_so_does_the_rest(
    runs: list[Left], took: list[tuple[Kind, float]], workers: int, factor: float
) -> None:
    slower = [Left(run.kind, run.share, run.own and run.own * factor, run.runs) for run in runs]
    found = seconds_left(runs, took, workers)
    assert seconds_left(slower, [(kind, seconds * factor) for kind, seconds in took], workers) == pytest.approx(
        (found or 0.0) * factor
    )


@given(runs, took, workers)
def test_a_further_run_never_makes_it_shorter(runs: list[Left], took: list[tuple[Kind, float]], workers: int) -> None:
    assert (seconds_left([*runs, Left(SHORT)], took, workers) or 0) >= (seconds_left(runs, took, workers) or 0)


@given(st.floats(0, 1e7))
def test_no_number_of_seconds_is_ever_said(seconds: float) -> None:
    said = in_words(seconds)
    assert said.endswith(" left")
    assert not said.endswith(" s left")
    assert " 0 " not in said


# --- what is seen of runs


def running(share: float) -> RunState:
    progress: dict[str, Any] = {"done": share}
    return RunState("running", "1", progress)


def test_a_run_that_goes_on_from_a_checkpoint_is_judged_by_what_it_did_since() -> None:
    left = TimeLeft({"a": LONG}, 1)
    left.note("a", running(0.5), 0.0)
    assert left.words({"a": running(0.5)}, 60.0) == "time left not known yet"
    assert left.words({"a": running(0.6)}, 120.0) == "about 8 min left"


def test_what_results_say_goes_before_what_was_seen() -> None:
    left = TimeLeft({"a": LONG, "b": LONG}, 1, stored={"a": 1200.0}.get)
    left.note("a", running(0.0), 0.0)
    left.note("a", RunState("done"), 60.0)
    states = {"a": RunState("done"), "b": RunState("waiting")}
    assert left.words(states, 60.0) == "about 20 min left"
    assert left.words({"a": RunState("done"), "b": RunState("failed")}, 60.0) == "", "all have ended"


def test_runs_that_finished_earlier_tell_before_any_run_begins() -> None:
    assert TimeLeft({"a": LONG}, 1, took=[(LONG, 7200.0)]).words({"a": RunState("waiting")}, 0.0) == "about 2.0 h left"


def test_a_run_that_failed_at_once_tells_nothing() -> None:
    left = TimeLeft({"a": LONG, "b": LONG}, 1)
    left.note("a", running(0.0), 0.0)
    left.note("a", RunState("failed"), 1.0)
    assert left.words({"a": RunState("failed"), "b": RunState("waiting")}, 1.0) == "time left not known yet"
