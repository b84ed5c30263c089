"""What a cluster does to jobs: after each fault the state is right, nothing is lost, and the sweep completes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from spike_ssm.harness import cancel, retry
from spike_ssm.harness.system import slurm
from spike_ssm.harness.system.environment import worker_environment
from spike_ssm.results.reading import read_run, run_path
from tests.slurm.site import Site, slurm_command, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

WALL_CLOCK = {
    *("started_at", "duration_s", "peak_memory_mib", "train_samples_per_s", "train_tokens_per_s", "train_ms_per_step"),
    *("test_samples_per_s", "test_tokens_per_s", "environment", "machine_shared", "seconds"),
}
"""What may differ between two executions of a run."""


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """What must not differ between two executions of a run."""
    kept = {key: value for key, value in row.items() if key not in WALL_CLOCK}
    epochs = [{key: value for key, value in epoch.items() if key not in WALL_CLOCK} for epoch in row["epochs"]]
    return {**kept, "epochs": epochs}


def node_is_up(node: str) -> bool:
    """Whether the node takes jobs; one that does not is told to. It may come back by itself the same moment."""
    state = slurm_command("sinfo", "-h", "-n", node, "-o", "%T").split()[0]
    if state.startswith(("down", "drain")):
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, capture_output=True)
    return state in ("idle", "mixed", "allocated", "completing")


def retried(site: Site, *words: str) -> int:
    """`python -m harness.retry mini` in the site's results."""
    return retry.main(["mini", "--results", str(site.results), "estimate=false", *words])


@pytest.fixture(scope="module")
def undisturbed(new_site: Callable[..., Site]) -> dict[int, tuple[Site, str]]:
    """Runs to which nothing happens, by the number of processes that share them."""
    sites = {processes: new_site() for processes in (1, 2)}
    return {processes: (site, site.submit(f"launcher.processes={processes}")) for processes, site in sites.items()}


@pytest.fixture(scope="module", autouse=True)
def limited(new_site: Callable[..., Site], undisturbed: object) -> Iterator[tuple[Site, str]]:
    """A run that meets its time limit while the other tests run, long enough to have begun beside others.

    It is suspended until SLURM asks it to stop: so it costs no time, and no machine is too fast for the limit.
    """
    site = new_site()
    run = site.submit("launcher.timeout_minutes=3", "launcher.requeues=0")
    with site.suspended(run):
        yield site, run


@pytest.mark.fault(
    "scancel ends a waiting or running job.",
    "The run shows as cancelled, its checkpoint is kept, no requeue brings it back, and retry completes it.",
)
def test_a_cancelled_run_is_cancelled_until_it_is_retried(site: Site) -> None:
    run = site.submit()
    with site.suspended(run):
        assert cancel.main(["mini", "--results", str(site.results)]) == 0
    state = site.wait(run, lambda state: state.is_finished)
    assert (state.status, state.recorded) == ("cancelled", False)
    assert site.sweep("collect=true") == 1
    assert read_run(run_path(site.results, run))["status"] == "cancelled"
    assert retried(site) == 0
    assert site.done(run)["test_accuracy"] is not None
    assert site.log(run).count("begins") == 2


