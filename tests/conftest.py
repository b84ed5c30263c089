"""Tests that inject a fault say which, and what holds after it; from their outcomes docs/cluster.md has its table."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cluster.md"
TABLE = re.compile(r"(?<=<!-- faults -->\n).*?(?=<!-- /faults -->)", re.DOTALL)
OUTCOMES = pytest.StashKey[dict[str, set[str]]]()

# Before torch is imported, here and in what tests start: several processes of tests share the machine, and threads that
# wait would else spin on the cores that the threads need which they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session", autouse=True)
def _private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the user's private folder holds stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKE_SSM_PRIVATE", str(tmp_path_factory.mktemp("private")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder ahead in PATH whose `scontrol` says that this machine belongs to no cluster.

    Wherever these tests run, and although those of `tests/slurm` may start a cluster beside them.
    """
    folder = tmp_path_factory.mktemp("no_cluster")
    (folder / "scontrol").write_text("#!/bin/sh\necho Could not establish a configuration source >&2\nexit 1\n")
    (folder / "scontrol").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        yield folder


@pytest.fixture(autouse=True)
def _subnormal_numbers() -> Iterator[None]:
    """Commands that compute in this process take subnormal numbers for zero; later tests need them."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user can pass, which none of pytest's is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", action="store_true", help="write docs/cluster.md's table from this run")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the files, those with slow tests come first, so that no worker ends with a long one alone."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):  # type: ignore[no-untyped-def]  # pluggy's own type is private
    """Note the outcome of each test that injects a fault."""
    report = yield
    fault = item.get_closest_marker("fault")
    if fault and (report.when == "call" or report.outcome != "passed"):
        path, _, name = item.nodeid.partition("::")
        source = f"[`{name.partition('[')[0]}`](../{path})"
        row = f"{fault.args[0]} | {fault.args[1]} | {source}"
        item.config.stash[OUTCOMES].setdefault(row, set()).add(report.outcome)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table, where that is asked for."""
    if session.config.getoption("--fault-table"):
        rows = [
            f"| {row} | {'holds' if outcomes == {'passed'} else 'does not hold'} |"
            for row, outcomes in session.config.stash[OUTCOMES].items()
        ]
        table = "\n".join(["| fault | promise | test | outcome |", "|---|---|---|---|", *rows, ""])
        PAGE.write_text(TABLE.sub(lambda _: table, PAGE.read_text()))
