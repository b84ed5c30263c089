"""What docs/tasks.md says that simple rules reach at the laptop scale is what they reach."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.system.root import ROOT
from spike_ssm.harness.tasks import Chosen

SECTION = (ROOT / "docs" / "tasks.md").read_text().partition("## Baselines")[2].partition("\n## ")[0]
STATED = {
    task: [float(each) for each in cells.split("|")[:3]]
    for task, cells in re.findall(r"^\| `(\w+)` \| ((?:[\d.]+ \| ){2}[\d.]+) \|$", SECTION, re.MULTILINE)
}


def test_every_stand_in_of_the_laptop_scale_that_needs_no_file_is_there() -> None:
    assert set(STATED) == {
        *("listops", "mnist_digits", "pathfinder_small", "pathx_small", "bbc_words"),
        *("bbc_articles", "bbc_order", "bbc_order_pairs", "bbc_pairs"),
    }


@pytest.mark.parametrize("task", STATED)
def test_the_rules_reach_what_is_stated(task: str, composer: Composer, tmp_path: Path) -> None:
    found = Chosen.of(task, [], composer).task.prepare(tmp_path, tmp_path).baselines
    assert [accuracy * 100 for accuracy in found.rules.values()] == pytest.approx(STATED[task], abs=0.06)


@pytest.mark.parametrize("task", STATED)
def test_the_shortcut_is_the_strongest_of_the_rules(task: str) -> None:
    assert STATED[task][0] == max(STATED[task])
