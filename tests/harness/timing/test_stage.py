"""The stage after a sweep's runs: each variant of a task timed once on a machine, and only where that is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from spike_ssm.harness.timing import measure as measuring
from spike_ssm.results.store import read_manifest
from spike_ssm.results.timing.rows import TIMING, machine_of, read_timings
from tests.harness.conftest import Place

QUICK = ("timing_seconds=0.01", "launcher=local", "launcher.workers=1", "seed=0,1")


def timed(place: Place) -> list[dict[str, Any]]:
    rows, errors = read_timings(place.results)
    assert errors == []
    return rows


@pytest.mark.slow
def test_after_its_runs_a_sweep_times_each_variant_once_alone(place: Place) -> None:
    """Runs and timing in processes of their own; then the same command, another seed, and anew."""
    assert place.sweep(*QUICK, "timing=true").status == 0
    rows = timed(place)
    runs = {run.id: run for run in read_manifest(place.results, "mini").runs}
    assert [(runs[row["run"]].variant, runs[row["run"]].seed) for row in rows] == [("0.5", 0), ("0.9", 0)]
    assert len({row["sitting"] for row in rows}) == 1
    for row in rows:
        assert list(row) == TIMING.names
        assert len(row["train_ms"]) == len(row["inference_ms"]) >= measuring.ROUNDS
        assert (row["threads"], row["train_samples"], row["inference_samples"]) == (1, 16, 16)
        assert row["peak_memory_mib"] is None or row["peak_memory_mib"] > row["step_memory_mib"] > 0
    assert len({machine_of(row) for row in rows}) == 1
    again = place.sweep(*QUICK, "timing=true", "seed=0,1,2")
    assert "Timing: listops, 2 variants: timed here before, with this code." in again.out
    assert timed(place) == rows
    anew = place.sweep(*QUICK, "timing=again")
    assert any("ratios to the first variant moved since the sitting before by" in line for line in anew.out)
    assert timed(place)[:2] == rows
    assert len(timed(place)) == 4


def test_timing_false_times_nothing_nor_does_a_debugger_or_a_sweep_of_measurements(place: Place) -> None:
    assert place.sweep("timing=false").status == 0
    assert place.sweep("timing=true").status == 0, "launcher=debug"
    place.sweep_file("alone", grid={"neuron.leak": [0.5]}, base={"task": "speed", "launcher": "debug"})
    sizes = ("task.batch=1", "task.length=8", "task.channels=2", "task.rounds=1")
    words = [word for word in place.words("timing=only", *sizes, name="alone") if not word.startswith(TASK)]
    from spike_ssm.harness.sweep import main

    main(words)
    assert timed(place) == []


TASK = tuple(f"task.{name}=" for name in ("min_length", "max_length", "train", "validation", "test"))


def test_variants_without_a_finished_run_are_not_timed(place: Place) -> None:
    outcome = place.sweep("timing=only")
    assert (outcome.status, timed(place)) == (1, [])
    assert not any("Timing" in line for line in outcome.out)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("timing=maybe", "must be true, false, only"),
        ("timing=1", "must be true, false, only"),
        ("timing_seconds=0", "a number above 0"),
        ("timing_seconds=true", "a number above 0"),
        ("timing_seconds=x", "a number above 0"),
    ],
)
def test_what_timing_cannot_be_is_said(place: Place, word: str, said: str) -> None:
    outcome = place.sweep(word)
    assert outcome.status == 1
    assert said in outcome.err[0]
