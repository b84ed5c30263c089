"""How runs learned, on the page: counts by standing, and a sentence where some did not learn."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spike_ssm.reports.render import palette
from spike_ssm.reports.sections.learning import learning_statement, learning_table
from spike_ssm.results.milestones import Judged

LOOKS = palette.looks(["plain", "other"], "plain")


def runs(**learned: list[Judged]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [{"variant": name, "learned": each} for name, them in learned.items() for each in them]
    return pd.DataFrame(rows)


ABOVE, CHANCE, FAILED = Judged("above the shortcut"), Judged("still at chance"), Judged("diverged")


def test_a_table_counts_the_runs_of_each_variant_by_where_they_stand() -> None:
    table = learning_table("listops", runs(plain=[ABOVE, CHANCE], other=[ABOVE, FAILED]), LOOKS)
    assert table is not None
    assert [heading.text for heading in table.headings] == ["still at chance", "above the shortcut", "diverged"]
    assert {row.head: row.cells for row in table.rows} == {"plain": ("1", "1", "0"), "other": ("0", "1", "1")}


def test_runs_that_ended_early_and_those_that_reached_s4_are_counted_too() -> None:
    stopped, reached = Judged("still at chance", stopped_at=2), Judged("above the shortcut", reached_s4=True)
    table = learning_table("listops", runs(plain=[stopped, reached]), LOOKS)
    assert table is not None
    assert [heading.text for heading in table.headings][-2:] == ["stopped early", "reached S4"]
    assert "of the training with this rule" in table.notes[1]
    assert table.notes[2].startswith("Reached S4: 50% by epoch 10")


def test_where_nothing_is_known_there_is_no_table() -> None:
    assert learning_table("listops", runs(plain=[Judged(None)]), LOOKS) is None


def test_a_sentence_says_which_runs_did_not_learn_and_nothing_where_all_did() -> None:
    (said,) = learning_statement(runs(plain=[CHANCE, CHANCE, ABOVE], other=[FAILED]))
    assert said.text.startswith("2 runs still at chance (2 of plain) and 1 run diverged (other): ")
    (said,) = learning_statement(runs(plain=[Judged("still at chance", stopped_at=2)]))
    assert "1 run stopped early, at epoch 2" in said.text
    assert learning_statement(runs(plain=[ABOVE])) == []
