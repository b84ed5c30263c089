"""What a result says of the code that computed it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spike_ssm.harness.system import root
from spike_ssm.harness.system.provenance import environment, sources


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root folder of some code, a module a room."""
    for room in ("models/neurons", "harness/data", "harness/training", "harness/commands", "reports"):
        (tmp_path / room).mkdir(parents=True)
        (tmp_path / room / "one.py").write_text("NUMBER = 1\n")
    monkeypatch.setattr(root, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("module", ["models/neurons/one.py", "harness/data/one.py", "harness/training/one.py"])
def test_code_that_decides_an_outcome_changes_the_sources(code: Path, module: str) -> None:
    before = sources.__wrapped__()
    assert len(before) == 12
    (code / module).write_text("NUMBER = 2\n")
    changed = sources.__wrapped__()
    (code / module).rename((code / module).with_name("two.py"))
    assert len({before, changed, sources.__wrapped__()}) == 3


@pytest.mark.parametrize("module", ["reports/one.py", "harness/commands/one.py", "models/note.txt"])
def test_other_files_leave_the_sources_as_they_are(code: Path, module: str) -> None:
    before = sources.__wrapped__()
    (code / module).write_text("NUMBER = 2\n")
    assert sources.__wrapped__() == before


def test_the_environment_of_a_run_names_the_sources() -> None:
    assert environment(torch.device("cpu"))["sources"] == sources()
