"""Benchmark tasks, one file each. To add a task: write its file, add it here, and give it a YAML in sweeps/task."""

from __future__ import annotations

from harness.tasks.base import Batch, Dataset, Split, Task, TaskSettings, batches
from harness.tasks.listops import ListOps, ListOpsSettings

TASKS: dict[str, tuple[type[Task], type[TaskSettings]]] = {"listops": (ListOps, ListOpsSettings)}
"""Task name -> (task, its settings)."""

__all__ = [
    "TASKS",
    "Batch",
    "Dataset",
    "ListOps",
    "ListOpsSettings",
    "Split",
    "Task",
    "TaskSettings",
    "batches",
]
