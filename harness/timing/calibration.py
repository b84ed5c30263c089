"""A few steps of each kind of run, timed in as many processes as will run at once, within a bound of seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.system.environment import worker_environment
from spike_ssm.harness.system.signals import raise_if_interrupted
from spike_ssm.results.store import write_json

SECONDS_TO_START = 120.0
"""Processes that by then have not imported all, and compiled the kernels of a first step, are given up."""

MOST_PROCESSES = 16


@dataclass(frozen=True)
class StepTimes:
    """Seconds of a training step and of an inference, each with the making of its batch, and how many there are.

    steps, validations, tests: batches of an epoch, of the validation and of the test set.
    """

    train_s: float
    inference_s: float
    steps: int
    validations: int
    tests: int
    memory_mib: float
    disk_bytes: float

    def seconds(self, epochs: int, tested: float = 1.6) -> float:
        """The seconds of a run; tested: so often is the test set read, twice unless the last weights are the best."""
        each_epoch = self.steps * self.train_s + self.validations * self.inference_s
        return epochs * each_epoch + tested * self.tests * self.inference_s


@dataclass(frozen=True)
class Calibration:
    """What was timed. start_s: until a process can begin its first run; times: by the place of the settings."""

    start_s: float
    times: dict[int, StepTimes]


def calibrate(kinds: Sequence[Settings], processes: int, threads: int, seconds: float) -> Calibration:
    """Time steps of each of `kinds`, the first ones first, in so many processes of so many threads at once,
    for at most so many seconds.

    All processes compute until the last kind was timed, so that each is timed beside the others. The seconds do not
    count the start of the processes, nor their first step, for which kernels may be compiled. What cannot be timed
    (data that are missing, too little time) is left out.
    Raises `Interrupted` where this process is asked to stop.
    """
    processes = max(1, min(processes, MOST_PROCESSES))
    with tempfile.TemporaryDirectory(prefix="spike-ssm-") as folder:
        order = Path(folder) / "kinds.json"
        write_json(order, {"kinds": [asdict(each) for each in kinds], "threads": threads, "seconds": seconds})
        with _started(order, processes) as said:
            return _heard(said, processes, len(kinds), seconds)


@contextmanager
def _started(order: Path, processes: int) -> Iterator[Queue[str]]:
    """What processes print that time the kinds in this file; they end with the block."""
    said: Queue[str] = Queue()
    command = [sys.executable, "-P", "-m", "spike_ssm.harness.timing.timed_steps", str(order)]
    started: list[subprocess.Popen[str]] = []
    try:
        with worker_environment():
            for number in range(processes):
                words = [*command, str(number), str(processes)]
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                    start_new_session=True, env=os.environ | _own_gpu(number),
                )  # fmt: skip
                started.append(process)
                Thread(target=_pass_on, args=(process.stdout, said), daemon=True).start()
        yield said
    finally:
        for process in started:
            process.kill()
            process.wait()


def _own_gpu(number: int) -> dict[str, str]:
    """The environment variable that gives a process the GPU that a worker with its number has."""
    import torch

    gpus = torch.cuda.device_count()
    return {"CUDA_VISIBLE_DEVICES": str(number % gpus)} if gpus > 1 else {}


def _pass_on(lines: IO[str] | None, said: Queue[str]) -> None:
    for line in lines or ():
        said.put(line)
    said.put("")


def _heard(said: Queue[str], processes: int, kinds: int, seconds: float) -> Calibration:
    """What they say until every kind was timed, or found to be none, or the time is over, or all have ended."""
    begun = time.monotonic()
    start_s, deadline, ended = 0.0, begun + SECONDS_TO_START, 0
    times: dict[int, StepTimes] = {}
    failed: set[int] = set()
    while len({*times} | failed) < kinds and ended < processes and time.monotonic() < deadline:
        raise_if_interrupted()
        try:
            line = said.get(timeout=0.2)
        except Empty:
            continue
        found = json.loads(line) if line else None
        if found is None:
            ended += 1
        elif found == "started":
            start_s = max(start_s, time.monotonic() - begun)
        elif found == "warm":
            deadline = time.monotonic() + seconds
        elif found["times"] is None:
            failed.add(found["kind"])
        else:
            times[found["kind"]] = StepTimes(**found["times"])
    return Calibration(start_s, times)
