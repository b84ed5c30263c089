"""The GPU kernels where there is no GPU: interpreted on CPU tensors, and compiled for two generations of GPUs.

Triton reads when it is imported whether it is to interpret, and torch may import it first. So both are done in
processes of their own, which run the tests of kernels_interpreted.py and of kernels_compiled.py.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux")


def at_least(package: str, *release: int) -> bool:
    """Whether the package is here in this version or a later one."""
    if importlib.util.find_spec(package) is None:
        return False
    return tuple(map(int, version(package).split(".")[:2])) >= release


def run_tests(name: str, tmp_path: Path, **environment: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRITON_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", Path(__file__).with_name(name)],
        cwd=Path(__file__).parents[2],
        env={**kept, "TRITON_CACHE_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    at_least("numpy", 2, 4) and not at_least("triton", 3, 7), reason="Triton's interpreter knows numpy 2.4 since 3.7"
)
def test_the_gpu_kernels_give_the_reference_spikes_and_gradients(tmp_path: Path) -> None:
    run_tests("kernels_interpreted.py", tmp_path, TRITON_INTERPRET="1")


@pytest.mark.slow
def test_the_gpu_kernels_compile_for_two_generations_without_spilling_registers(tmp_path: Path) -> None:
    run_tests("kernels_compiled.py", tmp_path)


def test_without_a_gpu_nothing_imports_triton() -> None:
    program = (
        "import sys, torch\n"
        "before = 'triton' in sys.modules\n"
        "import spike_ssm.models.network\n"
        "assert ('triton' in sys.modules) == before\n"
        "assert not [name for name in sys.modules if name.startswith('spike_ssm.') and name.endswith('_triton')]\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)
