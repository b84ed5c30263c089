"""Where the files of a run lie in a results folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOG_TAIL_BYTES = 4000


def lease_path(results: Path, run_id: str) -> Path:
    """Says who is at the run."""
    return results / "state" / f"{run_id}.lease"


def progress_path(results: Path, run_id: str) -> Path:
    """What the run last said of itself."""
    return results / "state" / f"{run_id}.json"


def log_path(results: Path, run_id: str) -> Path:
    """What the run printed."""
    return results / "logs" / f"{run_id}.log"


def checkpoints_folder(results: Path, run_id: str) -> Path:
    """Where the run's checkpoints lie until it is finished."""
    return results / "checkpoints" / run_id


def weights_path(results: Path, run_id: str) -> Path:
    """The tested weights of the finished run, where they are kept."""
    return results / "weights" / f"{run_id}.safetensors"


def read_progress(results: Path, run_id: str) -> dict[str, Any] | None:
    """What the run last said of itself: `worker` and the fields of `harness.training.trainer.Progress`."""
    try:
        progress: dict[str, Any] = json.loads(progress_path(results, run_id).read_text())
    except (OSError, ValueError):  # not begun, or finished this moment
        return None
    return progress


def log_tail(path: Path) -> str | None:
    """The last lines of a log, where there is one."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return None
