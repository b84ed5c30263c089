"""A run as a job: all that a worker needs to execute it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.state.lease import Watch
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.system.provenance import code_version


@dataclass(frozen=True)
class Job:
    """What a worker needs to execute a run."""

    run_id: str
    settings: Settings
    results: Path  # absolute
    machine_shared: bool  # other runs may use this machine at the same time
    code_version: str = ""  # when it was submitted

    @property
    def files(self) -> RunFiles:
        """Its files in the results folder."""
        return RunFiles(self.results, self.run_id)

    def identity(self) -> dict[str, Any]:
        """Columns of `results.schema.RUN` that tell which run it is, and by which code."""
        settings = self.settings
        return {
            "id": self.run_id,
            "task": settings.task.name,
            "neuron": settings.neuron.name,
            "scale": settings.scale.name,
            "seed": settings.seed,
            "config": json.dumps(settings.identity(), sort_keys=True),
            "code_version": code_version(),
        }


Work = Callable[[str], None]
"""Executes those jobs of the order in a file that no other worker has claimed; pickled by its name for a worker."""


@dataclass(frozen=True)
class Execution:
    """The way jobs are executed, for launchers, which do not import what runs compute.

    work: in worker processes. execute: one job in this process, unless another one is at it, as the watch tells;
    whether it was.
    """

    work: Work
    execute: Callable[[Job, Watch], bool]
