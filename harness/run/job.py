"""A run as a job: all that a worker needs to execute it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.system.provenance import code_version


@dataclass(frozen=True)
class Job:
    """What a worker needs to execute a run."""

    run_id: str
    settings: Settings
    results: Path  # absolute
    machine_shared: bool  # other runs may use this machine at the same time
    code_version: str = ""  # when it was submitted

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
