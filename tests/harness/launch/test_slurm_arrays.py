"""What SLURM is asked for: the batch files that sbatch gets, kept by a stand-in for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from submitit.core.utils import DelayedSubmission

from spike_ssm.harness import retry
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer, check_resources
from spike_ssm.harness.config.settings import LauncherSettings
from spike_ssm.harness.launch.slurm_arrays import submit, submit_alone
from spike_ssm.harness.run import time_alone
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.worker import work
from spike_ssm.harness.state.submissions import submissions
from spike_ssm.results.errors import UserError
from spike_ssm.results.store import manifest_path, prepare_folder
from tests.harness.conftest import called

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
    (tmp_path / "bin").mkdir()
    for name, script in {"sbatch": SBATCH.format(kept), "srun": "", "scontrol": "echo 'MaxArraySize = 3'"}.items():
        command(kept, name, script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return kept


def command(batch_files: Path, name: str, script: str) -> None:
    """Put a stand-in for SLURM's command beside the others."""
    path = batch_files.parent / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def job(composer: Composer, tmp_path: Path) -> Callable[..., Job]:
    def make(**overrides: Any) -> Job:
        settings = composer.settings(
            {"launcher": "slurm", **{key.replace("__", "."): v for key, v in overrides.items()}}
        )
        return Job(settings.run_id(), settings, prepare_folder(tmp_path / "results"), machine_shared=True)

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


def test_variants_are_timed_in_one_job_that_has_a_node_to_itself_after_the_arrays(
    batch_files: Path, job: Callable[..., Job]
) -> None:
    jobs = [job(task="pathx", scale="paper", launcher__extra={"exclude": "node7"}), job(task="listops")]
    arrays = submit(jobs, "mini", work)
    timing = submit_alone(jobs, "mini", time_alone.work, 1.5, False, after=arrays)
    said = options(batch_files / timing.id)
    assert (said["dependency"], said["exclusive"], said["exclude"]) == ("afterany:100,afterany:101", "", "node7")
    assert (said["ntasks-per-node"], said["cpus-per-task"], said["gpus-per-node"]) == ("1", "4", "1"), "one process"
    assert said["mem"] == "128GB", "what four processes have together"
    assert "array" not in said
    assert submissions(jobs[0].results)[-1].jobs == {timing.id: []}, "so that harness.cancel finds it"


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


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["launcher.extra={exclude: node7, mail-type: FAIL, exclusive: true}"], id="together"),
        pytest.param(
            ["launcher.extra.exclude=node7", "launcher.extra.mail-type=FAIL", "launcher.extra.exclusive=true"],
            id="one-by-one",
        ),
        pytest.param(
            ["launcher.extra={exclude: node7, mail-type: ALL, exclusive: true}", "launcher.extra.mail-type=FAIL"],
            id="one-after-all",
        ),
    ],
)
def test_further_options_go_to_sbatch_as_they_are(batch_files: Path, job: Callable[..., Job], words: list[str]) -> None:
    submit([job(**parse_command_line(words).overrides)], "mini", work)
    (path,) = batch_files.iterdir()
    said = options(path)
    assert (said["exclude"], said["mail-type"], said["exclusive"]) == ("node7", "FAIL", "")


@pytest.mark.parametrize("value", ["node7", "[exclude]", "7"])
def test_further_options_are_a_mapping(composer: Composer, value: str) -> None:
    with pytest.raises(UserError, match=re.escape("must be a mapping, as launcher.extra='{KEY: VALUE}', or")):
        composer.settings(parse_command_line([f"launcher.extra={value}"]).overrides)


