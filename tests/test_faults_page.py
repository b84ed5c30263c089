"""The table of faults in docs/cluster.md has a row for each test that injects one, and its own words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.conftest import PAGE, TABLE

TESTS = Path(__file__).parent


def marked() -> set[tuple[str, str, str]]:
    """Fault, promise and test of every marker in the tests' sources."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                    fault, promise = (ast.literal_eval(argument) for argument in decorator.args)
                    found.add((fault, promise, f"[`{node.name}`](../tests/{path.relative_to(TESTS)})"))
    return found


def test_the_table_of_faults_is_what_the_tests_wrote_and_every_promise_holds() -> None:
    table = TABLE.search(PAGE.read_text())
    assert table is not None
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table[0].splitlines()[2:]]
    assert {tuple(row[:3]) for row in rows} == marked(), "write it anew: python -m pytest --fault-table -m fault"
    assert {row[3] for row in rows} == {"holds"}
