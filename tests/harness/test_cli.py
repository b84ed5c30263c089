"""What all commands share: their help and their refusals need nothing that takes seconds to import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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
