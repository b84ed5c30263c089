"""Executing runs: once each, whoever asks, and whatever happens to the processes; and what people see of it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from spike_ssm.harness import cancel, retry, status
from spike_ssm.harness.config.settings import LauncherSettings, Settings
from spike_ssm.harness.launch import launcher
from spike_ssm.harness.launch.display import Display
from spike_ssm.harness.launch.launcher import launch, wait
from spike_ssm.harness.launch.local_pool import worker_count
from spike_ssm.harness.launch.partial_page import PartialPage
from spike_ssm.harness.launch.time_left import Kind, TimeLeft
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.failure import record_failure
from spike_ssm.harness.run.job import Execution, Job
from spike_ssm.harness.run.worker import EXECUTION
from spike_ssm.harness.state import lease, survey
from spike_ssm.harness.state.lease import Holder, Lease
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.state.submissions import Submission, record, submissions
from spike_ssm.harness.state.survey import RunState, Survey, look
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.slurm import automatic_launcher
from spike_ssm.results.process import Process
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.store import prepare_folder, read_manifest, write_json, write_run
from tests.harness.waiting import PATIENCE_S, wait_for


def worker_of(sweep: subprocess.Popen[str]) -> psutil.Process:
    """The one worker of a sweep that runs."""
    processes = psutil.Process(sweep.pid).children(recursive=True)
    (worker,) = [process for process in processes if "submitit.core._submit" in process.cmdline()]
    return worker


def progress(share: float = 0.25, **changes: Any) -> dict[str, Any]:
    """What a running run says of itself."""
    nothing_yet = {"validation_accuracy": None, "standing": None}
    return {"epoch": 1, "epochs": 4, "done": share, "loss": 2.1, **nothing_yet, **changes}


@pytest.fixture
def job(tiny: Callable[..., Settings], cache: Path, tmp_path: Path) -> Job:
    settings = tiny(f"paths.cache={cache}", "launcher=local", "launcher.workers=1")
    return Job(settings.run_id(), settings, prepare_folder(tmp_path / "runs"), machine_shared=False)


# --- one run


def test_a_run_is_executed_once_and_then_has_a_result(job: Job) -> None:
    assert look(job.results, job.run_id) == RunState("waiting")
    assert execute(job, "me")
    row = read_run(run_path(job.results, job.run_id))
    assert look(job.results, job.run_id) == RunState(
        "done", measure=f"test accuracy {row['test_accuracy']:.1%}", recorded=True
    )
    assert not job.files.progress.exists()
    before = run_path(job.results, job.run_id).stat()
    assert not execute(job, "another")
    assert run_path(job.results, job.run_id).stat() == before


def test_a_run_that_another_process_is_at_is_left_alone(job: Job) -> None:
    path = job.files.lease
    path.parent.mkdir(parents=True)
    with Lease.acquire(path) or pytest.fail("nobody else holds it"):
        assert not execute(job, "me")
        assert look(job.results, job.run_id).status == "running"
    assert look(job.results, job.run_id).status == "waiting"
    assert execute(job, "me")


def test_a_run_that_fails_keeps_its_sentence_and_its_traceback(job: Job) -> None:
    job.settings.optim.lr = 1e30
    assert execute(job, "me")
    row = read_run(run_path(job.results, job.run_id))
    assert (row["status"], row["test_accuracy"]) == ("failed", None)
    assert row["error"].startswith("Training diverged")
    assert "Traceback" in row["traceback"]
    assert look(job.results, job.run_id) == RunState("failed", error=row["error"], recorded=True)


def test_an_error_that_nobody_foresaw_fails_its_run_under_its_own_name(job: Job) -> None:
    job.settings.optim.batch_size = None  # type: ignore[assignment]
    unforeseen = replace(job, run_id=job.settings.run_id())
    assert execute(unforeseen, "me")
    found = look(job.results, unforeseen.run_id)
    assert (found.status, found.recorded) == ("failed", True)
    assert str(found.error).startswith("TypeError: ")


def test_a_failure_can_be_stored_for_a_run_that_could_not(job: Job) -> None:
    write_json(job.files.progress, {"worker": "1", **progress()})
    record_failure(job, "out of memory", "The machine went away.")
    assert look(job.results, job.run_id) == RunState("out of memory", error="The machine went away.", recorded=True)
    row = read_run(run_path(job.results, job.run_id))
    assert (row["id"], row["task"], row["seed"]) == (job.run_id, "listops", 0)
    assert not job.files.progress.exists()


def test_a_running_run_shows_its_worker_and_its_progress(job: Job) -> None:
    with Lease.acquire(job.files.lease) or pytest.fail("nobody else holds it"):
        write_json(job.files.progress, {"worker": "17", **progress()})
        assert look(job.results, job.run_id) == RunState("running", worker="17", progress=progress())


def test_a_damaged_result_is_not_taken_for_anything_else(job: Job) -> None:
    execute(job, "me")
    path = run_path(job.results, job.run_id)
    path.write_bytes(path.read_bytes()[:100])
    state = look(job.results, job.run_id)
    assert (state.status, state.recorded) == ("failed", True)
    assert "is damaged" in (state.error or "")


# --- launchers


def test_auto_takes_slurm_where_its_commands_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in ("scontrol", "sbatch", "srun"):
        assert automatic_launcher() == "local"
        (tmp_path / command).write_text("#!/bin/sh\n")
        (tmp_path / command).chmod(0o755)
    assert automatic_launcher() == "slurm"
    without_cluster = "echo 'scontrol: fatal: Could not establish a configuration source' >&2; exit 1"
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{without_cluster}\n")
    assert automatic_launcher() == "local", "the commands are there, but no cluster"


def test_slurm_without_sbatch_is_an_error_that_names_the_other_way(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = place.sweep("launcher=slurm")
    assert outcome.status == 1
    assert "lacks SLURM's sbatch or srun. Use launcher=local." in outcome.err[-1]


def test_there_are_never_more_workers_than_runs_nor_fewer_than_one() -> None:
    assert worker_count(LauncherSettings(workers=8), 3) == 3
    assert worker_count(LauncherSettings(workers=2), 3) == 2
    assert worker_count(LauncherSettings(threads=4096), 3) == 1
    assert worker_count(LauncherSettings(), 0) == 1


@pytest.mark.slow
def test_a_run_left_behind_by_a_process_that_died_with_its_sweep_is_taken_up_again(job: Job) -> None:
    """Its lease and its progress still lie there, but their process is no more."""
    path = job.files.lease
    path.parent.mkdir(parents=True)
    words = (
        "import os, pathlib, sys",
        "from spike_ssm.harness.state.lease import Lease",
        "Lease.acquire(pathlib.Path(sys.argv[1]))",
    )
    subprocess.run([sys.executable, "-c", "; ".join([*words, "os._exit(0)"]), str(path)], check=True)
    write_json(job.files.progress, {"worker": "17", **progress()})
    assert path.exists()
    assert look(job.results, job.run_id).status == "waiting"
    deadline = time.monotonic() + PATIENCE_S

    def watch(states: dict[str, RunState]) -> None:
        assert time.monotonic() < deadline, "the sweep waits for a process that is no more"

    launch([job], "mini", watch, EXECUTION)
    assert look(job.results, job.run_id).status == "done"


# --- processes that end, and processes that compete


@pytest.mark.slow
def test_a_killed_worker_costs_its_run_and_no_other(place: Any) -> None:
    sweep = place.start("launcher=local", "launcher.workers=1", "optim.epochs=10")
    (state,) = wait_for(lambda: list(place.results.glob("state/*.json")), "the first run to begin")
    worker_of(sweep).kill()
    out, err = sweep.communicate(timeout=PATIENCE_S)
    assert sweep.returncode == 1
    rows = place.rows()
    victim = rows.pop(state.stem)
    assert [row["status"] for row in rows.values()] == ["done"]
    assert victim["status"] == "failed"
    assert victim["error"].startswith("The process of this run ended before the run did")
    assert "retry=true" in victim["error"]
    assert err.splitlines() == [f"Failed: listops · 0.5 · seed 0. {victim['error']}"]
    assert Path(out.splitlines()[-1]).is_file()

    outcome = place.sweep("optim.epochs=10", "retry=true")
    assert outcome.status == 0
    assert outcome.out[0] == "2 runs: 1 finished earlier, 1 to run (debug, 1 at a time)."
    assert {row["status"] for row in place.rows().values()} == {"done"}


@pytest.mark.slow
def test_two_sweeps_at_the_same_time_execute_each_run_once(place: Any) -> None:
    words = ("launcher=local", "launcher.workers=1", "optim.epochs=10", "seed=0,1")
    sweeps = [place.start(*words) for _ in range(2)]
    written: dict[str, set[tuple[int, int]]] = {}
    deadline = time.monotonic() + PATIENCE_S
    while any(sweep.poll() is None for sweep in sweeps):
        assert time.monotonic() < deadline
        for path in place.results.glob("rows/*.parquet"):
            stat = path.stat()
            written.setdefault(path.stem, set()).add((stat.st_ino, stat.st_mtime_ns))
        time.sleep(0.005)
    pages = {sweep.communicate()[0].splitlines()[-1] for sweep in sweeps}
    assert [sweep.returncode for sweep in sweeps] == [0, 0]
    assert pages == {str(place.reports / "mini.html")}
    assert {run_id: len(versions) for run_id, versions in written.items()} == dict.fromkeys(place.rows(), 1)
    assert len(written) == 4
    assert {row["status"] for row in place.rows().values()} == {"done"}


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.06, 0.15])
def test_waiting_for_runs_keeps_a_core_busy_for_a_twentieth_of_the_time_at_most(seconds: float) -> None:
    assert seconds / (seconds + launcher.rest(seconds)) < 0.05
    assert launcher.rest(seconds) >= launcher.SECONDS_BETWEEN_SURVEYS
    assert launcher.rest(1000 * seconds) <= launcher.LONGEST_REST_S


# --- runs that somebody else holds, or had


def leave_lease(job: Job) -> None:
    """A process on another host holds the run, and is not heard of."""
    elsewhere = Process("another-host", "another-boot", "1", 1234, "5678")
    job.files.lease.parent.mkdir(parents=True, exist_ok=True)
    job.files.lease.write_bytes(replace(Holder.current(), process=elsewhere).to_json())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who wait find a holder dead that has been silent for 0.2 s."""
    monkeypatch.setattr(lease, "PATIENCE_S", 0.2)
    monkeypatch.setattr(launcher, "SECONDS_BETWEEN_SURVEYS", 0.02)


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a command on the PATH, where there is a cluster `alpha` without accounting, whose queue is empty."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(command: str, script: str) -> None:
        (folder / command).write_text(f"#!/bin/sh\n{script}\n")
        (folder / command).chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CLUSTER_NAME", raising=False)
    for command, script in {
        "sacct": "exit 1",
        "squeue": "",
        "srun": "",
        "scontrol": "echo ClusterName = alpha",
    }.items():
        put(command, script)
    return put


