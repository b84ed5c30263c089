"""What the sections of measurements share: runs that train no network and have no accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from spike_ssm.reports.loading.sweep import Sweep, device, json_object
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.markdown import escaped, markdown, paragraph
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.statements import Findings
from spike_ssm.reports.render.table import Table
from spike_ssm.reports.render.text import listing
from spike_ssm.results.schema import MEASUREMENTS, PlannedRun

LENGTH_AXIS = "task.length"


@dataclass(frozen=True)
class MeasuredSection:
    """One measurement of the page."""

    name: str  # in `results.schema.MEASUREMENTS`
    title: str
    notice: str  # what its numbers can be compared with
    notes: Mapping[str, str]  # one sentence a method
    findings: list[Findings]
    tables: list[Table]
    legend: Mapping[str, Look]
    figures: list[Drawn]
    maps: list[Drawn] = field(default_factory=list)  # as wide as the page
    numbers: pd.DataFrame = field(default_factory=pd.DataFrame)  # of the tables, for the CSV

    def markdown(self) -> str:
        """Its notice and tables in Markdown."""
        return "\n".join([f"## {escaped(self.title)}\n\n{paragraph(self.notice)}\n", *map(markdown, self.tables)])


def method_of(run: PlannedRun) -> str:
    """What a run measures: its place on every axis but task and length."""
    labels = [label for axis, label in run.axes.items() if axis not in ("task", LENGTH_AXIS)]
    return " / ".join(labels) or run.variant


def methods(sweep: Sweep) -> dict[str, str]:
    """Variant -> method, of the measurements' runs, as far as the plan or the runs at hand tell."""
    measured = set(sweep.runs.loc[sweep.runs["task"].isin(MEASUREMENTS), "id"])
    return {
        run.variant: method_of(run)
        for run in sweep.manifest.runs
        if run.id in measured or run.axes.get("task") in MEASUREMENTS
    }


def task_settings(run: Mapping[Any, Any]) -> Mapping[str, Any]:
    """The settings under `task` of a finished run's configuration."""
    settings: Mapping[str, Any] = json_object(run["config"])["task"]
    return settings


def devices(runs: pd.DataFrame) -> str:
    """The devices of finished runs in words: a GPU's name, or the processor and its threads."""
    names = []
    for environment in map(json_object, runs["environment"]):
        threads = f" with {environment.get('threads')} threads" if environment.get("device") in (None, "cpu") else ""
        names.append(device(environment) + threads)
    return listing(list(dict.fromkeys(names)))
