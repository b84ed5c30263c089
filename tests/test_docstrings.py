"""A docstring begins with what is returned or done, so that an editor's hover says something by itself.

"Of spikes [H, L] of one sequence." says nothing there; "The packed raster of the spikes [H, L] of one sequence." does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from spike_ssm.harness.system.root import ROOT

FOLDERS = ("harness", "models", "reports", "results", "benchmarks", "src/spike_ssm", "examples")
OPENINGS = (
    *("Of", "Those", "That", "As", "So", "By", "For", "With", "Where", "Whoever", "To", "In", "The same", "Not", "And"),
    *("Also", "Is told", "Is shown"),
)
"""Words that a docstring does not begin with: what follows them is about something that is not named yet."""

_BAD = re.compile(rf"({'|'.join(OPENINGS)})\b")


def bad_openings(source: str) -> Iterator[tuple[int, str]]:
    """Line and first words of the docstrings, and of texts under constants, that begin with one of `OPENINGS`."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for each in body if isinstance(body, list) else []:
            match each:
                case ast.Expr(ast.Constant(str(text))) if _BAD.match(text.strip()):
                    yield each.lineno, text.strip()[:60]


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_begin_with_what_is_returned_or_done(folder: str) -> None:
    pattern = "*.py" if folder == "src/spike_ssm" else "**/*.py"  # which has links to the other folders
    paths = sorted((ROOT / folder).glob(pattern))
    assert paths
    found = [f"{path}:{line}: {words}" for path in paths for line, words in bad_openings(path.read_text())]
    assert found == []


def test_a_bad_opening_is_found_and_a_good_one_is_not() -> None:
    bad = 'X = 1\n"""Of a run."""\n\n\ndef f():\n    """As g, but slower."""\n'
    assert list(bad_openings(bad)) == [(2, "Of a run."), (6, "As g, but slower.")]
    assert not list(bad_openings('"""Offsets of parts, as stored."""\nX = 1\n"""Parts of a run."""\n'))