@pytest.mark.fault(
    "A manifest of somebody else's has a line break, or what a shell would run, in what SLURM is asked for.",
    "It is refused in a sentence before anything is submitted, by retry too.",
)
@pytest.mark.parametrize("field", ["partition", "account", "qos", "constraint", "extra.comment"])
@pytest.mark.parametrize(
    "value",
    [
        *(
            "a\ntouch canary",
            "a\rb",
            "a\u2028b",
            "a b",
            "a;b",
            "$(id)",
            "`id`",
            "a'b",
            'a"b',
            "a>b",
            "a\\b",
            "a#b",
            "-a",
        ),
        *("a\x1b[2J", "a\x00b"),
    ],
)
def test_words_that_a_shell_would_run_are_refused(composer: Composer, field: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"^launcher\.{re.escape(field)} must be of letters, digits and [^\n]+\.$"):
        composer.settings({"launcher": "slurm", f"launcher.{field}": value})


@pytest.mark.parametrize(
    "option", ["wrap", "output", "export", "get-user-env", "time", "account", "chdir", "array", "x\ny", "no-requeue"]
)
def test_options_that_run_programs_or_replace_what_is_set_are_refused(composer: Composer, option: str) -> None:
    with pytest.raises(UserError, match=r"^launcher\.extra cannot hold [^\n]+ it takes acctg-freq, begin, [^\n]+\.$"):
        composer.settings({"launcher": "slurm", f"launcher.extra.{option}": "a"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("partition", "gpu,gpu-long"), ("account", "project_1@site"), ("constraint", "[rack1|rack2]&nvme*2")),
        *(("extra.nodelist", "node[1-3,7]"), ("extra.begin", "now+1hour"), ("extra.gres", "gpu:a100:1")),
        *(("extra.mail-user", "me@example.org"), ("extra.dependency", "afterok:12")),
    ],
)
def test_words_that_clusters_have_are_taken(composer: Composer, field: str, value: str) -> None:
    composer.settings({"launcher": "slurm", f"launcher.{field}": value})


@pytest.mark.parametrize("account", ["mine\ntouch canary", "mine; touch canary"], ids=["line", "command"])
def test_retry_of_a_manifest_of_somebody_elses_submits_no_command(batch_files: Path, place: Any, account: str) -> None:
    assert place.sweep("launcher=slurm", "launcher.account=mine", "wait=false").status == 0
    submitted = list(batch_files.iterdir())
    path = manifest_path(place.results, "mini")
    content = json.loads(path.read_text())
    content["asked"]["overrides"]["launcher.account"] = account
    path.write_text(json.dumps(content))
    outcome = called(retry.main, ["mini", "--results", str(place.results), "wait=false", "estimate=false"])
    assert outcome.status == 1
    assert len(outcome.err) == 1
    assert list(batch_files.iterdir()) == submitted


def test_a_path_of_several_lines_never_reaches_a_batch_file(composer: Composer) -> None:
    with pytest.raises(UserError, match=r"^paths\.results must hold no line breaks"):
        composer.settings({"paths.results": "a\n#SBATCH --wrap=id"})
    with pytest.raises(UserError, match=r"must be one line"):
        parse_command_line(["launcher.account='a\nid'"])


# --- how many run at once


def kinds(job: Callable[..., Job], runs: int, most: int) -> list[Job]:
    """So many runs of each of three needs, of which `most` may run at once."""
    needs = [{"launcher__threads": threads} for threads in (1, 2, 3)]
    own = {"launcher__max_parallel": most, "launcher__runs_per_job": 1}
    return [job(seed=seed, **need, **own) for need in needs for seed in range(runs)]


def test_all_arrays_together_run_as_many_tasks_as_allowed(batch_files: Path, job: Callable[..., Job]) -> None:
    submit(kinds(job, runs=3, most=6), "mini", work)
    asked = [options(path) for path in sorted(batch_files.iterdir())]
    assert [each["array"] for each in asked] == ["0-2%2", "0-2%2", "0-2%2"]
    assert not any("dependency" in each for each in asked)


def test_where_there_are_more_arrays_than_that_they_wait_for_one_another(
    batch_files: Path, job: Callable[..., Job]
) -> None:
    submit(kinds(job, runs=2, most=2), "mini", work)
    asked = [options(path) for path in sorted(batch_files.iterdir())]
    assert [each["array"] for each in asked] == ["0-1%1", "0-1%1", "0-1%1"]
    assert [each.get("dependency") for each in asked] == [None, None, "afterany:100"]


