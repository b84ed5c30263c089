"""What is known of a run, from its files and from SLURM; what SLURM says comes from commands on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from spike_ssm.harness import cancel, status
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.state.submissions import Submission, record, submissions
from spike_ssm.harness.state.survey import Survey
from spike_ssm.harness.system import slurm
from spike_ssm.results.process import Process
from spike_ssm.results.schema import Manifest, PlannedRun
from spike_ssm.results.store import write_manifest, write_run

Say = Callable[[str, str], None]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Puts a command on the PATH: `say("squeue", "echo '7|RUNNING|None'")`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def put(command: str, script: str) -> None:
        (folder / command).write_text(f"#!/bin/sh\n{script}\n")
        (folder / command).chmod(0o755)

    put("sacct", "exit 1")
    put("squeue", "exit 0")
    return put


def handed(results: Path, *jobs: str) -> None:
    """Run `a` was handed to SLURM's `jobs`, one after the other."""
    for job in jobs:
        record(results, Submission("slurm", "mini", {job: ["a"]}))


def state(results: Path) -> str:
    return Survey(results, ["a"]).states()["a"].status


def test_a_run_that_nobody_has_is_waiting(tmp_path: Path) -> None:
    assert state(tmp_path) == "waiting"


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("PENDING", "queued"),
        ("RUNNING", "queued"),  # its job runs, but has not come to it yet
        ("TIMEOUT", "timed out"),
        ("OUT_OF_MEMORY", "out of memory"),
        ("CANCELLED", "cancelled"),
        ("NODE_FAIL", "failed"),
        ("COMPLETED", "failed"),  # without a result
    ],
)
def test_squeue_tells_of_a_run_that_left_no_file(tmp_path: Path, say: Say, said: str, known: str) -> None:
    handed(tmp_path, "7_3")
    say("squeue", f"echo '7_3|{said}|None'")
    assert state(tmp_path) == known


def test_a_begun_run_whose_job_waits_again_was_preempted(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    RunFiles(tmp_path, "a").checkpoints.mkdir(parents=True)
    say("squeue", "echo '7|PENDING|BeginTime'")
    assert state(tmp_path) == "preempted"


def test_the_accounting_tells_of_jobs_that_squeue_forgot(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7_0")
    say("sacct", "echo '7_0|CANCELLED by 1000'; echo '7_1|COMPLETED'")
    assert state(tmp_path) == "cancelled"


def test_a_job_that_nobody_knows_any_more_has_failed_and_names_its_log(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    RunFiles(tmp_path, "a").log.parent.mkdir(parents=True)
    RunFiles(tmp_path, "a").log.write_text("The last words.\n")
    known = Survey(tmp_path, ["a"]).states()["a"]
    assert (known.status, known.recorded) == ("failed", False)
    assert known.error == (
        f"SLURM no longer knows its job 7, and does not say how it ended. Its log is {RunFiles(tmp_path, 'a').log}."
    )


def test_while_slurm_does_not_answer_nothing_has_failed(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    say("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    known = Survey(tmp_path, ["a"]).states()["a"]
    assert (known.status, known.error) == ("queued", "SLURM does not answer.")


def test_a_run_that_was_submitted_again_is_queued_whatever_became_of_its_first_job(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7", "8")
    say("squeue", "echo '7|CANCELLED|None'; echo '8|PENDING|Resources'")
    assert state(tmp_path) == "queued"


def test_runs_of_a_local_sweep_are_queued_as_long_as_its_process_lives(tmp_path: Path) -> None:
    alive = asdict(Process.current())
    record(tmp_path, Submission("local", "mini", {"": ["a"]}, alive))
    assert state(tmp_path) == "queued"
    for path in (tmp_path / "state" / "submissions").iterdir():
        path.unlink()
    record(tmp_path, Submission("local", "mini", {"": ["a"]}, {**alive, "start": "1"}))
    assert state(tmp_path) == "waiting"


def test_a_damaged_record_of_a_submission_hides_no_other(tmp_path: Path) -> None:
    handed(tmp_path, "7")
    path = record(tmp_path, Submission("slurm", "mini", {"8": ["a"]}))
    path.write_text("{")
    assert [one.jobs for one in submissions(tmp_path)] == [{"7": ["a"]}]


def test_a_result_goes_before_everything_that_slurm_says(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    say("squeue", "echo '7|FAILED|None'")
    write_run(tmp_path, {"id": "a", "status": "done", "test_accuracy": 0.5})
    known = Survey(tmp_path, ["a"]).states()["a"]
    assert (known.status, known.measure, known.recorded) == ("done", "test accuracy 50.0%", True)


# --- the commands


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A results folder with a sweep of three runs: `a` done, `b` failed, `c` waiting."""
    runs = [PlannedRun(name, {"task": "listops"}, f"variant {name}", 0) for name in "abc"]
    write_manifest(tmp_path, Manifest("mini", "Three runs", "Why?", "laptop", "", None, ["+sweep=mini"], runs))
    write_run(tmp_path, {"id": "a", "status": "done", "test_accuracy": 0.5})
    write_run(tmp_path, {"id": "b", "status": "out of memory", "error": "It was too much."})
    return tmp_path


def test_status_counts_and_names_what_failed(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["mini", "--results", str(sweep)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "b  listops · variant b · seed 0: out of memory, It was too much.",
        "Three runs (laptop): 3 runs: 1 done, 1 out of memory, 1 waiting",
    ]


def test_status_lists_every_run_or_every_sweep_when_asked_to(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status.main(["mini", "--all", "--results", str(sweep)])
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert status.main(["--results", str(sweep)]) == 1
    assert capsys.readouterr().out == "mini (laptop): 3 runs: 1 done, 1 out of memory, 1 waiting\n"


@pytest.mark.parametrize("command", [status.main, cancel.main])
def test_a_sweep_that_was_never_run_is_a_sentence(
    tmp_path: Path, command: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["chess", "--results", str(tmp_path)]) == 1
    assert "No sweep named 'chess' has been run" in capsys.readouterr().err


def test_cancel_ends_the_live_jobs_of_its_own_sweep_only(
    sweep: Path, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(sweep, Submission("slurm", "mini", {"7_0": ["c"], "7_1": ["b"]}))
    record(sweep, Submission("slurm", "another", {"8": ["c"]}))
    say("squeue", "echo '7_0|RUNNING|None'; echo '7_1|FAILED|None'; echo '8|RUNNING|None'")
    say("scancel", f'echo "$@" > {tmp_path}/cancelled')
    assert cancel.main(["mini", "--results", str(sweep)]) == 0
    assert (tmp_path / "cancelled").read_text() == "7_0\n"
    assert capsys.readouterr().out == "Cancelled 1 SLURM jobs and 0 local sweeps.\n"


def test_the_size_of_arrays_is_the_clusters_or_slurms_own_default(say: Say) -> None:
    say("scontrol", "echo 'MaxArraySize            = 77'")
    assert slurm.max_array_size() == 77
    say("scontrol", "exit 1")
    assert slurm.max_array_size() == slurm.DEFAULT_ARRAY_SIZE


def test_status_imports_no_heavy_library() -> None:
    heavy = "{'torch', 'numba', 'datasets', 'pandas'}"
    code = f"import sys, spike_ssm.harness.status; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
