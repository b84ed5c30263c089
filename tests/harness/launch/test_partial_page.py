"""The page of a sweep while its runs go on: by a process of its own, which disturbs no run and outlives no sweep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from spike_ssm.harness.launch.partial_page import PartialPage
from spike_ssm.harness.state.survey import RunState
from spike_ssm.results.process import start_of
from spike_ssm.results.store import read_manifest
from tests.harness.waiting import wait_for

DONE, RUNNING, WAITING = RunState("done"), RunState("running"), RunState("waiting")
SWEEP = """
import sys, time
from pathlib import Path
from spike_ssm.harness.launch.partial_page import PartialPage
from spike_ssm.harness.state.survey import RunState
with PartialPage("mini", Path(sys.argv[1]), Path(sys.argv[2]), [], []) as page:
    page({"a": RunState("running")})
    print(*page.processes(), flush=True)
    time.sleep(600)
"""


def page_of(results: Path, *needed: set[str], ended: set[str] = frozenset()) -> PartialPage:
    return PartialPage("mini", results, results.parent / "html" / "mini.html", needed, ended)


def test_it_begins_once_a_run_of_every_variant_has_ended_and_while_others_go_on(tmp_path: Path) -> None:
    needed = {"a0", "a1"}, {"b0", "b1"}
    states = {"a0": DONE, "a1": RUNNING, "b0": WAITING, "b1": WAITING}
    with page_of(tmp_path, *needed) as page:
        page(states)
        assert page.processes() == []
        assert page.line == f"Report: {page.page}, first written after one seed of each variant"
        page({**states, "b0": RunState("failed")})
        assert len(page.processes()) == 1
        assert page.line == f"Report: {page.page}, written as results come"
    with page_of(tmp_path, *needed, ended={"b0"}) as page:  # by an earlier command
        page({"a0": DONE, "a1": RUNNING})
        assert len(page.processes()) == 1
    with page_of(tmp_path, *needed) as page:
        page(dict.fromkeys(("a0", "a1", "b0", "b1"), DONE))
        assert page.processes() == [], "the whole one is near"


def test_what_befalls_the_page_is_a_line(tmp_path: Path) -> None:
    with page_of(tmp_path) as page:  # there is no such sweep
        page({"a": RUNNING})
        said: list[str] = []
        wait_for(lambda: said.extend(page.trouble()) or said, "its last words")
    assert len(said) == 1
    assert said[0].startswith("Error: No sweep named 'mini' has been run in ")


@pytest.mark.slow
def test_results_so_far_are_on_a_page_that_says_so_and_the_sweep_makes_it_whole(place: Any) -> None:
    place.sweep("seed=0,1")
    late = [run.id for run in read_manifest(place.results, "mini").runs if run.seed == 1]
    for run_id in late:
        (place.results / "rows" / f"{run_id}.parquet").unlink()
    page = place.reports / "mini.html"
    page.unlink()
    with PartialPage("mini", place.results, page, [], []) as partial:
        partial(dict.fromkeys(late, WAITING))
        (pid,) = partial.processes()
        wait_for(page.exists, "the partial page")
        assert psutil.Process(pid).nice() > psutil.Process().nice()
        assert partial.trouble() == []
    assert "Partial: 2 of 4 runs finished." in page.read_text()
    assert start_of(pid) is None, "it ends with the runs"
    assert place.sweep("seed=0,1").status == 0
    assert "Partial" not in page.read_text()


@pytest.mark.slow
def test_it_ends_when_the_sweep_is_killed(place: Any) -> None:
    place.sweep()
    for row in place.results.glob("rows/*.parquet"):
        row.unlink()
    command = [sys.executable, "-c", SWEEP, str(place.results), str(place.reports / "mini.html")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sweep:
        place.started.append(sweep)
        assert sweep.stdout is not None
        pid = int(sweep.stdout.readline())
        assert start_of(pid) is not None
        sweep.kill()
    wait_for(lambda: start_of(pid) is None, "the page's process to end")
