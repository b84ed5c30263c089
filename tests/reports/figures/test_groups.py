"""The figure of accuracy by groups of test examples: a row a group, the shortcut beside the networks."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from spike_ssm.reports.figures.groups import MOST_VARIANTS, TITLE, accuracy_by_group
from spike_ssm.reports.render import palette

OPERATORS = {"MAX": (0.8, 0.75), "SM": (0.1, 0.25)}


def entries(offset: float) -> list[dict[str, object]]:
    """The groups of a run: two of a question of the task's own, and by whether the shortcut is right."""
    own = [
        {"grouping": "outermost operator", "group": group, "accuracy": accuracy + offset, "shortcut_accuracy": shortcut}
        for group, (accuracy, shortcut) in OPERATORS.items()
    ]
    rule = [
        {"grouping": "shortcut", "group": group, "accuracy": 0.4 + offset, "shortcut_accuracy": float(group == "right")}
        for group in ("right", "wrong")
    ]
    return [*rule, *own]


def runs_of(variants: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"variant": f"v{number}", "seed": seed, "groups": entries(seed / 100)}
            for number in range(variants)
            for seed in (0, 1)
        ]
    )


def drawn(runs: pd.DataFrame):
    variants = list(dict.fromkeys(runs["variant"]))
    return accuracy_by_group(runs, palette.looks(variants, "v0"), "g")


def test_every_group_is_a_row_the_tasks_own_questions_first():
    figure = drawn(runs_of(2))
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)
    rows = ["outermost operator: MAX", "SM", "where the shortcut is right", "where the shortcut is wrong"]
    assert [text for text in texts if text in rows] == rows


def test_the_label_says_what_the_shortcut_reaches():
    figure = drawn(runs_of(1))
    assert "outermost operator: MAX: shortcut 75.0 %; outermost operator: SM: shortcut 25.0 %" in figure.svg
    assert "where the shortcut is wrong: shortcut 0.0 %" in figure.svg


def test_few_enough_variants_are_drawn_and_the_caption_counts_them():
    assert "Drawn" not in drawn(runs_of(MOST_VARIANTS)).caption
    assert f"Drawn: the first {MOST_VARIANTS} variants." in drawn(runs_of(MOST_VARIANTS + 1)).caption


@pytest.mark.parametrize("groups", [None, []], ids=["not kept", "a task without groups"])
def test_runs_without_groups_have_no_such_figure(groups):
    assert drawn(runs_of(1).assign(groups=[groups, groups])) is None


def test_its_title_is_that_of_a_file():
    assert drawn(runs_of(1)).title == TITLE
