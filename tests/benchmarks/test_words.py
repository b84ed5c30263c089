"""The help of every benchmark, which needs none of what it measures."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spike_ssm.harness.system.root import ROOT

COMMANDS = [path.stem for path in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in path.read_text()]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_given_without_torch(name: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: benchmarks.{name} [-h]")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "numba", "numpy", "pandas", "spike_ssm"}
