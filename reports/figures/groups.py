"""The figure of accuracy by groups of test examples: what a network answers and the shortcut does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spike_ssm.reports.loading.sweep import unfold
from spike_ssm.reports.render import svg
from spike_ssm.reports.render.drawn import Drawn, finished
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.text import number
from spike_ssm.results.schema import SHORTCUT

MOST_VARIANTS = 8
"""Variants drawn, the first ones: as many points a group are told apart."""

TITLE = "Accuracy by group of test examples"
WIDTH_OF_A_GROUP = 0.8
"""Part of the distance between two groups that a group's points are spread over."""

_NUMBERS = ("grouping", "group", "accuracy", "shortcut_accuracy")
_OF_THE_RULE = {"right": "where the shortcut is right", "wrong": "where the shortcut is wrong"}


def accuracy_by_group(runs: pd.DataFrame, looks: Mapping[str, Look], name: str) -> Drawn | None:
    """Mean test accuracy in % of every variant on every group, a row a group; None where runs hold no groups."""
    found = unfold(runs, "groups")
    if found.empty:
        return None
    variants = list(dict.fromkeys(found["variant"]))[:MOST_VARIANTS]
    groups = list(dict.fromkeys(zip(found["grouping"], found["group"], strict=True)))
    groups = sorted(groups, key=lambda group: group[0] == SHORTCUT)  # the task's own questions first
    by_group = dict(iter(found.groupby(["grouping", "group"], sort=False)))
    sentences = []
    with svg.drawing():
        axes = svg.framed(Figure(figsize=(4.5, 0.6 + 0.32 * len(groups))), left=1.75).add_subplot()
        for place, group in enumerate(groups):
            own = by_group[group]
            _group(axes, place, own[own["variant"].isin(variants)], variants, looks)
            shortcut = own["shortcut_accuracy"].mean() * 100
            axes.plot([shortcut] * 2, [place - 0.45, place + 0.45], color=svg.MUTED, lw=2.2, zorder=1)
            sentences.append(f"{_named(*group)}: shortcut {number(shortcut, 1)} %")
        axes.set(xlabel="test accuracy, %", ylim=(len(groups) - 0.4, -0.6), xlim=(0, 100))
        axes.set_yticks(range(len(groups)), _labels(groups), size=8)
        for place, (before, after) in enumerate(pairwise(groups)):
            if before[0] != after[0]:
                axes.axhline(place + 0.5, color=svg.MUTED, lw=0.5, zorder=0)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x")
        caption = (
            "What lies right of the bar, the shortcut, was learned beyond it; a point is a variant's mean over seeds."
        )
        left = found["variant"].nunique() - len(variants)
        caption += f" Drawn: the first {len(variants)} variants." if left else ""
        numbers = found.loc[found["variant"].isin(variants), ["variant", "seed", *_NUMBERS]]
        return finished(axes, name, TITLE, caption, f"{TITLE}: {'; '.join(sentences)}.", numbers, looks)


def _group(axes: Axes, place: int, own: pd.DataFrame, variants: list[str], looks: Mapping[str, Look]) -> None:
    """Draw the means of one group, one below the other, each with a line from its lowest to its highest seed."""
    for rank, variant in enumerate(variants):
        accuracy = own.loc[own["variant"] == variant, "accuracy"] * 100
        look = looks[variant]
        height = place + ((rank + 0.5) / len(variants) - 0.5) * WIDTH_OF_A_GROUP
        axes.plot([accuracy.min(), accuracy.max()], [height] * 2, color=look.placeholder, lw=0.9, zorder=2)
        axes.scatter(
            accuracy.mean(), height, s=16, marker=look.marker, color=look.placeholder, edgecolors=svg.PAGE,
            linewidths=0.4, zorder=3,
        )  # fmt: skip


def _labels(groups: Sequence[tuple[str, str]]) -> list[str]:
    """A label for each group; of the task's own groupings the name is said once."""
    first = dict(reversed(groups))
    return [
        _named(grouping, group) if grouping == SHORTCUT or first[grouping] == group else group
        for grouping, group in groups
    ]


def _named(grouping: str, group: str) -> str:
    return _OF_THE_RULE.get(group, group) if grouping == SHORTCUT else f"{grouping}: {group}"
