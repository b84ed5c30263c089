"""A pull request with results: what it adds is checked by the job that everybody can run, and nothing else is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from spike_ssm.harness.system.root import ROOT

PACK = ROOT / "results" / "measured" / "solvers_laptop.parquet"
SHARING = ("ablations", "ablation_refractory")


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout whose main branch has a wrong file already, and a branch that adds nothing yet."""
    place = tmp_path / "results" / "leaderboard"
    place.mkdir(parents=True)
    (place / "earlier.parquet").write_text("no parquet")
    git(tmp_path, "init", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "Earlier")
    git(tmp_path, "checkout", "-b", "results")
    return tmp_path


def verified(repository: Path, base: str = "main") -> subprocess.CompletedProcess[str]:
    git(repository, "add", ".")
    git(repository, "commit", "--allow-empty", "-m", "Results")
    venv = repository / ".git" / "venv"  # of the test's own, since the target keeps its list there
    venv.mkdir(exist_ok=True)
    if not (venv / "bin").exists():
        (venv / "bin").symlink_to(Path(sys.prefix) / "bin")
    words = ["make", "-f", str(ROOT / "Makefile"), "-o", f"{venv}/.installed", f"VENV={venv}", f"BASE={base}"]
    return subprocess.run([*words, "verify-added"], cwd=repository, capture_output=True, text=True, check=False)


def test_what_a_branch_adds_is_checked_and_what_was_there_is_not(repository: Path) -> None:
    assert verified(repository).returncode == 0, "nothing was added"
    shutil.copy(PACK, repository / "results" / "leaderboard" / "ann.parquet")
    (repository / "results" / "leaderboard" / "README.md").write_text("Results of others.")
    done = verified(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{pq.read_metadata(PACK).num_rows} runs checked, all as they should be." in done.stdout


def test_what_cannot_be_compared_with_fails_the_job(repository: Path) -> None:
    done = verified(repository, base="origin/nowhere")
    assert done.returncode != 0
    assert "origin/nowhere" in done.stderr


@pytest.mark.parametrize("name", ["ann.repeated.json", "notes.txt", "of ann.parquet", "below/ann.repeated.json"])
def test_a_branch_brings_nothing_but_packs(repository: Path, name: str) -> None:
    path = repository / "results" / "leaderboard" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    done = verified(repository)
    assert done.returncode != 0
    assert "is no pack" in done.stdout or "cannot be: a name" in done.stdout


def test_a_branch_takes_nothing_away(repository: Path) -> None:
    (repository / "results" / "leaderboard" / "earlier.parquet").unlink()
    done = verified(repository)
    assert done.returncode != 0
    assert "earlier.parquet is not there" in done.stdout


def test_what_is_added_is_compared_with_what_is_there(repository: Path) -> None:
    """The two files have runs in common, of other processors."""
    there, added = (ROOT / "results" / "measured" / f"{name}_laptop.parquet" for name in SHARING)
    git(repository, "checkout", "main")
    shutil.copy(there, repository / "results" / "leaderboard" / "there.parquet")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "There")
    git(repository, "checkout", "-B", "results")
    shutil.copy(added, repository / "results" / "leaderboard" / "added.parquet")
    done = verified(repository)
    assert done.returncode != 0
    assert "there.parquet and added.parquet have different outcomes of" in done.stdout
    assert "earlier.parquet" not in done.stdout


def test_a_wrong_file_fails_the_job(repository: Path) -> None:
    (repository / "results" / "leaderboard" / "wrong.parquet").write_bytes(PACK.read_bytes()[:-9])
    done = verified(repository)
    assert done.returncode != 0
    assert "wrong.parquet has lost its end" in done.stdout
    assert "earlier.parquet" not in done.stdout


def test_the_workflow_runs_that_very_target_with_no_rights_to_write() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["results"]
    assert job["steps"][-1]["run"] == "make verify-added"
    assert job["env"]["BASE"] == "${{ github.event.pull_request.base.sha }}"
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in workflow[True], "which would run code of others with our rights"


def test_the_template_names_commands_and_folders_that_exist() -> None:
    text = (ROOT / ".github" / "PULL_REQUEST_TEMPLATE" / "results.md").read_text()
    for named in ("python -m results verify", "python -m results pack", "results/leaderboard/"):
        assert named in text
    assert (ROOT / "results" / "leaderboard").is_dir()
