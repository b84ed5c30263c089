"""What docs/tasks.md says of the `workstation` scale is what the stored runs of the sweep `long_tasks` took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spike_ssm.reports.loading.sweep import load
from spike_ssm.reports.render.text import number
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


def flat_after(run: pd.Series) -> int:
    """The first epoch whose validation accuracy is within a point of the best one."""
    accuracies = [epoch["validation_accuracy"] for epoch in run["epochs"]]
    return 1 + next(place for place, accuracy in enumerate(accuracies) if accuracy >= max(accuracies) - 0.01)


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
        str(flat_after(run)),
        number(run["duration_s"] / 60, 1),
        reached(run, "test"),
        reached(run, "shortcut"),
    ]


def test_the_long_tasks_cost_and_reach_what_the_table_says(runs: pd.DataFrame) -> None:
    found = {f"`{run['task']}`": row(run) for _, run in runs.iterrows()}
    scales = section(PAGE, "Scales")
    assert table(scales[scales.index("| task |") :]) == found


def test_sequences_are_as_long_as_the_scale_says(runs: pd.DataFrame) -> None:
    tasks = [json.loads(config)["task"] for config in runs["config"]]
    assert min(task.get("min_length") or steps(task) for task in tasks) >= 500
    assert "500 steps and more" in PAGE