@pytest.mark.usefixtures("impatient")
@pytest.mark.fault(
    "A run of `harness.train` or `launcher=debug` is held on a host that died.",
    "It is said who holds it; the command waits for it to be heard of, then takes the run over.",
)
def test_a_run_held_by_a_dead_host_is_waited_for_and_taken_over(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.settings.launcher.kind = "debug"
    leave_lease(job)
    seen: list[str] = []
    launch([job], "mini", lambda states: seen.append(states[job.run_id].status), EXECUTION)
    assert (seen[0], seen[-1]) == ("running", "done")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "is held by" in line]
    assert line.startswith(f"Run {job.run_id} is held by process 1234 on host another-host. This command waits for")


def test_a_run_that_another_process_finishes_is_waited_for(job: Job) -> None:
    job.settings.launcher.kind = "debug"
    job.files.lease.parent.mkdir(parents=True)
    other = Lease.acquire(job.files.lease) or pytest.fail("nobody else holds it")

    def finish(states: dict[str, RunState]) -> None:
        if states[job.run_id].status == "running":
            write_run(job.results, {**job.identity(), "status": "done"})
            other.release()

    launch([job], "mini", finish, Execution(EXECUTION.work, lambda *_: pytest.fail("it was computed twice")))
    assert look(job.results, job.run_id).status == "done"


