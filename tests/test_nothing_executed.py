"""Nothing that is read from a file is executed: no pickle is loaded, and no text is run as code or by a shell."""

from __future__ import annotations

import ast
import io
import logging
import os
from pathlib import Path

import pytest
import torch

from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.system.root import ROOT
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.weights import read_weights
from spike_ssm.results.errors import UserError

SOURCES = sorted(path for room in ("harness", "models", "reports", "results") for path in (ROOT / room).rglob("*.py"))

NEVER = {
    *("eval", "exec", "pickle.load", "marshal.load", "marshal.loads", "cloudpickle.load", "cloudpickle.loads"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "joblib.load", "pd.read_pickle"),
}
NEEDS = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "subprocess.run": ("shell", False),
    "subprocess.Popen": ("shell", False),
}
"""Functions -> the argument that makes them harmless."""
HARMLESS = {"subprocess.run", "subprocess.Popen"}
"""Of these, those that are harmless without it."""
OWN = {("harness/config/compose.py", "pickle.loads")}
"""What this process has pickled itself a moment ago."""


def faults(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name, place = ast.unparse(node.func), str(path.relative_to(ROOT))
        if name in NEVER or (name == "pickle.loads" and (place, name) not in OWN):
            found.append(f"{place}:{node.lineno} {name}")
        if name in NEEDS:
            argument, value = NEEDS[name]
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if given.get(argument, str(value) if name in HARMLESS else None) != str(value):
                found.append(f"{place}:{node.lineno} {name} without {argument}={value}")
    return found


def test_no_module_loads_pickles_or_runs_texts() -> None:
    assert [fault for path in SOURCES for fault in faults(path)] == []


class Call:
    """Pickles to a call that writes to a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo > {self.canary}",)


@pytest.mark.fault(
    "Somebody puts a pickle that runs a program in the place of a checkpoint or of kept weights.",
    "It is not loaded: the checkpoint counts as damaged, and the weights are refused in a sentence.",
)
def test_a_pickle_in_the_place_of_weights_is_not_executed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, canary = RunFiles(tmp_path, "0123456789ab"), tmp_path / "canary"
    for path in (files.weights, files.checkpoints / "00000001.safetensors"):
        path.parent.mkdir(parents=True)
        torch.save({"weights": Call(canary)}, path)
    torch.load(io.BytesIO(files.weights.read_bytes()), weights_only=False)
    canary.unlink()  # it does harm where it is loaded
    with caplog.at_level(logging.WARNING):
        assert Checkpoints(files.checkpoints, files.run_id).latest() is None
    assert "is not used: it is damaged" in caplog.text
    with pytest.raises(UserError, match="are damaged or missing"):
        read_weights(tmp_path, files.run_id)
    assert not canary.exists()
