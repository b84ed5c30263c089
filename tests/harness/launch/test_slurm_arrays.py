"""What SLURM is asked for: the batch files that sbatch gets, kept by a stand-in for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness.config.compose import Composer, check_resources
from spike_ssm.harness.config.settings import LauncherSettings
from spike_ssm.harness.launch.slurm_arrays import submit
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.worker import work
from spike_ssm.harness.state.submissions import submissions
from spike_ssm.results.errors import UserError

SBATCH = """
number=$(($(ls {0} | wc -l) + 100))
cp "$1" {0}/$number
echo Submitted batch job $number
"""


@pytest.fixture
def batch_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the stand-in puts what it gets. The cluster's arrays have three tasks at the most."""
    kept = tmp_path / "kept"
    kept.mkdir()
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, script in {"sbatch": SBATCH.format(kept), "srun": "", "scontrol": "echo 'MaxArraySize = 3'"}.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    return kept


@pytest.fixture
def job(composer: Composer, tmp_path: Path) -> Callable[..., Job]:
    def make(**overrides: Any) -> Job:
        settings = composer.settings(
            {"launcher": "slurm", **{key.replace("__", "."): v for key, v in overrides.items()}}
        )
        return Job(settings.run_id(), settings, tmp_path / "results", machine_shared=True)

    return make


def options(path: Path) -> dict[str, str]:
    """The #SBATCH options of a batch file."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", path.read_text(), re.MULTILINE))


def test_runs_that_need_the_same_are_one_array_split_where_it_grows_too_long(
    batch_files: Path, job: Callable[..., Job]
) -> None:
    jobs = [job(seed=seed, launcher__runs_per_job=2, launcher__max_parallel=8) for seed in range(7)]
    submit(jobs, "mini", work)
    assert [options(path).get("array") for path in sorted(batch_files.iterdir())] == ["0-2%3", None]
    held = [one.jobs for one in submissions(jobs[0].results)]
    ids = [each.run_id for each in jobs]
    assert held == [{"100_0": ids[:2], "100_1": ids[2:4], "100_2": ids[4:6]}, {"101": ids[6:]}]


def test_runs_that_need_more_are_an_array_of_their_own(batch_files: Path, job: Callable[..., Job]) -> None:
    submit(
        [job(task="pathx", scale="paper"), job(task="listops"), job(task="pathx", scale="paper", seed=1)], "mini", work
    )
    large, small = (options(path) for path in sorted(batch_files.iterdir()))
    assert (large["array"], large["gpus-per-node"], large["mem"], large["time"]) == ("0-1%2", "4", "128GB", "2880")
    assert (large["ntasks-per-node"], large["cpus-per-task"]) == ("4", "4"), "four processes, each with its own"
    assert ("gpus-per-node" in small, small["mem"], small["time"], small["cpus-per-task"]) == (False, "8GB", "120", "1")


def test_everything_that_the_launcher_says_is_asked_for(batch_files: Path, job: Callable[..., Job]) -> None:
    words = {"partition": "long", "account": "mine", "qos": "high", "constraint": "h200", "grace_seconds": 300}
    submit(
        [job(**{f"launcher__{key}": value for key, value in words.items()}, launcher__timeout_minutes=90.5)],
        "mini",
        work,
    )
    (path,) = batch_files.iterdir()
    said = options(path)
    assert {key: said[key] for key in ("partition", "account", "qos", "constraint")} == {
        key: words[key] for key in ("partition", "account", "qos", "constraint")
    }
    assert (said["signal"], said["time"], said["requeue"]) == ("USR2@300", "91", "")


def test_further_options_go_to_sbatch_as_they_are(batch_files: Path, composer: Composer, tmp_path: Path) -> None:
    settings = composer.settings({"launcher": "slurm"})
    settings.launcher.extra = {"exclude": "node7", "mail-type": "FAIL"}
    submit([Job("a", settings, tmp_path / "results", machine_shared=True)], "mini", work)
    (path,) = batch_files.iterdir()
    assert (options(path)["exclude"], options(path)["mail-type"]) == ("node7", "FAIL")


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"chess_gpu": {"gpus": 1}}, "launcher.resources.chess_gpu does not exist; name a SCALE or a TASK_SCALE"),
        ({"gpu": {"coffee": 1}}, "launcher.resources.gpu: 'coffee' does not exist; choose one of processes, threads"),
    ],
)
def test_resources_that_do_not_exist_are_refused_with_those_that_do(
    composer: Composer, resources: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check_resources(LauncherSettings(resources=resources))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"launcher": "debug"}, "launcher=debug runs in this process, so launcher.processes=2 cannot be"),
        ({"launcher": "slurm"}, "launcher.runs_per_job=4 bundles short runs, launcher.processes=2 divides long ones"),
        ({"launcher": "local", "optim.batch_size": 1}, "launcher.processes=2 cannot share a batch of 1"),
    ],
)
def test_processes_that_cannot_share_a_run_are_refused(
    composer: Composer, words: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        composer.settings({**words, "launcher.processes": 2})


def test_a_command_line_goes_before_what_a_task_needs(composer: Composer) -> None:
    words = {"launcher": "slurm", "task": "pathx", "scale": "paper"}
    assert composer.settings(words).launcher.gpus == 1
    assert composer.settings({**words, "launcher.gpus": 2}).launcher.gpus == 2
    with pytest.raises(UserError, match=re.escape("launcher.gpus=many")):
        composer.settings({**words, "launcher.gpus": "many"})
