"""The packaged sweeps are as large as documented, and their run ids stay: earlier results are found again.

run_ids.json has, for every packaged sweep at every scale, how many runs it has and a hash of their ids in order. A
change of these is a change of what is measured: it needs a reason, and an entry in CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from spike_ssm.harness.config.command_line import CommandLine
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import SCALES
from spike_ssm.harness.plan.grid import Grid, expand
from spike_ssm.harness.plan.sweep_file import named_sweep
from spike_ssm.harness.system.root import ROOT
from tests.harness.conftest import sweeps_for

NONE = "\N{EN DASH}"  # stands where a sweep is not for a scale
KNOWN = json.loads(Path(__file__).with_name("run_ids.json").read_text())


def grid_of(composer: Composer, sweep: str, scale: str) -> Grid:
    command = CommandLine(sweep, {"scale": scale, "launcher": "debug"})
    return expand(composer, command, named_sweep(composer, command))


def summary(grid: Grid) -> dict[str, object]:
    ids = [run.plan.id for run in grid.runs]
    return {"runs": len(ids), "sha256": hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16]}


@pytest.mark.parametrize("scale", SCALES)
def test_every_packaged_sweep_is_valid_as_large_as_documented_and_has_the_ids_that_it_had(
    composer: Composer, scale: str
) -> None:
    page = (ROOT / "docs" / "reports.md").read_text()
    rows = re.findall(rf"^\| `(\w+)` \| [^|]+ \| ([{NONE}0-9, ]+) \|$", page, re.MULTILINE)
    counts = {name: each.split(", ")[SCALES.index(scale)] for name, each in rows}
    stated = {name: int(count) for name, count in counts.items() if count != NONE}
    found = {name: grid_of(composer, name, scale) for name in sweeps_for(composer, scale)}
    if scale == "laptop":
        assert all(len(grid.runs) <= 60 for grid in found.values()), "the laptop scale is for minutes"
    assert all(grid.baseline in {None, *(run.plan.variant for run in grid.runs)} for grid in found.values())
    assert stated == {name: len({run.plan.id for run in grid.runs}) for name, grid in found.items()}
    known = {key.removesuffix(f" {scale}"): value for key, value in KNOWN.items() if key.endswith(f" {scale}")}
    assert {name: summary(grid) for name, grid in found.items()} == known


def test_the_refractory_ablation_has_the_ids_that_it_had(composer: Composer) -> None:
    assert grid_of(composer, "ablation_refractory", "laptop").runs[0].plan.id == "acd0d04a9cd9"
