"""What a worker is to do: data that is checked, whoever wrote it."""

from __future__ import annotations

import json
import pickle
import re
import stat
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness.config.compose import TASK_SETTINGS, Composer, settings_from_json
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.run.order import read_order, submission_folder, write_order
from spike_ssm.models.neurons import NEURONS
from spike_ssm.results.errors import UserError


def job_of(settings: Settings, folder: Path) -> Job:
    return Job(settings.run_id(), settings, folder / "results", machine_shared=True, code_version="abc")


YOURS = ("csv_texts", "csv_series", "folder_texts", "folder_images")


def data_of_yours(folder: Path, task: str) -> Path:
    """A file, or a folder with a file of each class, of the user's own."""
    for path in (folder / "a" / "1.txt", folder / "b" / "2.txt"):
        path.parent.mkdir(parents=True)
        path.write_text("text,label\none,a\n")
    return folder if task.startswith("folder") else folder / "a" / "1.txt"


@pytest.mark.parametrize("task", TASK_SETTINGS)
def test_jobs_come_back_as_they_were(task: str, composer: Composer, tmp_path: Path) -> None:
    yours = {"task.path": str(data_of_yours(tmp_path / "yours", task))} if task in YOURS else {}
    settings = composer.settings({"task": task, **yours, "launcher": "slurm", "launcher.extra": {"exclude": "node7"}})
    jobs = [job_of(settings, tmp_path), job_of(replace(settings, seed=3), tmp_path)]
    assert read(write_order(tmp_path, jobs, 3)) == (jobs, 3)


@pytest.mark.parametrize("neuron", NEURONS)
def test_neurons_come_back_as_they_were(neuron: str, composer: Composer, tmp_path: Path) -> None:
    job = job_of(composer.settings({"neuron": neuron, "robustness": "standard"}), tmp_path)
    assert read(write_order(tmp_path, [job], 1)) == ([job], 1)


def read(path: str) -> tuple[list[Job], int]:
    return read_order(path, settings_from_json)


def changed(path: str, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(Path(path).read_text())
    change(content)
    Path(path).write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda order: order["runs"][0].update(id="../../x"), "calls a run '../../x' whose", id="id"),
        pytest.param(lambda order: order["runs"][0].update(results="here"), "no absolute path", id="folder"),
        pytest.param(lambda order: order["runs"][0].update(call="id"), "unknown keys ['call']", id="key"),
        pytest.param(lambda order: order.update(threads=0), "threads must be at least 1", id="threads"),
        pytest.param(
            lambda order: order["runs"][0]["settings"]["launcher"].update(account="a\nid"),
            "launcher.account must be of letters",
            id="account",
        ),
        pytest.param(
            lambda order: order["runs"][0]["settings"]["task"].update(name="os"), "There is no task 'os'", id="task"
        ),
        pytest.param(
            lambda order: order["runs"][0]["settings"].update(_target_="os.system"), "no settings of a run", id="target"
        ),
    ],
)
def test_what_is_no_order_is_refused_in_a_sentence(
    change: Callable[[dict[str, Any]], object], sentence: str, composer: Composer, tmp_path: Path
) -> None:
    path = changed(write_order(tmp_path, [job_of(composer.settings({}), tmp_path)], 1), change)
    with pytest.raises(UserError, match=re.escape(sentence)):
        read(path)


@pytest.mark.fault(
    "There is no home that can be written to.",
    "Workers of this machine are started from a private temporary folder; SLURM's jobs need one that is named.",
)
def test_without_a_home_workers_of_this_machine_start_from_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPIKE_SSM_PRIVATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = submission_folder(here=True)
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(UserError, match=r"cannot be used .* SPIKE_SSM_PRIVATE=FOLDER\.$"):
        submission_folder()


def test_a_pickle_in_its_place_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_bytes(pickle.dumps({"threads": 1, "runs": []}))
    with pytest.raises(UserError, match=r"cannot be read"):
        read(str(tmp_path / "order.json"))
