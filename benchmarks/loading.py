"""Speed at which prepared data are opened and cut into batches, and at which a network takes them in training.

`python -m benchmarks.loading SETTINGS`, a run's settings as JSON, prints how many seconds it takes to open the prepared
task and to have its first training batch, imports not counted: in a process that has not read any of it before.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count

from spike_ssm.harness.config.compose import settings_from_json, settings_to_json
from spike_ssm.harness.config.settings import Settings, cache_folder, files_folder
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.data.splits import Batch, batches, in_document_order
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.system.seeds import epoch_order
from spike_ssm.harness.training.trainer import Trainer

SECONDS = 1.0
"""Least time, in seconds, for which whole epochs are loaded."""


def open_task(settings: Settings) -> Dataset:
    """The run's data, prepared if they are not. Raises `UserError`."""
    task, _ = TASKS[settings.task.name]
    return task(settings.task).prepare(cache_folder(settings), files_folder(settings))


def training_batches(settings: Settings, data: Dataset, epoch: int) -> Iterator[Batch]:
    """The batches of an epoch, as a run trains on them."""
    optim, train = settings.optim, data.train
    if data.kind == "language":
        order = in_document_order(train, optim.batch_size)
    else:
        order = epoch_order(settings.seed, epoch, len(train))
    return batches(train, optim.batch_size, order, optim.length_pool)


def loading_rate(settings: Settings, data: Dataset) -> float:
    """Tokens/s of cutting training batches, padding not counted."""
    tokens, started = 0, time.perf_counter()
    for epoch in count(1):
        tokens += sum(int(batch.lengths.sum()) for batch in training_batches(settings, data, epoch))
        if (seconds := time.perf_counter() - started) >= SECONDS:
            return tokens / seconds
    raise AssertionError("epochs do not end")


def training_rate(settings: Settings, data: Dataset) -> float:
    """Tokens/s that the network takes in its first epoch: steps alone, without loading and without validation."""
    trainer = Trainer(settings, data, report=lambda _: None)
    trainer.epoch()
    rate = trainer.watch.rates()["tokens_per_s"]
    assert rate is not None
    return rate


def seconds_to_open(settings: Settings) -> float:
    """Seconds to open the data and to have the first training batch, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.loading", settings_to_json(settings)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Open the data in this process, and print the seconds that it took."""
    settings = settings_from_json(sys.argv[1])
    started = time.perf_counter()
    next(training_batches(settings, open_task(settings), 1))
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