@pytest.mark.fault(
    "There is no accounting: sacct fails.",
    "squeue and the runs' files tell the states.",
)
def test_without_accounting_states_are_right(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "sacct"
    broken.write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    run = site.submit()
    with site.suspended(run):
        slurm_command("scancel", *site.jobs())
    assert site.wait(run, lambda state: state.is_finished).status == "cancelled"
    assert retried(site) == 0
    site.done(run)


@pytest.mark.fault(
    "The job's process is killed while a terminal waits for the sweep.",
    "The sweep ends and reports the run as failed, with SLURM's word for it; retry goes on from the last checkpoint.",
)
def test_a_sweep_that_waits_records_the_run_of_a_killed_process(site: Site) -> None:
    command = [sys.executable, "-m", "spike_ssm.harness.sweep", *site.words("launcher.checkpoint_minutes=0")]
    with worker_environment(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        wait_until((site.results / "sweeps" / "mini.json").exists, "the sweep to be submitted")
        (run,) = site.runs()
        with site.suspended(run, 0.2) as process:
            process.kill()
        output, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == 1
    assert "0 runs done, 1 failed" in output
    row = read_run(run_path(site.results, run))
    assert row["status"] == "failed"
    assert "SLURM says FAILED" in row["error"]
    assert retried(site) == 0
    assert site.done(run)["best_epoch"] >= 1
    assert site.log(run).count("begins") == 2


@pytest.mark.fault(
    "The job meets its time limit.",
    "It saves a checkpoint and goes back to the queue, launcher.requeues times; then the run has timed out, and retry "
    "with a higher limit completes it from there.",
)
def test_a_run_at_its_time_limit_goes_on_as_often_as_allowed(limited: tuple[Site, str]) -> None:
    site, run = limited
    site.wait(run, lambda state: state.is_finished)
    row = read_run(run_path(site.results, run))
    assert row["status"] == "timed out"
    assert "launcher.timeout_minutes" in row["error"]
    assert retried(site, "launcher.timeout_minutes=60") == 0
    row = site.done(run)
    assert len(row["epochs"]) == 20
    assert site.log(run).count("begins") == 2


@pytest.mark.fault(
    "The SLURM controller is away and comes back.",
    "Running jobs go on; states come from the runs' files, and nothing is recorded as failed meanwhile.",
)
def test_a_controller_that_is_away_is_no_failure(site: Site, cluster: Path) -> None:
    run = site.submit()
    pid = int((cluster / "run" / "slurmctld.pid").read_text())
    with site.suspended(run):
        os.kill(pid, signal.SIGTERM)
        psutil.Process(pid).wait(30)
        try:
            assert slurm.job_states(site.jobs()) is None
            assert site.state(run).status == "running"
        finally:
            subprocess.run(["slurmctld"], check=True)
    wait_until(lambda: slurm.job_states(site.jobs()) is not None, "the controller")
    site.done(run)


@pytest.mark.fault(
    "sbatch refuses the job (a partition that does not exist).",
    "One sentence says what SLURM said and where to mend it; nothing counts as submitted.",
)
def test_a_partition_that_does_not_exist_is_refused_in_one_sentence(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.sweep("wait=false", "launcher.partition=moon") == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "SLURM did not take the jobs" in error
    assert "partition" in error
    assert "sweeps/launcher/slurm.yaml" in error
    assert [site.state(run).status for run in site.runs()] == ["waiting"]


@pytest.mark.fault(
    "The same sweep is started in two terminals, on SLURM and locally.",
    "Each run is computed once.",
)
def test_two_sweeps_at_once_compute_each_run_once(new_site: Callable[..., Site]) -> None:
    site = new_site(seeds=(0, 1, 2))
    short = ("optim.epochs=4",)
    assert site.sweep("wait=false", *short) == 0
    assert site.sweep("launcher=local", "launcher.workers=2", "launcher.memory_gb=4", *short) == 0
    for run in site.runs():
        site.done(run)
        assert site.log(run).count("begins") == 1


@pytest.mark.fault(
    "A job with more right to the node preempts the run's job.",
    "It saves a checkpoint, waits in the queue as preempted, and goes on in the middle; its result is bit for bit that "
    "of an undisturbed run.",
)
def test_a_preempted_run_resumes_and_has_the_result_of_an_undisturbed_one(
    new_site: Callable[..., Site], undisturbed: dict[int, tuple[Site, str]]
) -> None:
    """Whether one process trains it or two, each a task of the job."""
    expected = {processes: numbers(site.done(run)) for processes, (site, run) in undisturbed.items()}
    sites = {processes: new_site() for processes in undisturbed}
    runs = {processes: site.submit(f"launcher.processes={processes}") for processes, site in sites.items()}
    cpus = slurm_command("sinfo", "-h", "-o", "%c").split()[0]
    with ExitStack() as stack:
        for processes, site in sites.items():
            stack.enter_context(site.suspended(runs[processes]))
        urgent = slurm_command(
            "sbatch", "--parsable", "-p", "urgent", "-c", cpus, "-o", "/dev/null", "--wrap", "sleep 3"
        )
        for processes, site in sites.items():
            site.wait(runs[processes], lambda state: state.status == "preempted")
    assert wait_until(lambda: slurm.job_states([urgent.strip()]), "the urgent job")
    for processes, site in sites.items():
        assert site.begun(runs[processes], 0.0) > 0.03, "it began anew"
        row = site.done(runs[processes])
        assert json.loads(row["environment"])["processes"] == processes
        assert site.log(runs[processes]).count("begins") == 2
        assert numbers(row) == expected[processes]


@pytest.mark.fault(
    "The node goes down with the job, and comes back.",
    "SLURM sends the job back to the queue; the run goes on from its last checkpoint.",
)
def test_a_run_whose_node_went_down_goes_on_when_it_is_back(site: Site) -> None:
    run = site.submit("launcher.checkpoint_minutes=0")
    node = slurm_command("sinfo", "-h", "-o", "%n").split()[0]
    with site.suspended(run, 0.2):
        slurm_command("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        site.wait(run, lambda state: state.status == "preempted")
    finally:
        wait_until(lambda: node_is_up(node), "the node")
    assert site.begun(run, 0.0) > 0.15, "it began anew"
    site.done(run)
