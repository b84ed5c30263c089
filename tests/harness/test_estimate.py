"""What a sweep says of its cost: before it is started, and on its page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.results.costs.estimate import read_estimates

COST = re.compile(r"Cost: About (\S+) (s|min) \(.* to .*\) with 1 at a time, \S+ core hours .*")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Any:
    """The tiny sweep of two leaks: its dry run, which times steps, then its runs."""
    from tests.harness.conftest import Place

    place = Place(tmp_path_factory.mktemp("place"), cache)
    place.sweep_file("mini")
    dry = place.sweep("dry_run=true", "estimate=true")
    files = list(place.folder.rglob("*"))
    return place, dry, files, place.sweep("estimate=true")


def test_a_dry_run_tells_the_cost_from_timed_steps_and_leaves_no_file(sweep: Any) -> None:
    _, dry, files, _ = sweep
    assert (dry.status, dry.err) == (0, [])
    assert COST.fullmatch(dry.out[-1])
    assert "(2 runs from steps timed here)." in dry.out[-1]
    assert {path.name for path in files} == {"config", "sweep", "mini.yaml"}


def test_what_was_timed_is_not_timed_again(sweep: Any) -> None:
    _, dry, _, run = sweep
    assert sum(line.startswith("Timing steps of 1 kinds of run") for line in dry.out) == 1
    assert not any(line.startswith("Timing steps") for line in run.out)
    assert [line for line in run.out if line.startswith("Cost: ")] == [dry.out[-1]]


def test_the_estimate_is_kept_and_the_page_holds_it_against_what_the_runs_took(sweep: Any) -> None:
    place, _, _, run = sweep
    kept = read_estimates(place.results, "mini")
    assert set(kept.runs) == set(place.rows())
    page = Path(run.out[-1]).read_text()
    (said,) = re.findall('<p id="cost">(.*)</p>', page)
    assert re.fullmatch(
        r"The 2 finished runs took \S+ core hours\. When they were started, \S+ core hours were estimated: .*\. "
        r"All were done after \d+ s; \d+ s were estimated: .*\.",
        said,
    )


def test_finished_runs_are_the_evidence_for_further_seeds(sweep: Any) -> None:
    place, *_ = sweep
    outcome = place.sweep("seed=1,2", "dry_run=true", "estimate=true")
    assert outcome.out[-2] == "4 runs, 4 to run, 0 skipped."
    assert "(4 runs from finished runs like them)." in outcome.out[-1]


def test_only_what_is_still_to_run_is_in_it(sweep: Any) -> None:
    place, *_ = sweep
    assert place.sweep("dry_run=true", "estimate=true").out[-1] == "2 runs, 0 to run, 2 skipped."
    assert "(2 runs from finished" in place.sweep("seed=0,1", "dry_run=true", "estimate=true").out[-1]


def test_a_sweep_over_its_budget_stops_with_how_to_narrow_it_and_starts_nothing(sweep: Any) -> None:
    place, *_ = sweep
    seconds = max(row["duration_s"] for row in place.rows().values())
    hours = 2 * seconds / 3600
    outcome = place.sweep("seed=3,4,5,6", "estimate=true", f"max_hours={hours}")
    assert outcome.status == 1
    (sentence,) = outcome.err
    assert re.fullmatch(
        rf"Error: The runs would take about .* more than max_hours={hours} \(.*\)\. Narrow the sweep \(seed=3 alone "
        r"takes about .*\), or raise max_hours\. Nothing was started\.",
        sentence,
    )
    assert len(place.rows()) == 2
    assert {run["seed"] for run in json.loads((place.results / "sweeps" / "mini.json").read_text())["runs"]} == {0}


def test_a_budget_below_one_run_says_what_one_takes(sweep: Any) -> None:
    place, *_ = sweep
    outcome = place.sweep("seed=3", "estimate=true", "max_hours=0.000001")
    assert outcome.status == 1
    assert "and the shortest of these runs alone takes about" in outcome.err[0]


def test_a_budget_that_is_kept_to_runs(sweep: Any) -> None:
    place, *_ = sweep
    assert place.sweep("seed=1", "neuron.leak=0.5", "estimate=true", "max_hours=10").status == 0


def test_where_nothing_can_be_timed_a_range_is_said(place: Any) -> None:
    words = ("launcher=local", "launcher.workers=2", "launcher.gpus=1", "dry_run=true", "estimate=true")
    place.sweep_file("mini", base={})
    assert "What this costs cannot be said: 2 runs have neither finished runs" in place.sweep(*words).out[-1]
    limited = place.sweep(*words, "launcher.timeout_minutes=30")
    assert "Between 0 s and 30 min with 2 at a time, up to 1 core hours, up to 1 GPU hours" in limited.out[-1]
    refused = place.sweep(*words[:3], "estimate=true", "max_hours=1")
    assert refused.status == 1
    assert "max_hours=1 cannot be kept to: What this costs cannot be said" in refused.err[0]