@pytest.mark.usefixtures("impatient")
def test_a_run_whose_host_died_is_submitted_again_while_the_sweep_waits(
    job: Job, tmp_path: Path, say: Callable[[str, str], None]
) -> None:
    say("sbatch", f"cp $1 {tmp_path}/submitted; echo Submitted batch job 7")
    job.settings.launcher.kind = "slurm"
    leave_lease(job)

    def until_submitted(_: dict[str, RunState]) -> None:
        if (tmp_path / "submitted").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # a sweep that submits nothing hangs here
        launch([job], "mini", until_submitted, EXECUTION)


@pytest.mark.fault(
    "Another user's job failed, and this user's command waits for its run or collects it.",
    "The failure is shown and never recorded.",
)
def test_a_failure_of_another_users_job_is_never_recorded(
    job: Job, say: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "SECONDS_OF_DOUBT", 0.0)
    say("squeue", "echo '7|FAILED|somebody|spike-ssm'")
    path = record(job.results, Submission("slurm", "mini", {"7": [job.run_id]}))
    path.write_text(path.read_text().replace(f'"{slurm.user()}"', '"somebody"'))
    seen: list[RunState] = []
    wait([job], Survey(job.results, [job.run_id]), lambda states: seen.append(states[job.run_id]))
    assert (seen[-1].status, seen[-1].error and seen[-1].error[:25]) == ("failed", "SLURM says FAILED of its ")
    assert not job.files.result.exists()


