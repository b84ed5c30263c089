"""Faults of a run's surroundings: a device, data or a package that is not there. They are no results of the run."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spike_ssm.harness.train
from spike_ssm.harness import status
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.launch.launcher import wait
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.state.survey import RunState, Survey, look
from spike_ssm.results.store import prepare_folder
from tests.harness.conftest import Outcome, called

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
NO_TRACKER = "tracker=tensorboard needs the package tensorboard, which is not installed"


@pytest.fixture
def train(place: Any) -> Callable[..., Outcome]:
    """Calls `harness.train` with the place's settings."""
    settings = [word for word in place.words() if "=" in word and not word.startswith("+")]
    return lambda *words: called(spike_ssm.harness.train.main, [*settings, *words])


@pytest.fixture
def job(tiny: Callable[..., Settings], tmp_path: Path) -> Job:
    """Of a run whose data cannot be prepared."""
    (tmp_path / "file").touch()
    settings = tiny(f"paths.cache={tmp_path}/file/cache")
    return Job(settings.run_id(), settings, prepare_folder(tmp_path / "runs"), machine_shared=False)


@without_gpu
@pytest.mark.fault(
    "device=cuda where there is no GPU.",
    "One sentence says what to do, and no result is stored: as advised, device=cpu runs.",
)
def test_a_run_for_which_there_is_no_device_runs_as_advised(place: Any, train: Callable[..., Outcome]) -> None:
    outcome = train("device=cuda")
    assert (outcome.status, place.rows()) == (1, {})
    assert "sees no CUDA device" in outcome.out[-1]
    assert "Use device=cpu" in outcome.out[-1]
    outcome = train("device=cpu")
    assert outcome.status == 0
    (row,) = place.rows().values()
    assert row["status"] == "done"
    environment = json.loads(row["environment"])
    assert (environment["device"], environment["device_asked"], environment["gpus_asked"]) == ("cpu", "cpu", 0)


@without_gpu
@pytest.mark.fault(
    "A job was given a GPU that torch does not see.",
    "No run trains on the CPU instead: each fails with a sentence before it begins, and the next attempt runs it.",
)
def test_a_run_that_was_given_a_gpu_does_not_train_without(place: Any) -> None:
    outcome = place.sweep("launcher.gpus=1")
    assert (outcome.status, place.rows()) == (1, {})
    assert all("launcher.gpus=1, but torch" in line for line in outcome.err)
    assert place.sweep("launcher.gpus=1", "device=cpu").status == 0


@pytest.mark.fault(
    "The data of a sweep's runs cannot be prepared (no disk for the cache, files that are missing).",
    "The runs show as failed with the sentence, no result is stored, and the same command runs them again.",
)
def test_runs_whose_data_cannot_be_prepared_run_again_unasked(place: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (place.folder / "file").touch()
    bad = f"paths.cache={place.folder}/file/cache"
    outcome = place.sweep(bad)
    assert (outcome.status, place.rows()) == (1, {})
    assert outcome.out[-2].startswith("0 runs done, 2 failed")
    assert all("paths.cache=FOLDER" in line for line in outcome.err)
    assert status.main(["mini", "--results", str(place.results)]) == 1
    assert capsys.readouterr().out.count("paths.cache=FOLDER") == 2
    assert place.sweep("dry_run=true").out[-1] == "2 runs, 2 to run, 0 skipped."
    outcome = place.sweep()
    assert (outcome.status, outcome.out[0]) == (0, "2 runs: 0 finished earlier, 2 to run (debug, 1 at a time).")
    assert list(place.results.glob("state/*.fault")) == []


def test_a_tracker_that_is_missing_is_no_result(
    place: Any, train: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name))
    outcome = train("tracker=tensorboard")
    assert (outcome.status, place.rows()) == (1, {})
    assert NO_TRACKER in outcome.out[-1]
    assert train().status == 0


def test_a_tuning_some_of_whose_trials_could_not_begin_chooses_nothing(place: Any) -> None:
    (place.folder / "file").touch()
    outcome = place.tune("budget=2", f"paths.cache={place.folder}/file/cache")
    assert outcome.status == 1
    assert "4 trials could not begin, so nothing is chosen." in outcome.err[-1]
    assert not (place.results / "tuned").exists()


def test_who_waits_for_a_run_that_cannot_begin_does_not_wait_long(job: Job) -> None:
    assert execute(job, "me")
    assert not job.files.result.exists()
    seen: list[dict[str, RunState]] = []
    wait([job], Survey(job.results, [job.run_id]), seen.append)
    (state,) = seen[-1].values()
    assert (len(seen), state.status, state.unprepared) == (1, "failed", True)
    assert "paths.cache=FOLDER" in (state.error or "")


def test_a_run_that_begins_anew_has_failed_no_more(job: Job, tiny: Callable[..., Settings], cache: Path) -> None:
    execute(job, "me")
    better = Job(job.run_id, tiny(f"paths.cache={cache}"), job.results, machine_shared=False)
    assert execute(better, "me")
    assert look(job.results, job.run_id).status == "done"
    assert not job.files.fault.exists()


def test_a_damaged_fault_file_is_a_fault_all_the_same(job: Job) -> None:
    execute(job, "me")
    job.files.fault.write_text("{")
    state = look(job.results, job.run_id)
    assert state.unprepared
    assert str(job.files.fault) in (state.error or "")
