"""Words on where runs stand beside chance and shortcut: running ones by their progress, finished ones by rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spike_ssm.results.errors import UserError
from spike_ssm.results.milestones import COLUMNS, judged
from spike_ssm.results.reading import read_run, run_path


def as_it_runs(progress: Mapping[str, Any]) -> str:
    """`epoch 2/4, 55.1%, below the shortcut`, of fields of `harness.training.trainer.Progress`.

    Accuracy and standing are those of the latest finished epoch. Empty for what trains nothing.
    """
    if not progress["epochs"]:
        return ""
    accuracy = progress["validation_accuracy"]
    words = [f"epoch {progress['epoch']}/{progress['epochs']}", None if accuracy is None else f"{accuracy:.1%}"]
    return ", ".join(filter(None, [*words, progress.get("standing")]))


def of_finished(results: Path, run_id: str) -> str:
    """Words on where the finished run stood in the end; empty where that is not known, or its result cannot be read."""
    try:
        return judged(read_run(run_path(results, run_id), COLUMNS)).words
    except UserError:
        return ""