@pytest.mark.usefixtures("impatient")
def test_collect_finds_out_whether_a_silent_holder_lives(
    place: Any, say: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "SECONDS_OF_DOUBT", 0.0)
    say("sbatch", "echo Submitted batch job 7")
    words = ("launcher=slurm", "neuron.leak=0.5", "launcher.partition=short")
    assert place.sweep(*words, "wait=false").status == 0
    (run,) = read_manifest(place.results, "mini").runs
    files = RunFiles(place.results, run.id)
    elsewhere = Process("another-host", "another-boot", "1", 1234, "5678")
    files.lease.write_bytes(replace(Holder.current(), process=elsewhere).to_json())
    os.utime(files.lease, (0, 0))
    (submitted,) = submissions(place.results)
    say("squeue", f"echo '7|NODE_FAIL|{slurm.user()}|{submitted.name}'")
    outcome = place.sweep(*words, "collect=true")
    assert any("were not heard of lately" in line for line in outcome.out)
    assert place.rows()[run.id]["error"].startswith("SLURM says NODE_FAIL of its job 7.")


# --- faults of the machine


@pytest.mark.fault(
    "A run raises an error.",
    "Its result is a failure with sentence, traceback and the end of its log; the others go on; retry runs it again.",
)
def test_a_run_that_raises_fails_alone(place: Any) -> None:
    outcome = place.sweep("optim.lr=1e30")
    assert outcome.out[-2].startswith("0 runs done, 2 failed"), outcome.err
    for row in place.rows().values():
        assert row["status"] == "failed"
        assert "Traceback" in row["traceback"]
    assert place.sweep("optim.lr=1e30", "dry_run=true").out[-1] == "2 runs, 0 to run, 2 skipped."
    assert place.sweep("optim.lr=1e30", "dry_run=true", "retry=true").out[-1] == "2 runs, 2 to run, 0 skipped."


@pytest.mark.slow
@pytest.mark.fault(
    "A run hangs past its limit (`launcher.timeout_minutes`).",
    "Its worker is ended, the run has timed out, its checkpoint is kept, and retry with a higher limit completes it.",
)
def test_a_run_that_takes_too_long_is_ended_and_goes_on_when_retried(place: Any) -> None:
    words = ("launcher=local", "launcher.workers=1", "optim.epochs=40", "launcher.checkpoint_minutes=0")
    sweep = place.start(*words, "neuron.leak=0.5", "launcher.timeout_minutes=0.2")
    wait_for(lambda: list(place.results.glob("checkpoints/*/*.safetensors")), "the first checkpoint")
    worker_of(sweep).suspend()
    assert sweep.wait(PATIENCE_S) == 1
    (row,) = place.rows().values()
    assert row["status"] == "timed out"
    assert "launcher.timeout_minutes=0.2" in row["error"]
    assert list((place.results / "checkpoints" / row["id"]).glob("*.safetensors"))
    assert place.sweep(*words, "neuron.leak=0.5", "retry=true").status == 0
    (row,) = place.rows().values()
    assert (row["status"], len(row["epochs"])) == ("done", 40)


