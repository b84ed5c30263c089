"""Threads, memory and the environment variables of processes that train; the device they train on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spike_ssm.harness.system.root import SEARCH_PATH
from spike_ssm.results.errors import UserError

KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""Environment variables for processes that train: without them glibc gives each step's tensors back to the system and
faults them in again at the next step."""


def compute_with(threads: int) -> None:
    """Have this process, and the threads that it will start, compute with so many, and take subnormal numbers for zero.

    A refractory current that has decayed below 1e-38 would otherwise slow its neuron down, to no purpose.
    """
    torch.set_flush_denormal(True)  # before threads are started, which inherit it
    torch.set_num_threads(threads)


@contextmanager
def worker_environment() -> Iterator[None]:
    """Environment variables that worker processes started inside inherit."""
    wanted = {
        # workers import this very code, whatever folder they start in (it may have a models/ of its own)
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(SEARCH_PATH), os.environ.get("PYTHONPATH")))),
        **KEEP_MEMORY,
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def pick_device(name: str) -> torch.device:
    """The torch device of `auto`, `cpu` or `cuda`. Raises `UserError` when there is no CUDA device."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device=cuda, but torch sees no CUDA device here. Use device=auto or device=cpu.")
    return torch.device("cuda" if name != "cpu" and available else "cpu")
