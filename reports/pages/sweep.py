"""From the result files of a sweep to its page, and its tables and figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from spike_ssm.reports.figures.parallel import drawing
from spike_ssm.reports.figures.scaling import lines
from spike_ssm.reports.loading.sweep import Sweep, load
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.files import FORMATS, write_all, write_figures
from spike_ssm.reports.render.html import rendered
from spike_ssm.reports.render.latex import latex
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.sections.measured import MeasuredSection, methods
from spike_ssm.reports.sections.pmbc_map.section import map_section
from spike_ssm.reports.sections.robustness.areas import is_evaluated
from spike_ssm.reports.sections.robustness.section import robustness_section
from spike_ssm.reports.sections.speed.section import LOOP, speed_section
from spike_ssm.reports.sections.task import Section, task_section
from spike_ssm.reports.statistics.matched import curves
from spike_ssm.reports.tables import accuracy as tables
from spike_ssm.reports.tables.provenance import provenance
from spike_ssm.reports.tables.tuning import tagged
from spike_ssm.results.schema import MEASUREMENTS
from spike_ssm.results.store import read_manifest

FAMILIES = (
    "Tests that are read together are corrected together, by Holm's procedure: the chance that any of a family claims "
    "a difference where there is none stays at 5 %. On each task these are one family each: the main effects; the "
    "differences to the baseline in accuracy over seeds, in accuracy over seeds and examples, and in firing rate; "
    "those to the best variant; those to the shortcut; all pairs of the Pareto front, in accuracy and rate; all "
    "comparisons at matched firing rate; and of the controls' table, the advantages of all effects, what these are "
    "beyond each control, and either kind's tests of equality. Families are not corrected for each other."
)
"""Which tests each p of a sweep's page is corrected with."""


def build_report(sweep: str, results: Path, out: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Write `<sweep>.html`, `.csv`, `.md`, `.tex` and a folder of its figures to `out`; returns the page's path.

    Raises `UserError` with a sentence when the sweep has no manifest or `out` cannot be written to.
    """
    with drawing(len(read_manifest(results, sweep).runs)) as draw:
        loaded = load(results, sweep)
        looks = _looks(loaded)
        by_task = {task: loaded.done_on(task) for task in loaded.tasks if task not in MEASUREMENTS}
        evaluated = {task: runs[is_evaluated(runs)] for task, runs in by_task.items() if is_evaluated(runs).any()}
        tasks = {task: runs for task, runs in by_task.items() if task not in evaluated and not runs.empty}
        numbers, sections = [], []
        for place, (task, figures) in enumerate(draw(tasks, looks, curves(loaded.manifest.runs)).items()):
            measured, section = task_section(loaded, task, tasks[task], looks, figures, place)
            numbers.append(measured)
            sections.append(section)
    alone = [
        robustness_section(loaded, task, runs, tagged(looks, loaded.manifest, [task]), f"r{place}")
        for place, (task, runs) in enumerate(evaluated.items())
    ]
    measurements = pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()
    alone += [found for found in (speed_section(loaded, looks, "s"), map_section(loaded, "p")) if found]
    page = _page(loaded, sections, alone, measurements, looks)
    table = pd.concat([measurements, *(found.numbers for found in alone)], ignore_index=True)
    every = [
        replace(each, caption=f"{section.task}: {each.caption}") for section in sections for each in section.tables
    ]
    every += [each for found in alone for each in found.tables]
    contents = {
        "html": page,
        "csv": table.to_csv(index=False),
        "md": _markdown(loaded, sections, alone),
        "latex": "\n".join(map(latex, every)),
    }
    drawn = {f"{section.task} {figure.title}": figure.svg for section in sections for figure in section.figures}
    drawn |= {f"{found.name} {each.title}": each.svg for found in alone for each in [*found.figures, *found.maps]}
    written = write_all(out, sweep, contents, formats)
    write_figures(out / sweep, drawn, formats)
    return written


def _looks(sweep: Sweep) -> dict[str, Look]:
    """A look a variant; those of one measured method, or on one line, share its, which is there by its name too."""
    baseline = sweep.manifest.baseline or LOOP
    method = methods(sweep) | lines(sweep.manifest.runs)
    names = list(dict.fromkeys(method.get(variant, variant) for variant in sweep.variants))
    looks = palette.looks(names, method.get(baseline, baseline))
    return looks | {variant: looks[name] for variant, name in method.items()}


def _page(
    sweep: Sweep,
    sections: list[Section],
    measured: list[MeasuredSection],
    measurements: pd.DataFrame,
    looks: Mapping[str, Look],
) -> str:
    problems = sweep.runs[sweep.runs["state"] != "done"]
    trained = sweep.runs[~sweep.runs["task"].isin(MEASUREMENTS)]
    looks = tagged(looks, sweep.manifest, [section.task for section in sections])
    return rendered(
        "page.html.j2",
        manifest=sweep.manifest,
        sections=sections,
        measured=measured,
        variants={variant: looks[variant] for variant in trained["variant"]},
        overview=None if measurements.empty else tables.overview(measurements, looks),
        looks=looks,
        families=FAMILIES,
        states=sweep.runs["state"].value_counts().to_dict(),
        problems=problems.to_dict("records"),
        provenance=provenance(sweep, looks),
    )


def _markdown(sweep: Sweep, sections: list[Section], measured: list[MeasuredSection]) -> str:
    manifest = sweep.manifest
    parts = [f"# {manifest.title}\n\n{manifest.question}\n\nScale: {manifest.scale}. {manifest.scale_note}\n"]
    for section in sections:
        parts.append(f"## {section.task}\n\n" + "\n".join(each.markdown() for each in section.tables))
    parts += [f"{FAMILIES}\n"] if sections else []
    parts += [section.markdown() for section in measured]
    return "\n".join(parts if sections or measured else [*parts, "No run of this sweep has finished.\n"])