@pytest.mark.slow
@pytest.mark.fault(
    "A run fills the memory (`launcher.memory_gb`).",
    "The run is out of memory and says so; the machine and the other runs are unharmed.",
)
def test_a_run_that_fills_the_memory_is_out_of_memory(place: Any) -> None:
    large = ("model.channels=4096", "optim.batch_size=64", "task.max_length=400", "task.min_length=390")
    outcome = place.sweep("launcher=local", "launcher.workers=1", "launcher.memory_gb=2", "neuron.leak=0.5", *large)
    (row,) = place.rows().values()
    assert (outcome.status, row["status"]) == (1, "out of memory")
    assert "allocate" in row["error"]
    assert "Lower optim.batch_size (64) or set launcher.recompute_activations=true" in row["error"]


@pytest.mark.slow
def test_a_sweep_that_was_only_submitted_goes_on_by_itself(place: Any, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = place.sweep("launcher=local", "launcher.workers=1", "wait=false")
    assert outcome.status == 0
    assert outcome.out[-1].startswith("Submitted. See how it goes: python -m harness.status mini")
    wait_for(lambda: len(place.rows()) == 2, "both runs")
    assert status.main(["mini", "--results", str(place.results)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Two leaks (laptop): 2 runs: 2 done"
    assert list(place.results.rglob("*.pkl")) == [], "nothing that is executed lies where others may write"


@pytest.mark.slow
@pytest.mark.fault(
    "A local sweep is cancelled from another terminal.",
    "Its workers save a checkpoint and end; retry goes on from there.",
)
def test_a_local_sweep_can_be_cancelled_and_goes_on_when_retried(place: Any) -> None:
    long = ("launcher=local", "launcher.workers=1", "optim.epochs=160", "neuron.leak=0.5")
    sweep = place.start(*long)
    wait_for(lambda: list(place.results.glob("state/*.json")), "the run to begin")
    (run_id,) = [path.stem for path in place.results.glob("state/*.json")]
    wait_for(lambda: (look(place.results, run_id).progress or progress(0.0))["done"] > 0.005, "the training to begin")
    assert cancel.main(["mini", "--results", str(place.results)]) == 0
    assert sweep.wait(PATIENCE_S) == 128 + signal.SIGTERM
    assert look(place.results, run_id).status == "waiting"
    assert list((place.results / "checkpoints" / run_id).glob("*.safetensors"))
    assert retry.main(["mini", "--results", str(place.results), "estimate=false"]) == 0
    assert look(place.results, run_id).status == "done"


@pytest.mark.slow
@pytest.mark.fault(
    "The results folder is moved while a local sweep computes.",
    "Workers and sweep end; the sweep says so in a sentence, and no other folder appears in its place.",
)
def test_a_local_sweep_whose_results_folder_was_moved_ends_and_says_so(place: Any) -> None:
    sweep = place.start("launcher=local", "launcher.workers=1", "optim.epochs=3000", "launcher.checkpoint_minutes=0")
    wait_for(lambda: list(place.results.glob("checkpoints/*/*.safetensors")), "the first checkpoint")
    worker = worker_of(sweep)
    place.results.rename(place.results.with_name("moved"))
    _, err = sweep.communicate(timeout=PATIENCE_S)
    assert sweep.returncode == 1
    assert err.splitlines()[-1].startswith(f"Error: The results folder {place.results} was moved or removed"), err
    assert "Traceback" not in err
    wait_for(lambda: not worker.is_running(), "the worker to end")
    assert not place.results.exists()


@pytest.mark.fault(
    "The code changes between submission and start.",
    "The result says so, and names both versions.",
)
def test_a_run_of_changed_code_says_so(job: Job) -> None:
    assert execute(replace(job, code_version="0123456789ab"), "me")
    warning = read_run(run_path(job.results, job.run_id))["code_warning"]
    assert warning.startswith("The code changed between submission (0123456789ab) and start (")


# --- what people see

DONE = RunState("done", measure="test accuracy 25.0%")
STATES = [
    {"a": RunState("waiting"), "b": RunState("waiting"), "c": RunState("waiting")},
    {"a": RunState("running", "1", progress()), "b": RunState("waiting"), "c": RunState("waiting")},
    {"a": RunState("running", "1", progress(0.5)), "b": RunState("waiting"), "c": RunState("waiting")},
    {
        "a": DONE,
        "b": RunState("running", "1", progress()),
        "c": RunState("waiting"),
    },
    {
        "a": DONE,
        "b": RunState("failed", error="Bad [red] luck."),
        "c": RunState("waiting"),
    },
]
LABELS = {"a": "first run", "b": "second run", "c": "third run"}


def shown(
    states: list[dict[str, RunState]],
    page: PartialPage | None = None,
    learned: Callable[[str], str] = lambda _: "",
    **console: Any,
) -> str:
    """Everything that is printed while the runs go through `states`."""
    file = io.StringIO()
    left = TimeLeft({run_id: Kind("listops", run_id) for run_id in LABELS}, workers=1)
    with Display(LABELS, left, page, Console(file=file, width=120, **console), learned) as display:
        for each in states:
            display(each)
    return file.getvalue()


def test_without_a_terminal_every_event_is_one_plain_line() -> None:
    lines = shown(STATES).splitlines()
    assert lines[0] == "[0/3] first run: running"
    assert lines[1].startswith("[1/3] first run: done, test accuracy 25.0%, ")
    assert lines[2] == "[1/3] second run: running"
    assert lines[3] == "[2/3] second run: failed. Bad [red] luck.", "no markup in what others wrote"
    assert len(lines) == 4, "no line for a run that waits, none twice"
    assert "\x1b" not in "".join(lines)


def test_a_terminal_shows_where_the_page_is_and_a_run_that_has_not_told_how_far_it_is(tmp_path: Path) -> None:
    states = {**STATES[0], "a": RunState("running")}
    with PartialPage("mini", tmp_path, Path("html/mini.html"), [{"a"}], []) as page:
        text = shown([states], page, force_terminal=True)
    assert "Report: html/mini.html, first written after one seed of each variant" in text
    assert "first run" in text[text.rindex("validation accuracy") :]


def test_preempted_runs_are_told_from_waiting_ones() -> None:
    states = {**STATES[1], "b": RunState("preempted")}
    assert "0 done, 1 running, 1 waiting, 1 preempted, 0 failed" in shown([states], force_terminal=True)


def test_a_long_sentence_stays_on_its_line_without_a_terminal() -> None:
    error = "A very long sentence. " * 20
    lines = shown([{"a": RunState("failed", error=error), "b": RunState("waiting"), "c": RunState("waiting")}])
    assert lines.splitlines() == [f"[1/3] first run: failed. {error}"]


def test_the_time_left_follows_from_finished_runs_or_from_how_far_running_ones_are() -> None:
    assert "time left not known yet" in shown(STATES[:1], force_terminal=True)
    assert "less than a minute left" in shown(STATES[:3], force_terminal=True)
    assert "less than a minute left" in shown(STATES[:4])


@pytest.mark.parametrize(
    ("until", "summary", "row"),
    [
        (1, "0 done, 0 running, 3 waiting, 0 failed", None),
        (2, "0 done, 1 running, 2 waiting, 0 failed", ("first run", "1/4", "2.100")),
        (4, "1 done, 1 running, 1 waiting, 0 failed", ("second run", "1/4", "2.100")),
        (5, "1 done, 0 running, 1 waiting, 1 failed", None),
    ],
)
def test_a_terminal_shows_counts_and_the_running_runs(until: int, summary: str, row: tuple[str, ...] | None) -> None:
    text = shown(STATES[:until], force_terminal=True)
    assert summary in text
    assert "\x1b" in text
    table = text[text.rindex("validation accuracy") : text.rindex(summary)]
    assert all(cell in table for cell in row) if row else not any(label in table for label in LABELS.values())


def test_a_line_says_where_a_run_stands_as_often_as_that_changes() -> None:
    at = [progress(epoch=n, validation_accuracy=a, standing=stands) for n, a, stands in (
        (2, 0.1, "still at chance"), (3, 0.1, "still at chance"), (4, 0.551, "below the shortcut"),
    )]  # fmt: skip
    rest = {"b": RunState("waiting"), "c": RunState("waiting")}
    states = [{"a": RunState("running", "1", each), **rest} for each in at]
    assert shown(states).splitlines() == [
        "[0/3] first run: running",
        "first run: epoch 2/4, 10.0%, still at chance",
        "first run: epoch 4/4, 55.1%, below the shortcut",
    ]
    assert "below the shortcut" in shown(states, force_terminal=True)


def test_a_finished_run_says_where_it_stands() -> None:
    told = shown([STATES[3] | {"b": RunState("waiting")}], learned={"a": "still at chance"}.__getitem__)
    assert "first run: done, test accuracy 25.0%, still at chance, " in told
