"""How commands end: with sentences, in every terminal."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.results.errors import exit_status

PROGRAM = r"""
import sys
from spike_ssm.results.errors import UserError, exit_status

def command():
    print("listops \xb7 0.5")
    raise UserError("No run \u201c\xe9\u201d is here.")

sys.exit(exit_status(command))
"""


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="ascii"),
        pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="c-locale"),
    ],
)
def test_a_terminal_that_lacks_characters_is_shown_their_numbers(variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "listops \\xb7 0.5\n")
    assert done.stderr == "Error: No run \\u201c\\xe9\\u201d is here.\n"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to everything, where the tests have it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    path = tmp_path / "manifest.json"
    path.touch()
    path.chmod(stat.S_IWUSR)
    with as_nobody():
        assert exit_status(lambda: len(path.read_bytes())) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Error: {path} may not be read or written by you (Permission denied). ")
    assert len(said.splitlines()) == 1