def test_a_cluster_without_arrays_gets_a_job_for_each(batch_files: Path, job: Callable[..., Job]) -> None:
    command(batch_files, "scontrol", "echo 'MaxArraySize = 0'")
    jobs = [job(seed=seed, launcher__runs_per_job=1) for seed in range(3)]
    submit(jobs, "mini", work)
    assert ["array" in options(path) for path in batch_files.iterdir()] == [False] * 3
    assert [one.jobs for one in submissions(jobs[0].results)] == [
        {str(100 + number): [each.run_id]} for number, each in enumerate(jobs)
    ]


# --- what SLURM does not take


@pytest.mark.fault(
    "sbatch takes a job, but its answer cannot be understood, or it fails all the same.",
    "The job is found by its name and cancelled, a sentence says so, and nothing counts as submitted.",
)
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        pytest.param("echo Welcome to the cluster", 'Could not make sense of sbatch output "Welcome to', id="garbage"),
        pytest.param("echo sbatch: Socket timed out >&2; exit 1", "sbatch: Socket timed out", id="timed-out"),
    ],
)
def test_a_job_whose_number_is_not_known_does_not_stay(
    batch_files: Path, job: Callable[..., Job], answer: str, sentence: str
) -> None:
    command(batch_files, "sbatch", f'cp "$1" {batch_files}/4711; {answer}')
    named = f'name=$(sed -n "s/^#SBATCH --job-name=//p" {batch_files}/4711)'
    command(batch_files, "squeue", f'{named}; case "$*" in *"--name=$name "*) echo 4711; echo 4711;; esac')
    command(batch_files, "scancel", f'echo "$@" > {batch_files}/cancelled')
    lone = job()
    with pytest.raises(UserError, match=re.escape(sentence)) as refused:
        submit([lone], "mini", work)
    assert "Job 4711, which it took all the same, was cancelled." in str(refused.value)
    assert (batch_files / "cancelled").read_text() == "4711\n"
    assert submissions(lone.results) == []


@pytest.mark.fault(
    "sbatch takes a part of a sweep's arrays and refuses the next.",
    "The sentence says how many runs were taken and how to see and end them; their record is kept.",
)
def test_what_was_taken_before_a_refusal_is_said_and_kept(batch_files: Path, job: Callable[..., Job]) -> None:
    command(batch_files, "squeue", "")
    taking = (batch_files.parent / "bin" / "sbatch").read_text()
    full = f"if [ $(ls {batch_files} | wc -l) = 1 ]; then echo QOSMaxSubmitJobPerUserLimit >&2; exit 1; fi"
    command(batch_files, "sbatch", f"{full}\n{taking}")
    jobs = kinds(job, runs=3, most=64)
    said = r"^SLURM took 3 of 9 runs, and not the others: .*QOSMaxSubmit.* The 3 go on; .*harness\.status mini"
    with pytest.raises(UserError, match=said):
        submit(jobs, "mini", work)
    (kept,) = submissions(jobs[0].results)
    assert kept.jobs == {f"100_{number}": [each.run_id] for number, each in enumerate(jobs[:3])}


# --- what sbatch's jobs execute


def test_nothing_that_is_executed_lies_in_the_results_folder(
    batch_files: Path, job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPIKE_SSM_PRIVATE", str(tmp_path / "private"))
    jobs = [job(seed=seed, launcher__runs_per_job=1) for seed in range(2)]
    submit(jobs, "mini", work)
    kept = [path.suffix for path in jobs[0].results.rglob("*") if path.is_file()]
    assert kept == [".json"], "the record of the submission, and no more"
    pickles = list((tmp_path / "private").rglob("100_*_submitted.pkl"))
    assert len(pickles) == 2
    for path in pickles:
        delayed = DelayedSubmission.load(path)
        assert delayed.function is work
        assert [type(argument) for argument in delayed.args] == [str]
        assert not delayed.kwargs


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
