"""Accuracy by groups of test examples, from what runs store."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from spike_ssm.reports.render.palette import looks
from spike_ssm.reports.tables.groups import group_table, weaker_rules, where_shortcut_is_wrong


def run(variant: str, seed: int, right: float, wrong: float) -> dict[str, Any]:
    def row(grouping: str, group: str, examples: int, accuracy: float, shortcut: float) -> dict[str, Any]:
        names = ("grouping", "group", "examples", "accuracy", "shortcut_accuracy")
        return dict(zip(names, (grouping, group, examples, accuracy, shortcut), strict=True))

    groups = [row("shortcut", "right", 1200, right, 1.0), row("shortcut", "wrong", 800, wrong, 0.0)]
    groups.append(row("depth", "1", 2000, (right + wrong) / 2, 0.6))
    rules = [{"name": "one level", "accuracy": 0.6}, {"name": "all digits", "accuracy": 0.4}]
    return {"variant": variant, "seed": seed, "groups": groups, "rules": rules}


@pytest.fixture
def runs() -> pd.DataFrame:
    return pd.DataFrame([run("plain", 0, 0.9, 0.20), run("plain", 1, 0.8, 0.30), run("other", 0, 0.7, 0.1)])


def test_accuracy_where_the_shortcut_is_wrong_is_each_runs_own(runs: pd.DataFrame) -> None:
    assert where_shortcut_is_wrong(runs).tolist() == [0.2, 0.3, 0.1]
    older = pd.DataFrame({"groups": [None, []]})
    assert where_shortcut_is_wrong(older).isna().all()


def test_rules_besides_the_shortcut_are_reference_rows(runs: pd.DataFrame) -> None:
    assert weaker_rules(runs) == {"all digits": pytest.approx(0.4)}
    assert weaker_rules(runs.assign(rules=None)) == {}


def test_every_variant_has_its_mean_on_every_group_beside_the_shortcuts(runs: pd.DataFrame) -> None:
    table = group_table(runs, looks(["plain", "other"], "plain"))
    assert table is not None
    assert [(heading.group, heading.text) for heading in table.headings] == [
        ("shortcut", "right (1,200)"), ("shortcut", "wrong (800)"), ("depth", "1 (2,000)"),
    ]  # fmt: skip
    cells = {row.head: row.cells for row in table.rows}
    assert cells["plain"][0] == "85.00 (80.00 to 90.00, 2 seeds)"
    assert cells["other"] == ("70.00", "10.00", "40.00")
    assert cells["Shortcut"] == ("100.00", "0.00", "60.00")


def test_runs_without_groups_have_no_such_table(runs: pd.DataFrame) -> None:
    assert group_table(runs.assign(groups=None), looks(["plain", "other"], "plain")) is None
