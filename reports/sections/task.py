"""The section of one task that networks were trained on."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from spike_ssm.reports.figures.forest import effect_forest, forest
from spike_ssm.reports.figures.scaling import lines, scaling_figures
from spike_ssm.reports.findings.accuracy import caveat, task_findings
from spike_ssm.reports.findings.answer import answer
from spike_ssm.reports.findings.controls import control_findings, one_setting_findings, verdicts_in_words
from spike_ssm.reports.findings.factors import effect_findings
from spike_ssm.reports.findings.speed import speed
from spike_ssm.reports.findings.stopping import stopping_statement
from spike_ssm.reports.findings.thresholds import trained_thresholds
from spike_ssm.reports.loading.sweep import correctness
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.statements import Findings, Statement
from spike_ssm.reports.render.table import Table
from spike_ssm.reports.sections.learning import learning_statement, learning_table
from spike_ssm.reports.sections.spike_trains import spike_train_table
from spike_ssm.reports.sections.times import time_tables, with_advice
from spike_ssm.reports.statistics.baseline import compare_with_baseline
from spike_ssm.reports.statistics.controls import control_names, judge
from spike_ssm.reports.statistics.factors import main_effects
from spike_ssm.reports.statistics.followed import Followed
from spike_ssm.reports.statistics.matched import compare_matched
from spike_ssm.reports.statistics.one_setting import under_one_setting
from spike_ssm.reports.statistics.seeds import disagreement
from spike_ssm.reports.statistics.sequential import followed_runs
from spike_ssm.reports.tables import accuracy as tables
from spike_ssm.reports.tables.comparisons import comparison_table
from spike_ssm.reports.tables.controls import control_table, one_setting_table
from spike_ssm.reports.tables.energy import energy_tables
from spike_ssm.reports.tables.factors import effect_table
from spike_ssm.reports.tables.glance import glance_table
from spike_ssm.reports.tables.groups import group_table, weaker_rules
from spike_ssm.reports.tables.matched import matched_table
from spike_ssm.reports.tables.tuning import tagged, tuning_table
from spike_ssm.results.schema import Controls, Manifest, PlannedRun

_MAIN_EFFECTS = {"test_accuracy": "accuracy", "firing_rate": "firing rate", "spike_after_spike": "spike after spike"}
"""Measures whose main effects are tabled, a family each, by what they are called."""

MANY_AXES = 7
"""Axes whose orders are too many to try."""

_IN_WORDS = ("test_accuracy", "firing_rate")
"""Measures whose main effects are findings too."""


@dataclass(frozen=True)
class Section:
    """One task of the page."""

    task: str
    note: str  # what its shortcut is
    answer: list[Statement]  # what is seen first
    glance: Table
    forests: list[Drawn]  # differences from the baseline, and main effects
    findings: list[Findings]
    caveat: str
    main: Table
    learning: Table | None
    groups: Table | None
    tuning: Table | None
    effects: list[Table]  # one a measure
    comparison: Table | None
    matched: Table | None
    controls: list[Table]
    spike_trains: Table | None
    times: list[Table]  # one a machine
    energy: list[Table]
    figures: list[Drawn]
    looks: dict[str, Look]  # of the variants it shows

    @property
    def every_figure(self) -> list[Drawn]:
        """Every figure, in the order of the page."""
        return [*self.forests, *self.figures]

    @property
    def tables(self) -> list[Table]:
        """Every table, in the order of the page."""
        return [
            each
            for each in (
                *(self.main, self.learning, self.groups, self.tuning, self.spike_trains),
                *(*self.times, *self.energy),
                *(*self.effects, self.comparison, self.matched, *self.controls),
            )
            if each
        ]


def _axes(planned: Sequence[PlannedRun]) -> tuple[str, ...]:
    """The axes in whose order labels make the variants' names, which a manifest does not keep; () where none does."""
    axes = {axis for run in planned for axis in run.axes if axis != "task"}
    for order in itertools.permutations(axes) if len(axes) < MANY_AXES else ():
        if all(run.variant == " / ".join(run.axes.get(axis, "") for axis in order) for run in planned):
            return order
    return ()


