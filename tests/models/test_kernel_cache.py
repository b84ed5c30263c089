"""Compiled kernels have a place, whatever can be written to."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from spike_ssm.harness.system.root import ROOT

PROGRAM = """
import numba
import spike_ssm.models.ops.refractory_lif.fused_cpu
import spike_ssm.harness.data.tasks.listops
print(numba.config.CACHE_DIR)
"""


@pytest.mark.slow
@pytest.mark.fault(
    "Neither the home nor the folder that the package lies in can be written to.",
    "Kernels are kept in a temporary folder of the user's own.",
)
def test_without_a_writable_home_kernels_are_kept_in_a_private_temporary_folder(tmp_path: Path) -> None:
    package, temporary = tmp_path / "spike_ssm", tmp_path / "temporary"
    temporary.mkdir()
    for room in ("harness", "models", "results"):
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__", "measured", "runs"))
    shutil.copy(ROOT / "src" / "spike_ssm" / "__init__.py", package)
    for folder in {path.parent for path in package.rglob("*.py")}:
        (folder / "__pycache__").touch()  # root may write to every folder, but not into a file
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG", "NUMBA"))}
    places = {"HOME": "/dev/null/nowhere", "TMPDIR": str(temporary), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], env={**kept, **places}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.parent == temporary
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
