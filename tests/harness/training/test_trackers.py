"""Trackers: every epoch is sent once, a run that goes on replaces what it does again, and nothing else changes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import TRACKERS, Settings
from spike_ssm.harness.training.trackers import open_tracker
from spike_ssm.results.errors import UserError


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows: name -> epoch -> value."""
    shown = EventAccumulator(str(folder)).Reload()
    return {tag: {event.step: event.value for event in shown.Scalars(tag)} for tag in shown.Tags()["scalars"]}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a package look as if it were not installed."""
    find = importlib.util.find_spec

    def hide(package: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))

    return hide


def test_tensorboard_shows_every_epoch_of_a_run_as_its_result_has_it(place: Any) -> None:
    assert place.sweep("launcher=debug", "tracker=tensorboard", "optim.epochs=2", "neuron.leak=0.5").status == 0
    ((run_id, row),) = place.rows().items()
    shown = scalars(place.results / "trackers" / run_id)
    assert {"train_loss", "validation_accuracy", "learning_rate"} <= set(shown)
    for name, values in shown.items():
        assert values == {epoch["epoch"]: pytest.approx(epoch[name], rel=1e-6) for epoch in row["epochs"]}


def test_a_run_that_goes_on_replaces_the_epochs_that_it_does_again(tmp_path: Path) -> None:
    for rows in ([(1, 0.9), (2, 0.8)], [(2, 0.7), (3, 0.6)]):
        tracker = open_tracker("tensorboard", tmp_path, "run", {})
        for epoch, loss in rows:
            tracker.log({"epoch": epoch, "train_loss": loss, "train_accuracy": None})
        tracker.close()
    shown = scalars(tmp_path / "trackers" / "run")
    assert shown == {"train_loss": {1: pytest.approx(0.9), 2: pytest.approx(0.7), 3: pytest.approx(0.6)}}


def test_a_tracker_whose_files_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "trackers").touch()
    tracker = open_tracker("tensorboard", tmp_path, "run", {})
    for epoch in (1, 2):
        tracker.log({"epoch": epoch, "train_loss": 0.5})
    tracker.close()
    (said,) = [message for message in caplog.messages if "tracker" in message]
    assert said.startswith(f"The tracker's files cannot be written to {tmp_path / 'trackers' / 'run'} (")


def test_no_tracker_is_the_default_and_leaves_no_files(place: Any) -> None:
    assert place.sweep("launcher=debug", "neuron.leak=0.5").status == 0
    assert not (place.results / "trackers").exists()


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_is_no_part_of_a_runs_identity(name: str, tiny: Callable[..., Settings]) -> None:
    assert tiny(f"tracker={name}").run_id() == tiny().run_id()


def test_an_unknown_tracker_is_refused_with_those_that_exist(composer: Composer) -> None:
    with pytest.raises(UserError, match=r"tracker 'mlflow' does not exist; choose one of none, tensorboard, wandb\."):
        composer.settings({"tracker": "mlflow"})


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_without_its_package_no_run_begins_and_one_sentence_says_what_to_install(
    name: str, place: Any, without: Callable[[str], None]
) -> None:
    without(name)
    outcome = place.sweep("launcher=debug", f"tracker={name}")
    assert outcome.status == 1
    assert outcome.err == [
        f"Error: tracker={name} needs the package {name}, which is not installed. "
        f"Install it with pip install 'spike-ssm[{name}]', or leave tracker=none."
    ]
    assert place.rows() == {}
