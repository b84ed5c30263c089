"""What is known of a run, from its files and from SLURM; what SLURM says comes from commands on the PATH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness import cancel, status
from spike_ssm.harness.state import lease
from spike_ssm.harness.state.lease import Holder
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.state.submissions import Submission, record, submissions
from spike_ssm.harness.state.survey import RunState, Survey
from spike_ssm.harness.system import slurm
from spike_ssm.results.process import Process
from spike_ssm.results.schema import Manifest, PlannedRun
from spike_ssm.results.store import write_manifest, write_run

Say = Callable[[str, str], None]

ME = slurm.user()
ELSEWHERE = Process("another-host", "another-boot", "1", 1234, "5678")


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Puts a command on the PATH: `say("squeue", listed("7", "RUNNING"))`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CLUSTER_NAME", raising=False)

    def put(command: str, script: str) -> None:
        (folder / command).write_text(f"#!/bin/sh\n{script}\n")
        (folder / command).chmod(0o755)

    put("sacct", "exit 1")
    put("squeue", "exit 0")
    put("scontrol", "echo 'ClusterName = alpha'")
    return put


def listed(job: str, state: str, user: str = ME, name: str = slurm.JOB_NAME) -> str:
    """A script that lists a job as squeue and sacct are asked to."""
    return f"echo '{job}|{state}|{user}|{name}'"


def handed(results: Path, *jobs: str) -> None:
    """Run `a` was handed to SLURM's `jobs`, one after the other."""
    for job in jobs:
        record(results, Submission("slurm", "mini", {job: ["a"]}))


def handed_by(results: Path, job: str, **changes: str | None) -> None:
    """The same by somebody else: another user, or one on another cluster; None: by an earlier version."""
    path = record(results, Submission("slurm", "mini", {job: ["a"]}))
    written = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in written.items() if value is not None}))


def known(results: Path) -> RunState:
    return Survey(results, ["a"]).states()["a"]


def state(results: Path) -> str:
    return known(results).status


