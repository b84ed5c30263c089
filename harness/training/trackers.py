"""Experiment trackers: every epoch of a run, also sent to TensorBoard or Weights & Biases.

Both are optional packages, and off by default. What a tracker is told decides nothing: results are the parquet files.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from spike_ssm.results.errors import UnpreparedError
from spike_ssm.results.files import Survived, make_lowest_folders

PROJECT = "spike-ssm"

EpochRow = Mapping[str, Any]
"""One of `results.schema.EPOCHS`; nulls are not sent."""


class Tracker(Protocol):
    """Receiver of every epoch once it is over."""

    def log(self, row: EpochRow) -> None:
        """Send the numbers of an epoch."""

    def close(self) -> None:
        """Send what is still held back. Nothing is logged afterwards."""


def require(name: str) -> None:
    """Raise `UnpreparedError` when the package of the tracker `name` is not installed."""
    if name != "none" and importlib.util.find_spec(name) is None:
        raise UnpreparedError(
            f"tracker={name} needs the package {name}, which is not installed. "
            f"Install it with pip install '{PROJECT}[{name}]', or leave tracker=none."
        )


def open_tracker(name: str, results: Path, run_id: str, config: Mapping[str, Any]) -> Tracker:
    """The tracker `name` (`harness.config.settings.TRACKERS`) for a run.

    Its files go to trackers/ID in the results folder. config: shown beside the run. Raises `UnpreparedError` when the
    package is missing or does not start.
    """
    require(name)
    folder = results / "trackers" / run_id
    if name == "tensorboard":
        return _Spared(_TensorBoard(folder), folder)
    if name == "wandb":
        return _Spared(_WandB(folder, run_id, config), folder)
    return _Nothing()


def _numbers(row: EpochRow) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "epoch" and value is not None}


class _Spared:
    """A tracker whose files a run can do without."""

    def __init__(self, tracker: Tracker, folder: Path) -> None:
        self._tracker = tracker
        self._survived = Survived(f"The tracker's files cannot be written to {folder}")

    def log(self, row: EpochRow) -> None:
        with self._survived:
            self._tracker.log(row)

    def close(self) -> None:
        with self._survived:
            self._tracker.close()


class _Nothing:
    def log(self, row: EpochRow) -> None:
        """Drop it."""

    def close(self) -> None:
        """Nothing is open."""


class _TensorBoard:
    """Scalars by epoch. The writer opens with the first row: a run that goes on replaces the epochs it does again."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # an optional package

        self._folder = folder
        self._open: Any = SummaryWriter  # untyped
        self._writer: Any = None

    def log(self, row: EpochRow) -> None:
        if self._writer is None:
            make_lowest_folders(self._folder, levels=2)
            self._writer = self._open(str(self._folder), purge_step=row["epoch"])
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _WandB:
    """A run of the project `spike-ssm`, with the run's id; WANDB_MODE and the user's login decide where it goes."""

    def __init__(self, folder: Path, run_id: str, config: Mapping[str, Any]) -> None:
        import wandb  # an optional package

        make_lowest_folders(folder, levels=2)
        try:
            self._run = wandb.init(project=PROJECT, id=run_id, dir=folder, config=dict(config), resume="allow")
        except wandb.errors.Error as error:
            raise UnpreparedError(
                f"tracker=wandb does not start: {' '.join(str(error).split()).rstrip('.')}. "
                "Run wandb login once, or set WANDB_MODE=offline."
            ) from error

    def log(self, row: EpochRow) -> None:
        self._run.log(_numbers(row), step=row["epoch"])

    def close(self) -> None:
        self._run.finish()
