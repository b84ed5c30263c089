"""Where a result came from: versions, device, threads and the version of this code."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from spike_ssm.harness.system.root import ROOT, SEARCH_PATH
from spike_ssm.harness.system.seeds import STREAMS

KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""Environment variables for processes that train: without them glibc gives each step's tensors back to the system and
faults them in again at the next step."""

LIBRARIES = ("torch", "numpy", "numba", "hydra-core", "submitit", "pyarrow")


def compute_with(threads: int) -> None:
    """Have this process, and the threads that it will start, compute with so many, and take subnormal numbers for zero.

    A refractory current that has decayed below 1e-38 would otherwise slow its neuron down, to no purpose.
    """
    torch.set_flush_denormal(True)  # before threads are started, which inherit it
    torch.set_num_threads(threads)


@functools.cache
def code_version() -> str:
    """The git commit of a checkout (with `+changes` when it has uncommitted ones), else the package's version."""
    if not (ROOT / ".git").exists():
        return f"spike-ssm {importlib.metadata.version('spike-ssm')}"
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+changes" if changes else commit


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


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


def environment(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """Versions, machine, device, threads of each of the processes that train together, and seed streams: for JSON."""
    return {
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "processes": processes,
        "seed_streams": STREAMS,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
