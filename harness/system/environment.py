"""Threads, memory and the environment variables of processes that train; the device they train on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from spike_ssm.harness.system.root import SEARCH_PATH
from spike_ssm.models.named import CODE, code_folder
from spike_ssm.results.errors import UnpreparedError

KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""Environment variables for processes that train: without them glibc gives each step's tensors back to the system and
faults them in again at the next step."""

SWEEP = "SPIKE_SSM_SWEEP"
"""Environment variable that tells a local worker which process it works for, as `results.process.Process.token`."""


def compute_with(threads: int) -> None:
    """Have this process, and the threads that it will start, compute with so many, and take subnormal numbers for zero.

    A refractory current that has decayed below 1e-38 would otherwise slow its neuron down, to no purpose.
    """
    torch.set_flush_denormal(True)  # before threads are started, which inherit it
    torch.set_num_threads(threads)


@contextmanager
def worker_environment(**others: str) -> Iterator[None]:
    """Environment variables that worker processes started inside inherit, and `others`."""
    wanted = {
        # workers import this very code, whatever folder they start in (it may have a models/ of its own)
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(SEARCH_PATH), os.environ.get("PYTHONPATH")))),
        CODE: code_folder(),
        **KEEP_MEMORY,
        **others,
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


def pick_device(name: str, gpus: int = 0) -> torch.device:
    """The torch device of `auto`, `cpu` or `cuda`; gpus: what the run was given of them, which `auto` must then use.

    Raises `UnpreparedError` when one was asked for and torch sees none.
    """
    available = torch.cuda.is_available()
    if not available and (name == "cuda" or (name == "auto" and gpus)):
        asked = "device=cuda" if name == "cuda" else f"launcher.gpus={gpus}"
        raise UnpreparedError(
            f"{asked}, but torch {torch.__version__} sees no CUDA device on {platform.node()}. Use device=cpu, or "
            "a machine with a GPU and a torch that is built for its driver."
        )
    return torch.device("cuda" if name != "cpu" and available else "cpu")
