"""The benchmark of data times what a run does, and says which targets its numbers meet."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import data, loading, report
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.splits import Flat, Sequences, Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.training.fit import Trainer

ROOT = Path(__file__).resolve().parents[2]

TINY = (
    *("task.min_length=3", "task.max_length=12", "task.train=64", "task.validation=32", "task.test=32"),
    *("model.layers=1", "model.channels=8", "model.state_size=4", "optim.batch_size=16", "device=cpu"),
)


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Settings]:
    """The settings of a tiny run on ListOps, with more words of a command line."""
    words = (*TINY, f"paths.cache={tmp_path}")
    return lambda *more: Composer().settings(parse_command_line([*words, *more]).overrides)


def examples(batches: object) -> list[list[int]]:
    return [batch.examples.tolist() for batch in batches]  # type: ignore[attr-defined]


@pytest.mark.parametrize("pool", [1, 3])
def test_what_is_timed_as_loading_are_the_batches_of_a_run(pool: int, tiny: Callable[..., Settings]) -> None:
    settings = tiny(f"optim.length_pool={pool}", "seed=3")
    opened = loading.open_task(settings)
    trainer = Trainer(settings, opened, lambda _: None)
    for epoch in (1, 2):
        assert examples(loading.training_batches(settings, opened, epoch)) == examples(trainer.batches(epoch))


def test_texts_are_loaded_in_their_order_as_a_run_does(tiny: Callable[..., Settings]) -> None:
    windows = Split((Sequences(Flat(np.arange(200) % 7, np.arange(0, 201, 4))),), np.zeros(50, int), predicts_next=True)
    text = Dataset(windows, windows, windows, "language", Facts(7, list("abcdefg")), Baselines(0.5, {"rule": 0.5}, 7.0))
    trainer = Trainer(tiny("model.bidirectional=false"), text, lambda _: None)
    assert examples(loading.training_batches(tiny(), text, 1)) == examples(trainer.batches(1))


def test_loading_is_compared_with_the_training_of_the_same_run(
    tiny: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "SECONDS", 0.0)
    loaded, trained, ratio = data.loading(tiny(), loading.open_task(tiny()))
    assert [each["unit"] for each in (loaded, trained, ratio)] == [
        "tokens/s",
        "tokens/s in training",
        "times as fast as training",
    ]
    assert ratio["value"] == loaded["value"] / trained["value"] > 0
    assert {each["subject"] for each in (loaded, trained, ratio)} == {"listops"}


def test_every_other_section_gives_its_rows(tiny: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SECONDS", 0.0)
    monkeypatch.setattr(data, "seconds_to_open", lambda settings: float(settings.task.train))
    (images,) = data.generating_images("pathfinder", 32, 4)
    assert images["unit"] == "images/s"
    assert images["value"] > 0
    generated, small, large = data.generating_and_opening(tiny(), tiny("task.train=200"))
    assert generated["unit"] == "s for 100,000 examples"
    assert (small["value"], large["value"]) == (64, 200)
    assert {each["threads"] for each in (images, generated)} == {torch.get_num_threads()}


@pytest.mark.slow
def test_a_prepared_task_is_opened_in_a_process_of_its_own(tiny: Callable[..., Settings]) -> None:
    loading.open_task(tiny())
    assert loading.seconds_to_open(tiny()) > 0


def test_tasks_without_their_data_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "TASKS", {name: TASKS[name] for name in ("listops", "retrieval", "brown")})
    found, missing = data.tasks_here(Composer(), {"paths.cache": str(tmp_path), "paths.data": str(tmp_path)})
    assert list(found) == ["listops"]
    assert missing == ["retrieval", "brown"]


def test_verdicts_name_the_worst_value_and_whether_it_meets_the_target() -> None:
    rows = [
        data.row("generating", "pathfinder, 32 x 32", "images/s", 200.0),
        data.row("generating", "path-x, 128 x 128", "images/s", 3.0),
        data.row("opening", "listops, small", "s", 0.1),
        data.row("opening", "listops, large", "s", 1.5),
        data.row("loading", "image", "times as fast as training", 70.0),
        data.row("loading", "text", "times as fast as training", 4.0),
    ]
    images, opening, times = data.verdicts(rows)
    assert images == "generating, pathfinder, 32 x 32, images/s: 200.00 (target at least 166.67: met)"
    assert opening == "opening, s: 1.50 (target at most 1.00: missed)"
    assert times == "loading, times as fast as training: 4.00 (target at least 5.00: missed)"


def test_a_number_is_printed_with_the_digits_that_count() -> None:
    assert data.sentence(data.row("loading", "image", "tokens/s", 1234567.8)) == "loading, image: 1,234,568 tokens/s"
    assert data.sentence(data.row("opening", "image", "s", 0.01234)) == "opening, image: 0.0123 s"


def test_saved_rows_say_where_they_were_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MEASURED", tmp_path)
    report.save("data_cpu", [data.row("opening", "image", "s", 0.5)], torch.device("cpu"), others=0.25)
    (saved,) = pd.read_parquet(tmp_path / "data_cpu.parquet").to_dict("records")
    assert (saved["section"], saved["value"], saved["others"]) == ("opening", 0.5, 0.25)
    assert "processor" in saved["environment"]
    assert saved["code_version"]


@pytest.mark.slow
def test_a_benchmark_starts_anew_with_the_variables_it_needs_and_with_its_arguments() -> None:
    code = (
        "import os, sys; from benchmarks.report import start_anew_with; start_anew_with({'KEEP': '1'})\n"
        "print(os.environ['KEEP'], sys.argv[1:])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KEEP"}
    command = [sys.executable, "-c", code, "--save", "a=b"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert shown.stdout == "1 ['--save', 'a=b']\n"
