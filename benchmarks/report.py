"""The common part of the benchmarks: how their process runs, and how their numbers are judged and stored."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch

from spike_ssm.harness.system.provenance import code_version, environment
from spike_ssm.harness.system.root import ROOT
from spike_ssm.results.errors import UserError

MEASURED = ROOT / "results" / "measured"
THREADS = 2


def named(what: str, device: torch.device, threads: int = THREADS) -> str:
    """Name of the rows of a benchmark on a device: of a CPU by its vector instructions and its threads."""
    if device.type == "cuda":
        return f"{what}_gpu"
    kind = torch.backends.cpu.get_cpu_capability().lower()
    return f"{what}_{kind}" if threads == THREADS else f"{what}_{kind}_threads_{threads}"


def require_peer(name: str) -> None:
    """Raise `UserError` when the package of a peer is not installed."""
    if importlib.util.find_spec(name) is None:
        raise UserError(
            f"This benchmark measures against {name}, which is not installed: "
            "pip install --no-deps -r requirements-peers.txt"
        )


def start_anew_with(variables: Mapping[str, str]) -> None:
    """Start this process again, as it was called, unless it has the variables, which are read as a process starts."""
    if not variables.keys() <= os.environ.keys():
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **variables})


def verdict(what: str, values: Sequence[float], bound: float, *, at_most: bool = False) -> str:
    """Sentence with the worst of the values, and whether it meets the target."""
    worst = max(values) if at_most else min(values)
    met = worst <= bound if at_most else worst >= bound
    return (
        f"{what}: {worst:,.2f} (target {'at most' if at_most else 'at least'} {bound:,.2f}: "
        f"{'met' if met else 'missed'})"
    )


def save(name: str, rows: Sequence[Mapping[str, Any]], device: torch.device, **columns: Any) -> None:
    """Write the rows to results/measured/NAME.parquet, each with its environment, the code version and `columns`."""
    where = json.dumps(environment(device), sort_keys=True)
    frame = pd.DataFrame(rows).assign(**columns, environment=where, code_version=code_version())
    frame.to_parquet(MEASURED / f"{name}.parquet")
