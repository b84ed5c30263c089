"""Variants of one task timed in turns, in one process: what a step of each takes, alone on this machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import torch

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.measurements.speed import QUIET
from spike_ssm.harness.measurements.timing import Contention, milliseconds
from spike_ssm.harness.system.environment import compute_with, pick_device
from spike_ssm.harness.system.provenance import code_version, environment
from spike_ssm.harness.timing.steps import Steps, some_data
from spike_ssm.results.timing.rows import new_sitting

ROUNDS = 9
"""The fewest: the range of nine is an interval of their median that misses it in 0.4 % of cases, as rarely as it must
where ten variants are compared together."""

BUILDS = 3
"""Times that all networks are made anew, so that no place in memory, good or bad, counts for all of a variant's rounds.
"""

Turns = tuple[list[float], list[float]]
"""Milliseconds of a training step and of an inference, by round."""


def measure(settings: Sequence[Settings], seconds: float) -> list[dict[str, Any]]:
    """Rows of `TIMING`, less memory, of one sitting; about so many seconds for each run, of one task.

    What each computes with are the threads of a worker. Raises what building a network or its data raises.
    """
    launcher = settings[0].launcher
    compute_with(launcher.threads)
    with ExitStack() as stack:
        data = [stack.enter_context(some_data(each)) for each in settings]

        def build() -> list[Steps]:
            return [Steps(each, its) for each, its in zip(settings, data, strict=True)]

        contention = Contention()
        steps, turns = _timed(build, seconds * len(settings))
        shared = contention.share() > QUIET
    sitting = {
        "sitting": new_sitting(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine_shared": shared,
        **machine(settings[0]),
    }
    return [
        {
            **sitting,
            "run": each.run_id(),
            "task": each.task.name,
            "convolution": its.convolution,
            "train_ms": train,
            "inference_ms": inference,
            "train_samples": its.training.samples,
            "train_tokens": its.training.tokens,
            "inference_samples": its.inferences.samples,
            "inference_tokens": its.inferences.tokens,
        }
        for each, its, (train, inference) in zip(settings, steps, turns, strict=True)
    ]


def machine(settings: Settings) -> dict[str, Any]:
    """The columns of a row that tell its machine, and the code: those of this process, as a worker of the run has it.

    Raises `UnpreparedError` where the run's device is not there.
    """
    device = pick_device(settings.device, settings.launcher.gpus)
    here = environment(device)
    return {
        "processor": here["processor"],
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": None if device.type == "cpu" else here["device"],
        "threads": settings.launcher.threads,
        "torch": here["libraries"]["torch"],
        "code_version": code_version(),
    }


def _timed(build: Callable[[], list[Steps]], seconds: float) -> tuple[list[Steps], list[Turns]]:
    """What was timed, and the turns of each: at least `ROUNDS`, and as many more as fit into the seconds."""
    turns: list[Turns] = []
    for number in range(BUILDS):
        steps = build()
        turns = turns or [([], []) for _ in steps]
        for _ in _round(steps, number):  # one that counts for nothing: kernels are compiled, threads started
            pass
        until = monotonic() + seconds / BUILDS
        least = ROUNDS * (number + 1) // BUILDS
        while len(turns[0][0]) < least or monotonic() < until:
            for place, train, inference in _round(steps, len(turns[0][0])):
                turns[place][0].append(train)
                turns[place][1].append(inference)
    return steps, turns


def _round(steps: Sequence[Steps], number: int) -> Iterator[tuple[int, float, float]]:
    """The place of each, and its turns, in an order of the round's own: none always comes after the same one."""
    for place in random.Random(number).sample(range(len(steps)), len(steps)):
        its = steps[place]
        yield (
            place,
            _turn(its.train_step, its.training.batches, its.device),
            _turn(its.inference, its.inferences.batches, its.device),
        )


def _turn(step: Callable[[], None], count: int, device: torch.device) -> float:
    """Milliseconds of a step, over all batches once, after one that is not timed: caches and threads are cold then."""

    def all_batches() -> None:
        for _ in range(count):
            step()

    step()
    return milliseconds(all_batches, device) / count
