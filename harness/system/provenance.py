"""Provenance of a result: versions, device, threads and the version of this code."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from spike_ssm.harness.system.root import ROOT, fingerprint
from spike_ssm.harness.system.seeds import STREAMS

LIBRARIES = ("torch", "numpy", "numba", "hydra-core", "submitit", "pyarrow")


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


@functools.cache
def sources() -> str:
    """Twelve hexadecimal digits, a hash of the modules that decide what a run's numbers are, committed or not.

    They are those of the models, the data and the training, so that work on reports or commands leaves it as it is.
    """
    return fingerprint(*(f"{room}/**/*.py" for room in ("models", "harness/data", "harness/training")))


def environment(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """Versions, machine, device, threads of each of the processes that train together, streams, sources: for JSON."""
    return {
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "processes": processes,
        "seed_streams": STREAMS,
        "sources": sources(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
