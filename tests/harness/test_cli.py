"""What all commands share: their help and their refusals need nothing that takes seconds to import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spike_ssm.harness.system.root import ROOT

HEAVY = ["torch", "numba", "pandas", "scipy", "datasets"]
ASKED = {
    "harness.sweep": [["--help"], ["+sweep=nope"], ["-m"], ["neuron.leak"]],
    "harness.tune": [["--help"], ["+sweep=nope", "budget=1"]],
    "harness.study": [["--help"]],
    "harness.train": [["--help"]],
    "harness.status": [["--help"], ["nope"]],
    "harness.retry": [["--help"], ["nope"]],
    "harness.collect": [["--help"], ["nope"]],
    "harness.cancel": [["--help"], ["nope"]],
    "harness.tasks": [["--help"]],
    "harness.gallery": [["--help"]],
    "harness.export": [["--help"], ["nope"]],
    "reports": [["--help"]],
    "results": [["--help"]],
}
CODE = """
import contextlib, importlib, io, json, sys
name, asked, heavy = json.loads(sys.argv[1])
main = importlib.import_module(name).main
for words in asked:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(words)
        except SystemExit:
            pass
print(sorted(set(heavy) & set(sys.modules)))
"""


@pytest.mark.parametrize("program", ASKED)
def test_help_and_mistaken_words_import_nothing_that_takes_seconds(program: str) -> None:
    name = f"spike_ssm.{program}" + (".__main__" if "." not in program else "")
    asked = json.dumps([name, ASKED[program], HEAVY])
    done = subprocess.run([sys.executable, "-c", CODE, asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


INTERRUPTED = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("hydra", "pyarrow", "numpy", "torch", "matplotlib"):
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("program", ASKED)
def test_ctrl_c_while_a_command_is_still_being_imported_is_one_line(program: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    whole = {
        "harness.gallery": [],
        "harness.export": ["x", "--nir", "x"],
        "harness.tasks": ["list"],
        "results": ["pack", "x", "--to", "x"],
    }
    words = whole.get(program, ["x"])
    done = subprocess.run(
        [sys.executable, "-m", program, *words],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr.startswith("Stopped")
