"""Where the code lies, asked in one place: a move must not leave a fingerprint of nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from spike_ssm.harness.system.root import ROOT, source_files
from spike_ssm.harness.training.checkpoint import SOURCES


def test_the_root_holds_the_folders_of_the_code() -> None:
    assert all((ROOT / name).is_dir() for name in ("harness", "models", "reports", "results", "sweeps"))
    assert (ROOT / "pyproject.toml").samefile(Path(__file__).resolve().parents[3] / "pyproject.toml")


def test_the_sources_that_decide_a_result_are_all_found() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in source_files(*SOURCES)}
    assert {"models/network.py", "models/ops/refractory_lif/fused_cpu.py"} <= found


def test_a_pattern_that_matches_no_file_raises() -> None:
    with pytest.raises(FileNotFoundError, match=r"matches harness/gone/\*\.py: a source was moved"):
        source_files("models/*.py", "harness/gone/*.py")
