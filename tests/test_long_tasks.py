"""What docs/tasks.md says of the `workstation` scale is what the stored runs of the sweep `long_tasks` took."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spike_ssm.reports.loading.sweep import load
from spike_ssm.reports.render.text import ABSENT, listing, number
from spike_ssm.results.packed import unpack
from tests.pages import section, table

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "tasks.md").read_text()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("long")
    unpack(ROOT / "results" / "measured" / "long_tasks_workstation.parquet", folder)
    return load(folder, "long_tasks").done


def steps(task: dict[str, Any]) -> int:
    """The longest sequence of a task's settings: pixels of an image, words or other tokens."""
    if side := task.get("side") or task.get("size"):
        return int(side) ** 2
    return int(task.get("context") or task.get("max_length") or task["length"] + task["name"].startswith("bbc_order"))


def flat_from(run: pd.Series) -> str:
    """The epoch from which on validation accuracy stays within a point of its best; a dash where it never does."""
    accuracies = [epoch["validation_accuracy"] for epoch in run["epochs"]]
    below = [epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy < max(accuracies) - 0.01]
    return str(below[-1] + 1 if below else 1) if below[-1:] != [len(accuracies)] else ABSENT


def reached(run: pd.Series, by: str) -> str:
    """Accuracy, or of a language perplexity, by the network (`test`) or a rule (`shortcut`)."""
    perplexity = run[f"{by}_perplexity"]
    return (
        number(run[f"{by}_accuracy"] * 100, 1) + " %" if pd.isna(perplexity) else f"perplexity {number(perplexity, 1)}"
    )


def row(run: pd.Series) -> list[str]:
    config = json.loads(run["config"])
    model, batch = config["model"], config["optim"]["batch_size"]
    return [
        f"{steps(config['task']):,}",
        f"{model['layers']} x {model['channels']}, batches of {batch}",
        str(len(run["epochs"])),
        flat_from(run),
        number(run["duration_s"] / 60, 1),
        reached(run, "test"),
        reached(run, "shortcut"),
    ]


def test_the_long_tasks_cost_and_reach_what_the_table_says(runs: pd.DataFrame) -> None:
    found = {f"`{run['task']}`": row(run) for _, run in runs.iterrows()}
    scales = section(PAGE, "Scales")
    assert table(scales[scales.index("| task |") :]) == found
    said = " ".join(scales.split())
    spoken = runs[runs["test_perplexity"].isna()].set_index("task")
    below = spoken.index[spoken["test_accuracy"] < spoken["shortcut_accuracy"]]
    assert f"{named(below)} end below what a rule reaches that reads little" in said
    full = spoken.index[spoken["test_accuracy"] > 0.97]
    assert f"{named(full)} end above 97 %" in said


def named(tasks: Iterable[str]) -> str:
    return listing([f"`{task}`" for task in sorted(tasks)])


def test_sequences_are_as_long_as_the_scale_says(runs: pd.DataFrame) -> None:
    tasks = [json.loads(config)["task"] for config in runs["config"]]
    assert min(task.get("min_length") or steps(task) for task in tasks) >= 500
    assert "500 steps and more" in PAGE