def task_section(
    manifest: Manifest,
    task: str,
    ended: pd.DataFrame,
    times: pd.DataFrame,
    looks: dict[str, Look],
    drawn: Collection[str],
    place: int,
) -> tuple[pd.DataFrame, Section]:
    """The main table in numbers, and the section, of the runs of one task that `ended`; place: counted from 0.

    times: as `reports.loading.times` has them, of this task.

    drawn: the variants in its figures. Those that are not lines along an axis come later. Of failed runs it says only
    how they learned.
    """
    runs = ended[ended["state"] == "done"]
    looks, line_of = tagged(looks, manifest, [task]), lines(manifest.runs)
    right = correctness(runs)
    alike = _with_the_baselines_data(runs, manifest.baseline)
    there = set(alike["variant"])
    planned = [run for run in manifest.runs if run.variant in there]
    followed = _followed(manifest, task, ended) if manifest.is_sequential else None
    comparisons = compare_with_baseline(alike, manifest.baseline, right, followed)
    disagreements = {
        variant: disagreement(right.get(variant, {}), right.get(comparisons.baseline or "", {}))
        for variant in comparisons.accuracy
    }
    note = manifest.task_notes.get(task, "")
    effects = {of: main_effects(alike, planned, manifest.baseline, of) for of in _MAIN_EFFECTS}
    on_average = [effect_findings(effects[of], _MAIN_EFFECTS[of]) for of in _IN_WORDS]
    asked = manifest.controls or Controls("", [])
    judged, beside, controls = judge(alike, asked), under_one_setting(alike, asked), control_names(asked)
    differences = (
        forest(alike, comparisons, looks, f"d{place}", controls),
        effect_forest(effects["test_accuracy"], f"e{place}"),
    )
    found = (
        *on_average,
        *task_findings(runs, comparisons, manifest.baseline),
        control_findings(judged, asked.of),
        one_setting_findings(beside),
    )
    measured = tables.measurements(task, runs, comparisons, manifest.variant_notes, controls)
    return measured, Section(
        task,
        note,
        answer(
            alike,
            comparisons,
            controls,
            verdicts_in_words(judged, asked.of),
            further=[
                *trained_thresholds(alike, manifest.baseline),
                *speed(times[times["variant"].isin(there)], manifest.baseline),
                *stopping_statement(comparisons, followed),
                *learning_statement(ended),
            ],
        ),
        glance_table(measured, looks, comparisons, controls, _axes(planned)),
        [*filter(None, differences)],
        [*filter(None, found)],
        caveat(runs),
        with_advice(
            tables.main_table(measured, looks, comparisons, note, _data_notes(runs), weaker_rules(runs)),
            times,
            manifest,
        ),
        learning_table(task, ended, looks),
        group_table(runs, looks),
        tuning_table(manifest, task, {variant: looks[variant] for variant in measured["variant"]}),
        [*filter(None, (effect_table(effects[of], called) for of, called in _MAIN_EFFECTS.items()))],
        comparison_table(comparisons, disagreements, looks),
        matched_table(compare_matched(alike, planned, manifest.baseline)),
        [*filter(None, (control_table(judged, looks), one_setting_table(beside, looks)))],
        spike_train_table(runs, looks),
        time_tables(times, {variant: looks[variant] for variant in measured["variant"]}, manifest.baseline),
        energy_tables(runs, looks),
        scaling_figures(_on_lines(runs, line_of, drawn), manifest.runs, looks, f"n{place}"),
        {line_of.get(variant, variant): looks[variant] for variant in drawn},
    )


def _followed(manifest: Manifest, task: str, ended: pd.DataFrame) -> Followed:
    """What the seeds decide one after the other."""
    accuracy = ended["test_accuracy"].where(ended["state"] == "done").astype(float)
    planned = [run for run in manifest.runs if run.axes.get("task", task) == task]
    return followed_runs(planned, str(manifest.baseline), dict(zip(ended["id"], accuracy, strict=True)))


def _on_lines(runs: pd.DataFrame, line_of: Mapping[str, str], drawn: Collection[str]) -> pd.DataFrame:
    """The runs on the lines that a drawn variant lies on."""
    return runs[runs["variant"].map(line_of).isin({line_of.get(variant) for variant in drawn})]


def _with_the_baselines_data(runs: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """The runs that may be compared with the baseline: other data are another task. All where it has no run here."""
    data = tables.data_of(runs)
    its = data[runs["variant"] == baseline]
    return runs if its.empty else runs[data.isin(its)]


def _data_notes(runs: pd.DataFrame) -> list[str]:
    """What the runs say of their data, each sentence once."""
    return list(dict.fromkeys(note for notes in runs["data_notes"] if notes is not None for note in notes))
