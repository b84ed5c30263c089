"""Benchmark tasks, one file each. To add a task: write its file, add it here, and give it a YAML in sweeps/task."""

from __future__ import annotations

from harness.tasks.base import Baselines, Dataset, Facts, Task, TaskSettings
from harness.tasks.listops import ListOps, ListOpsSettings
from harness.tasks.splits import Batch, Split, batches

TASKS: dict[str, tuple[type[Task], type[TaskSettings]]] = {"listops": (ListOps, ListOpsSettings)}
"""Task name -> (task, its settings)."""

LRA = ("listops",)
"""The six tasks of the Long Range Arena."""

ALL = {"laptop": ("listops",), "gpu": LRA, "paper": LRA}
"""Scale -> what `task=all` stands for: a task of each of the six kinds."""

__all__ = [
    "ALL",
    "LRA",
    "TASKS",
    "Baselines",
    "Batch",
    "Dataset",
    "Facts",
    "ListOps",
    "ListOpsSettings",
    "Split",
    "Task",
    "TaskSettings",
    "batches",
]
