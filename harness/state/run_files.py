"""Paths of a run's files in a results folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.milestones import Standing
from spike_ssm.results.packed import weights_path
from spike_ssm.results.reading import run_path

LOG_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Reported:
    """What a progress file holds: the worker, and the fields of `harness.training.trainer.Progress`."""

    worker: str
    epoch: int
    epochs: int
    done: float
    loss: float
    validation_accuracy: float | None = None
    standing: Standing | None = None


@dataclass(frozen=True)
class RunFiles:
    """The files of the run `run_id` in the folder `results`."""

    results: Path
    run_id: str

    @property
    def result(self) -> Path:
        """Its row, once it has ended."""
        return run_path(self.results, self.run_id)

    @property
    def lease(self) -> Path:
        """Says which process has claimed the run."""
        return self.results / "state" / f"{self.run_id}.lease"

    @property
    def progress(self) -> Path:
        """How far the run has come, as it last said itself."""
        return self.results / "state" / f"{self.run_id}.json"

    @property
    def fault(self) -> Path:
        """Why it could not begin, where not it but its surroundings were at fault; gone when it begins anew."""
        return self.results / "state" / f"{self.run_id}.fault"

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.results / "logs" / f"{self.run_id}.log"

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints until it is finished."""
        return self.results / "checkpoints" / self.run_id

    @property
    def weights(self) -> Path:
        """Its tested weights when it is finished, where they are kept."""
        return weights_path(self.results, self.run_id)

    def read_progress(self) -> dict[str, Any] | None:
        """`worker` and the fields of `harness.training.trainer.Progress`, as the run last said them."""
        try:
            return asdict(read_document(Reported, json.loads(self.progress.read_bytes()), str(self.progress)))
        except (OSError, ValueError, RecursionError, UserError):  # not begun, finished this moment, or damaged
            return None

    def read_fault(self) -> str:
        """The sentence of `fault`."""
        try:
            return str(json.loads(self.fault.read_text())["error"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            return f"The run could not begin; why stands in {self.fault}, which cannot be read ({error})."

    def log_tail(self) -> str | None:
        """The last lines of its log, where there is one."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return None
