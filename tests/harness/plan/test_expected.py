"""What a run is expected to take: by finished runs like it, then its own steps, then others'."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.plan.expected import EXTRAPOLATED, LEAST, TIMED, Evidence, Finished, Wanted
from spike_ssm.harness.plan.shapes import Shape, shape_of
from spike_ssm.harness.timing.calibration import StepTimes

TIMES = StepTimes(0.01, 0.004, steps=100, validations=10, tests=20, memory_mib=500, disk_bytes=50_000)


@pytest.fixture
def shape(tiny: Callable[..., Settings]) -> Callable[..., Shape]:
    """The shape of a tiny run with these words."""
    return lambda *words: shape_of(tiny(*words).identity())


@pytest.mark.parametrize(
    "word", ["seed=7", "optim.lr=0.5", "neuron.leak=0.9", "neuron.threshold=3", "optim.weight_decay=0"]
)
def test_what_does_not_change_the_computation_does_not_change_the_shape(shape: Callable[..., Shape], word: str) -> None:
    assert shape(word) == shape()


@pytest.mark.parametrize(
    "word",
    [
        *(
            "neuron=gelu",
            "neuron.decay=0",
            "neuron.leak_trainable=true",
            "model.channels=16",
            "task.max_length=13",
        ),
        *("optim.batch_size=8", "optim.length_pool=2", "test=false"),
    ],
)
def test_what_changes_the_computation_changes_the_shape(shape: Callable[..., Shape], word: str) -> None:
    assert shape(word).key != shape().key
    assert (shape(word).family == shape().family) == word.startswith("neuron")


def test_epochs_change_the_time_in_proportion_and_no_shape(shape: Callable[..., Shape]) -> None:
    evidence = Evidence([Finished(shape("optim.epochs=2"), 20.0)], {})
    longer = evidence.expect(Wanted(shape("optim.epochs=6")))
    assert longer is not None
    assert longer.seconds.point == pytest.approx(60.0)


def test_finished_runs_tell_more_than_steps_and_these_more_than_other_networks(shape: Callable[..., Shape]) -> None:
    here = shape()
    timed = {here.key: (here, TIMES)}
    by_runs = Evidence([Finished(here, 20.0)], timed).expect(Wanted(here))
    by_steps = Evidence([], timed).expect(Wanted(here))
    by_others = Evidence([], timed).expect(Wanted(shape("neuron=gelu")))
    assert by_runs is not None
    assert by_steps is not None
    assert by_others is not None
    assert (by_runs.basis, by_runs.seconds.point) == ("finished runs", 20.0)
    assert (by_steps.basis, by_steps.seconds.point) == ("timed steps", pytest.approx(TIMES.seconds(1)))
    assert (by_others.basis, by_others.seconds.point) == ("other steps", pytest.approx(TIMES.seconds(1)))
    widths = [each.seconds.high / each.seconds.point for each in (by_runs, by_steps, by_others)]
    assert widths == pytest.approx([LEAST, TIMED, EXTRAPOLATED])


def test_steps_of_other_sizes_count_in_proportion_to_the_work(shape: Callable[..., Shape]) -> None:
    small, large = shape("task.max_length=12"), shape("task.max_length=48", "task.train=128")
    found = Evidence([], {small.key: (small, TIMES)}).expect(Wanted(large))
    assert found is not None
    assert found.seconds.point == pytest.approx(8 * TIMES.seconds(1))


def test_runs_that_differ_widen_the_interval(shape: Callable[..., Shape]) -> None:
    even = Evidence([Finished(shape(), seconds) for seconds in (20.0, 20.1, 19.9)], {}).expect(Wanted(shape()))
    odd = Evidence([Finished(shape(), seconds) for seconds in (20.0, 30.0, 15.0)], {}).expect(Wanted(shape()))
    assert even is not None
    assert odd is not None
    assert even.seconds.high / even.seconds.point == pytest.approx(LEAST)
    assert odd.seconds.low <= 15.0
    assert odd.seconds.high >= 30.0


def test_without_any_evidence_only_the_time_limit_bounds_a_run(shape: Callable[..., Shape]) -> None:
    assert Evidence([], {}).expect(Wanted(shape())) is None
    found = Evidence([], {}).expect(Wanted(shape(), limit_s=7200.0))
    assert found is not None
    assert (found.basis, found.seconds.low, found.seconds.high) == ("time limit", 0.0, 7200.0)


def test_a_run_is_its_epochs_with_validations_and_its_tests() -> None:
    assert TIMES.seconds(3, tested=2) == pytest.approx(3 * (100 * 0.01 + 10 * 0.004) + 2 * 20 * 0.004)
