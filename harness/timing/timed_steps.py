"""One of the processes of a calibration: it times steps of one kind of run after the other, round and round.

    python -m spike_ssm.harness.timing.timed_steps FILE NUMBER PROCESSES

It prints a line of JSON a kind, and ends by itself when its time is over.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spike_ssm.harness.config.compose import settings_from_json
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.splits import SPLITS, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.measurements.timing import wait_for
from spike_ssm.harness.system.environment import compute_with
from spike_ssm.harness.timing.calibration import SECONDS_TO_START, StepTimes
from spike_ssm.harness.timing.steps import Steps, some_data
from spike_ssm.harness.training.stopwatch import memory_mib
from spike_ssm.results.errors import UserError

TRAIN_S, INFERENCE_S = 0.3, 0.15
"""Seconds for which each is timed, in whole rounds over the batches."""

ROW_BYTES, EXAMPLE_BYTES, PARAMETER_BYTES = 45_000, 8, 4
"""Sizes of a result file without its predictions, of one of these, and of a number in kept weights."""


def main(file: str, number: int, processes: int) -> None:
    """Time the kinds in `file`; process `number` begins at its share of them."""
    content = json.loads(Path(file).read_text())
    kinds = [settings_from_json(json.dumps(each)) for each in content["kinds"]]
    compute_with(content["threads"])
    _say("started")
    end = time.monotonic() + SECONDS_TO_START + content["seconds"]  # should nobody end it
    begin, data = number * len(kinds) // processes, _Data()
    order = [*range(begin, len(kinds)), *range(begin)]
    _times(kinds[order[0]], data)  # kernels are compiled, once on a machine
    _say("warm")
    for place in itertools.cycle(order):
        if time.monotonic() > end:
            return
        _say({"kind": place, "times": _times(kinds[place], data)})


def _times(settings: Settings, data: _Data) -> dict[str, Any] | None:
    """The times of the run's steps; None where it would fail, which is for the run to say."""
    try:
        return asdict(timed(settings, data.of(settings)))
    except (UserError, ValueError, MemoryError, RuntimeError):
        return None


def _say(found: object) -> None:
    print(json.dumps(found), flush=True)


class _Data:
    """Data of the tasks that were met, each prepared once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._found: dict[str, Dataset] = {}

    def of(self, settings: Settings) -> Dataset:
        key = json.dumps([asdict(settings.task), settings.optim.batch_size, settings.optim.length_pool])
        if key not in self._found:
            self._found[key] = self._stack.enter_context(some_data(settings))
        return self._found[key]


def timed(settings: Settings, data: Dataset) -> StepTimes:
    """The times of the run's steps, and how many it makes. Raises what the run would fail by."""
    steps, size = Steps(settings, data), settings.optim.batch_size
    train_s = _seconds(steps.train_step, steps, TRAIN_S)
    inference_s = _seconds(steps.inference, steps, INFERENCE_S)
    making_s = _making(data, size, steps.count)
    sizes = {split: _size(settings, data, split) for split in SPLITS}
    count = {split: math.ceil(examples / size) for split, examples in sizes.items()}
    weights = PARAMETER_BYTES * steps.parameters if settings.keeps_weights() else 0
    return StepTimes(
        train_s + making_s,
        inference_s + making_s,
        count["train"],
        count["validation"],
        count["test"],
        memory_mib(steps.device),
        ROW_BYTES + EXAMPLE_BYTES * sizes["test"] + weights,
    )


def _making(data: Dataset, size: int, count: int) -> float:
    """Seconds of making a batch, of so many."""
    started = time.perf_counter()
    made = sum(1 for _ in itertools.islice(batches(data.train, size), count))
    return (time.perf_counter() - started) / made


def _size(settings: Settings, data: Dataset, split: str) -> int:
    """Examples of the split, of which `data` may hold a part; a text's size counts words, but all of it is there."""
    asked = None if data.kind == "language" else getattr(settings.task, split, None)
    found: Any = getattr(data, split)
    return len(found) if asked is None else int(asked)


def _seconds(call: Callable[[], object], steps: Steps, at_least: float) -> float:
    """The seconds of one call: the median over rounds, each of as many calls as there are batches.

    An untimed call comes before. A call that takes longer than all of it should is timed only once.
    """
    _clocked(call, steps, 1)
    once = _clocked(call, steps, 1)
    if once > at_least:
        return once
    rounds: list[float] = []
    while not rounds or sum(rounds) < at_least:
        rounds.append(_clocked(call, steps, steps.count))
    return statistics.median(rounds) / steps.count


def _clocked(call: Callable[[], object], steps: Steps, calls: int) -> float:
    wait_for(steps.device)
    started = time.perf_counter()
    for _ in range(calls):
        call()
    wait_for(steps.device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
