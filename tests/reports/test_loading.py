"""A large sweep is read task by task, and nothing of a task is kept but what the whole page is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from spike_ssm.reports.loading.sweep import joined, load, parts_by_task
from spike_ssm.results.store import read_manifest, write_manifest

NAME = "ablation_refractory"


def test_a_part_is_a_task_and_the_parts_are_the_whole(sweep: Callable[..., Path]) -> None:
    results = sweep(tasks=("listops", "pathfinder"), variants=("none", "fixed"), seeds=(0, 1))
    parts = [part.read() for part in parts_by_task(results, NAME)]
    assert [part.tasks for part in parts] == [["listops"], ["pathfinder"]]
    assert all(part.variants == ["none", "fixed"] for part in parts)
    whole, expected = joined(parts).runs, load(results, NAME).runs
    assert whole["id"].tolist() == expected["id"].tolist()
    assert not {"predictions", "traces", "epochs", "layers", "operations"} & set(whole)
    assert whole.reset_index(drop=True).equals(expected[list(whole)])


def test_where_the_plan_tells_no_tasks_there_is_one_part(sweep: Callable[..., Path]) -> None:
    results = sweep(tasks=("listops", "pathfinder"), variants=("none",), details=False)
    manifest = read_manifest(results, NAME)
    runs = [replace(run, axes={"refractory": run.variant}) for run in manifest.runs]
    write_manifest(results, replace(manifest, runs=runs))
    (part,) = parts_by_task(results, NAME)
    assert part.read().tasks == ["listops", "pathfinder"]


def test_without_details_neither_predictions_nor_traces_are_read(sweep: Callable[..., Path]) -> None:
    loaded = load(sweep(variants=("none",)), NAME, details=False)
    assert not {"predictions", "traces"} & set(loaded.runs)
    assert loaded.runs["test_accuracy"].notna().all()