def test_a_run_whose_result_cannot_be_read_now_is_unknown_until_it_can(tmp_path: Path, capsys: Any) -> None:
    path = write_run(tmp_path, {"id": "a", "status": "done", "test_accuracy": 0.5})
    path.rename(tmp_path / "away")
    path.mkdir()  # reading it is an error of the system
    write_run(tmp_path, {"id": "b", "status": "done", "test_accuracy": 0.5})
    survey = Survey(tmp_path, ["a", "b"])
    assert [each.status for each in survey.states().values()] == ["unknown", "done"]
    runs = [PlannedRun(run_id, {"task": "listops"}, run_id, 0) for run_id in "ab"]
    write_manifest(tmp_path, Manifest("mini", "Mini", "?", "laptop", "", None, ["+sweep=mini"], runs))
    assert status.main(["mini", "--results", str(tmp_path)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(
        f"a  listops · a · seed 0: unknown, The result file {path} cannot be read now (Is a directory)"
    )
    assert told[1:] == ["Mini (laptop): 2 runs: 1 done, 1 unknown"]
    path.rmdir()
    (tmp_path / "away").rename(path)
    assert [each.status for each in survey.states().values()] == ["done", "done"]


def test_a_run_whose_lease_cannot_be_read_now_is_unknown(tmp_path: Path) -> None:
    path = RunFiles(tmp_path, "a").lease
    path.mkdir(parents=True)  # reading it is an error of the system
    state = Survey(tmp_path, ["a"]).states()["a"]
    assert (state.status, state.error) == ("unknown", f"Its lease {path} cannot be read now (Is a directory).")


def test_a_run_that_nobody_has_is_waiting(tmp_path: Path) -> None:
    assert state(tmp_path) == "waiting"


def test_a_stopped_run_is_told_from_one_that_was_never_begun(tmp_path: Path, capsys: Any) -> None:
    RunFiles(tmp_path, "a").checkpoints.mkdir(parents=True)
    assert [known(tmp_path).status, known(tmp_path).begun] == ["waiting", True]
    runs = [PlannedRun(run_id, {"task": "listops"}, run_id, 0) for run_id in "ab"]
    write_manifest(tmp_path, Manifest("mini", "Mini", "?", "laptop", "", None, ["+sweep=mini"], runs))
    assert status.main(["mini", "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a  listops · a · seed 0: waiting, stopped, goes on from its checkpoint",
        "Mini (laptop): 2 runs: 2 waiting (1 of them stopped)",
    ]


@pytest.mark.parametrize(
    ("said", "becomes"),
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
def test_squeue_tells_of_a_run_that_left_no_file(tmp_path: Path, say: Say, said: str, becomes: str) -> None:
    handed(tmp_path, "7_3")
    say("squeue", listed("7_3", said))
    assert state(tmp_path) == becomes


def test_a_begun_run_whose_job_waits_again_was_preempted(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    RunFiles(tmp_path, "a").checkpoints.mkdir(parents=True)
    say("squeue", listed("7", "PENDING"))
    assert state(tmp_path) == "preempted"


def test_the_accounting_tells_of_jobs_that_squeue_forgot(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7_0")
    say("sacct", f"{listed('7_0', 'CANCELLED by 1000')}; {listed('7_1', 'COMPLETED')}")
    assert state(tmp_path) == "cancelled"


def test_a_job_that_nobody_knows_any_more_has_failed_and_names_its_log(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    RunFiles(tmp_path, "a").log.parent.mkdir(parents=True)
    RunFiles(tmp_path, "a").log.write_text("The last words.\n")
    found = known(tmp_path)
    assert (found.status, found.recorded) == ("failed", False)
    assert found.error == (
        f"SLURM no longer knows its job 7, and does not say how it ended. Its log is {RunFiles(tmp_path, 'a').log}."
    )


def test_while_slurm_does_not_answer_nothing_has_failed(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    say("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    found = known(tmp_path)
    assert found.status == "unknown"
    assert (found.error or "").startswith("SLURM does not answer about its job 7.")


def test_a_run_that_was_submitted_again_is_queued_whatever_became_of_its_first_job(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7", "8")
    say("squeue", f"{listed('7', 'CANCELLED')}; {listed('8', 'PENDING')}")
    assert state(tmp_path) == "queued"


def test_runs_of_a_local_sweep_are_queued_as_long_as_its_process_lives(tmp_path: Path) -> None:
    alive = Process.current()
    record(tmp_path, Submission("local", "mini", {"": ["a"]}, alive))
    assert state(tmp_path) == "queued"
    for path in (tmp_path / "state" / "submissions").iterdir():
        path.unlink()
    record(tmp_path, Submission("local", "mini", {"": ["a"]}, replace(alive, start="1")))
    assert state(tmp_path) == "waiting"


def test_a_damaged_record_of_a_submission_hides_no_other(tmp_path: Path) -> None:
    handed(tmp_path, "7")
    path = record(tmp_path, Submission("slurm", "mini", {"8": ["a"]}))
    path.write_text("{")
    assert [one.jobs for one in submissions(tmp_path)] == [{"7": ["a"]}]


def test_a_result_goes_before_everything_that_slurm_says(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    say("squeue", listed("7", "FAILED"))
    write_run(tmp_path, {"id": "a", "status": "done", "test_accuracy": 0.5})
    found = known(tmp_path)
    assert (found.status, found.measure, found.recorded) == ("done", "test accuracy 50.0%", True)


# --- whose job it is


def test_another_users_job_is_asked_about_by_its_id(tmp_path: Path, say: Say) -> None:
    handed_by(tmp_path, "7", user="somebody")
    say("squeue", f'case "$*" in *--me*) ;; *--jobs=7*) {listed("7", "RUNNING", "somebody")};; esac')
    assert state(tmp_path) == "queued"


@pytest.mark.fault(
    "Another user's job, or another cluster's, is not found in SLURM's lists.",
    "The run is unknown, with a word why; it does not count as failed.",
)
@pytest.mark.parametrize(
    ("whose", "why"),
    [
        ({"user": "somebody"}, "SLURM does not tell"),
        ({"cluster": "beta"}, "Its job 7 is of the cluster beta."),
        ({"user": None, "cluster": None}, "SLURM does not tell"),
    ],
    ids=["another user", "another cluster", "a submission of an earlier version"],
)
def test_of_a_job_that_is_not_ours_silence_tells_nothing(
    tmp_path: Path, say: Say, whose: dict[str, str | None], why: str
) -> None:
    handed_by(tmp_path, "7", **whose)
    found = known(tmp_path)
    assert (found.status, found.record_after_s) == ("unknown", None)
    assert (found.error or "").startswith(why)


def test_a_failure_that_slurm_tells_of_another_users_job_is_not_ours_to_record(tmp_path: Path, say: Say) -> None:
    handed_by(tmp_path, "7", user="somebody")
    say("squeue", listed("7", "OUT_OF_MEMORY", "somebody"))
    assert (known(tmp_path).status, known(tmp_path).record_after_s) == ("out of memory", None)


@pytest.mark.fault(
    "SLURM gave a job's id to another job.",
    "The other job is not believed to be ours.",
)
@pytest.mark.parametrize("command", ["squeue", "sacct"])
@pytest.mark.parametrize("other", [("somebody", slurm.JOB_NAME), (ME, "training")], ids=["user", "name"])
def test_a_job_that_took_over_an_id_is_not_believed(
    tmp_path: Path, say: Say, command: str, other: tuple[str, str]
) -> None:
    handed(tmp_path, "7")
    for life in ("RUNNING", "TIMEOUT"):
        say(command, listed("7", life, *other))
        assert known(tmp_path).status in ("unknown", "failed")
        assert "SLURM says" not in (known(tmp_path).error or "")


def test_a_living_job_of_ours_under_another_name_does_not_count_as_ended(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    say("squeue", listed("7", "RUNNING", name="training"))
    assert (known(tmp_path).status, known(tmp_path).record_after_s) == ("unknown", None)


def test_a_job_that_squeue_makes_an_error_of_is_looked_up_in_the_accounting(tmp_path: Path, say: Say) -> None:
    handed(tmp_path, "7")
    say("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    say("sacct", listed("7", "TIMEOUT"))
    assert state(tmp_path) == "timed out"


def test_a_job_that_squeue_makes_an_error_of_hides_no_other(tmp_path: Path, say: Say) -> None:
    error = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    say("squeue", f'case "$*" in *--jobs=8) {listed("8", "RUNNING")};; *) {error};; esac')
    states = slurm.job_states(["7", "8", "9"])
    assert states is not None
    assert {job: each.state for job, each in states.items()} == {"7": slurm.GONE, "8": "RUNNING", "9": slurm.GONE}


@pytest.mark.parametrize("said", ["echo", listed("7", ""), listed("8", "COMPLETED")], ids=["line", "state", "job"])
def test_an_accounting_that_says_nothing_of_a_job_leaves_it_unknown(tmp_path: Path, say: Say, said: str) -> None:
    handed(tmp_path, "7")
    say("sacct", said)
    assert state(tmp_path) == "unknown"


def test_without_slurm_a_run_handed_to_it_is_unknown(tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    handed(tmp_path, "7")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert (known(tmp_path).error or "").startswith("SLURM cannot be asked on this machine about its job 7.")


def test_a_run_handed_to_a_process_of_another_machine_is_unknown(tmp_path: Path) -> None:
    record(tmp_path, Submission("local", "mini", {"": ["a"]}, ELSEWHERE))
    assert state(tmp_path) == "unknown"
    assert "process 1234 on host another-host" in (known(tmp_path).error or "")


# --- holders elsewhere


def held_elsewhere(results: Path, silent_s: float) -> None:
    """A process on another host holds run `a` and was last heard of so long ago, by file times."""
    path = RunFiles(results, "a").lease
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = replace(Holder.current(), process=ELSEWHERE)
    path.write_bytes(holder.to_json())
    beat = path.with_name(f"{path.name}.beat")
    beat.write_text(f"{holder.uuid} {0:012d}\n")
    os.utime(beat, (time.time() - silent_s,) * 2)


@pytest.mark.fault(
    "The host of a run dies, and only its files are left.",
    "The run is unknown, and it is said when it was last heard of and where; who waits for it takes it over.",
)
def test_of_a_holder_elsewhere_it_is_said_when_it_was_last_heard_of(tmp_path: Path) -> None:
    held_elsewhere(tmp_path, 12 * 60)
    found = known(tmp_path)
    assert found.status == "unknown"
    assert (found.error or "").startswith("Last heard of 12 minutes ago: process 1234 on host another-host.")
    held_elsewhere(tmp_path, 5)
    assert state(tmp_path) == "running"


def test_a_beat_that_is_seen_counts_more_than_its_files_time(tmp_path: Path) -> None:
    held_elsewhere(tmp_path, 3600)
    survey, beat = Survey(tmp_path, ["a"]), RunFiles(tmp_path, "a").lease.with_name("a.lease.beat")
    assert survey.states()["a"].status == "unknown"
    beat.write_text(beat.read_text().replace("0\n", "1\n"))
    os.utime(beat, (0, 0))
    assert survey.states()["a"].status == "running"


def test_a_run_whose_holder_was_silent_for_long_enough_waits_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE_S", 0.1)
    held_elsewhere(tmp_path, 3600)
    survey, states = Survey(tmp_path, ["a"]), []
    while not states or states[-1] == "unknown":  # a holder that is never taken for dead hangs here
        states.append(survey.states()["a"].status)
        time.sleep(0.01)
    assert states[-1] == "waiting"
    assert len(states) > lease.POLLS


# --- what is read


def test_later_submissions_follow_earlier_ones_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path, Submission("slurm", "mini", {"6": ["a"]}))
    path.rename(path.with_name("01764450000000000000-1f2e3d4c.json"))  # as an earlier version named it
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    handed(tmp_path, "7", "8")
    assert [list(one.jobs) for one in submissions(tmp_path)] == [["6"], ["7"], ["8"]]


def test_submissions_of_one_moment_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(
            pool.map(lambda number: record(tmp_path, Submission("local", "mini", {"": [str(number)]})), range(40))
        )
    assert len(set(paths)) == len(submissions(tmp_path)) == 40


BROKEN: list[Any] = [None, 7, [], {}, "a" * 10, {"kind": 7}, {"jobs": 7}, {"jobs": {"7": 7}}, {"process": [1]}]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_submissions_and_progress_of_wrong_types_are_no_traceback(tmp_path: Path, content: Any) -> None:
    handed(tmp_path, "7")
    path = record(tmp_path, Submission("slurm", "mini", {"8": ["a"]}))
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, **content} if content and isinstance(content, dict) else content))
    assert [one.jobs for one in submissions(tmp_path)] == [{"7": ["a"]}]
    files = RunFiles(tmp_path, "a")
    files.progress.write_text(json.dumps(content))
    files.lease.write_text(json.dumps(content))
    assert known(tmp_path).status == "running"


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


def test_status_counts_and_names_what_is_unknown(sweep: Path, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(sweep, Submission("slurm", "mini", {"7": ["c"]}))
    path.write_text(path.read_text().replace('"alpha"', '"beta"'))
    status.main(["mini", "--results", str(sweep)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("c  listops · variant c · seed 0: unknown, Its job 7 is of the cluster beta.")
    assert lines[2] == "Three runs (laptop): 3 runs: 1 done, 1 out of memory, 1 unknown"


def test_status_lists_every_run_or_every_sweep_when_asked_to(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status.main(["mini", "--all", "--results", str(sweep)])
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert status.main(["--results", str(sweep)]) == 1
    assert capsys.readouterr().out == "mini (laptop): 3 runs: 1 done, 1 out of memory, 1 waiting\n"


@pytest.mark.fault(
    "The manifest of a sweep is damaged, of newer code, or cannot be read now.",
    "Status names it and tells of the other sweeps.",
)
def test_a_manifest_that_cannot_be_read_hides_no_other(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep / "sweeps" / "cut.json").write_text("{")
    (sweep / "sweeps" / "newer.json").write_text('{"runs": [], "of_later": 1}')
    (sweep / "sweeps" / "shut.json").mkdir()  # reading it is an error of the system
    status.main(["--results", str(sweep)])
    told = capsys.readouterr()
    assert told.out.startswith("mini (laptop): ")
    cut, newer, shut = told.err.splitlines()
    assert f"{sweep / 'sweeps' / 'cut.json'} is damaged, or of newer code (" in cut
    assert "of_later" in newer
    assert f"{sweep / 'sweeps' / 'shut.json'} cannot be read now (Is a directory)" in shut


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
    say("squeue", "; ".join([listed("7_0", "RUNNING"), listed("7_1", "FAILED"), listed("8", "RUNNING")]))
    say("scancel", f'echo "$@" > {tmp_path}/cancelled')
    assert cancel.main(["mini", "--results", str(sweep)]) == 0
    assert (tmp_path / "cancelled").read_text() == "7_0\n"
    assert capsys.readouterr().out == "Cancelled: SLURM jobs 1, local sweeps 0.\n"


def test_cancel_ends_no_job_that_took_over_an_id(
    sweep: Path, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(sweep, Submission("slurm", "mini", {"7": ["c"]}))
    say("squeue", listed("7", "RUNNING", name="training"))
    say("sacct", "exit 0")
    say("scancel", f"touch {tmp_path}/cancelled")
    assert cancel.main(["mini", "--results", str(sweep)]) == 1
    assert "SLURM calls job 7 training" in capsys.readouterr().out
    assert not (tmp_path / "cancelled").exists()


def test_cancel_says_which_jobs_it_cannot_end(
    sweep: Path, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handed_by(sweep, "7", user="somebody")
    say("squeue", listed("7", "RUNNING", "somebody"))
    assert cancel.main(["mini", "--results", str(sweep)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "Cancelled: SLURM jobs 0, local sweeps 0.",
        "1 jobs or local sweeps are another user's, who alone can end them, or an administrator.",
    ]
    say("squeue", "exit 1")
    assert cancel.main(["mini", "--results", str(sweep)]) == 1
    assert "nothing can be said here. SLURM does not answer about its job 7." in capsys.readouterr().out


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
