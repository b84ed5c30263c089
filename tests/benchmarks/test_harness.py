"""The benchmark of the harness measures nothing that its checks have not seen done."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.data import verdicts
from benchmarks.finishing import finished_row
from spike_ssm.results.reading import read_runs
from spike_ssm.results.store import write_run


@pytest.mark.slow
def test_a_sweep_is_submitted_in_arrays_and_looked_at_when_half_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "STAND_INS", {**harness.STAND_INS, "scontrol": 'echo "MaxArraySize = 70"'})
    commands = harness.Commands(tmp_path)
    (submitted,) = harness.submitting(commands, runs=100)
    (looked,) = harness.looking(commands)
    assert submitted["subject"] == "100 runs in arrays of 70 and 30, stand-in sbatch"
    assert looked["subject"] == "100 runs, stand-in squeue"
    assert min(submitted["value"], looked["value"]) > 0


@pytest.mark.slow
def test_results_of_several_processes_are_all_seen(tmp_path: Path) -> None:
    (finished,) = harness.finishing(tmp_path, runs=20)
    assert finished["subject"] == "20 results of 8 processes, written and seen"
    rows, missing, damaged = read_runs(tmp_path, [f"{number:012x}" for number in range(20)])
    assert (len(rows), missing, damaged) == (20, [], {})


def test_a_command_that_fails_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="No sweep named 'many' has been run"):
        harness.Commands(tmp_path).seconds("harness.status", "many", "--results", str(tmp_path))


def test_a_run_of_one_step_is_executed_to_its_result(tmp_path: Path) -> None:
    (started,) = harness.starting(tmp_path)
    assert started["value"] > 0
    assert len(list((tmp_path / "runs").glob("rows/*.parquet"))) == 2


def test_looking_at_a_sweep_imports_nothing_heavy() -> None:
    (imported,) = harness.imports()
    assert imported["value"] == 0


def test_a_finished_row_is_one_that_the_store_takes_whole(tmp_path: Path) -> None:
    write_run(tmp_path, finished_row("0123456789ab"))
    (row,) = read_runs(tmp_path, ["0123456789ab"], predictions=True)[0].to_dict("records")
    assert (len(row["epochs"]), row["epochs"][-1]["epoch"], len(row["predictions"])) == (40, 40, 500)


def test_every_target_is_about_a_number_that_is_measured() -> None:
    rows = [harness.row(target.section, "all", target.unit, target.bound) for target in harness.TARGETS]
    assert len(verdicts(rows, harness.TARGETS)) == len(harness.TARGETS)
    assert all("met" in sentence for sentence in verdicts(rows, harness.TARGETS))
