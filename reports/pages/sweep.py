"""From the result files of a sweep to its page, and its tables and figures as files."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from spike_ssm.reports.figures.accuracy import ACCURACY_AND_RATE
from spike_ssm.reports.figures.chosen import drawn_variants, remark
from spike_ssm.reports.figures.parallel import Draw, Promise, drawing
from spike_ssm.reports.figures.scaling import lines
from spike_ssm.reports.findings.answer import of_published_figures
from spike_ssm.reports.findings.cost import cost_sentences
from spike_ssm.reports.loading.sweep import Sweep, joined, load_by_task
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.beside import Beside
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.files import FORMATS, beside_links, file_name, write_all
from spike_ssm.reports.render.html import rendered
from spike_ssm.reports.render.latex import latex
from spike_ssm.reports.render.markdown import escaped, markdown, paragraph
from spike_ssm.reports.render.palette import Look
from spike_ssm.reports.render.spreadsheet import csv
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
from spike_ssm.results.costs.estimate import read_estimates
from spike_ssm.results.schema import MEASUREMENTS, Manifest
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

PROBLEM = ["variant", "task", "seed", "id", "state", "problem", "traceback"]
"""What the page says of a run without a result."""


def build_report(sweep: str, results: Path, out: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Write `<sweep>.html`, `.csv`, `.md`, `.tex` and a folder of what the page links to; returns the page's path.

    Raises `UserError` with a sentence when the sweep has no manifest or `out` cannot be written to.
    """
    content = _content(sweep, results)
    loaded, sections, alone = joined(content.parts), content.sections, content.alone
    measurements = pd.concat(content.numbers, ignore_index=True) if content.numbers else pd.DataFrame()
    beside = Beside(file_name(sweep), formats)
    cost = cost_sentences(loaded.done, read_estimates(results, sweep))
    page = _page(loaded, beside, beside_links(file_name(sweep), formats), sections, alone, measurements, cost)
    table = pd.concat([measurements, *(found.numbers for found in alone)], ignore_index=True)
    every = [
        replace(each, caption=f"{section.task}: {each.caption}") for section in sections for each in section.tables
    ]
    every += [each for found in alone for each in found.tables]
    contents = {
        "html": page,
        "csv": csv(table),
        "md": _markdown(loaded, sections, alone),
        "latex": "\n".join(map(latex, every)),
    }
    written = write_all(out, file_name(sweep), contents, formats)
    beside.write(out)
    return written


@dataclass
class _Content:
    """What a page is made of, as far as the tasks were read."""

    parts: list[Sweep] = field(default_factory=list)
    numbers: list[pd.DataFrame] = field(default_factory=list)  # main tables, one a section
    sections: list[Section] = field(default_factory=list)
    alone: list[MeasuredSection] = field(default_factory=list)


def _content(sweep: str, results: Path) -> _Content:
    """Read and worked out task by task, while other processes draw, so that the runs of few tasks are held at once."""
    found = _Content()
    promised: list[Promise] = []
    with drawing(len(read_manifest(results, sweep).runs)) as draw:
        for part in load_by_task(results, sweep):
            promised += _add_part(found, part, draw)
            del part
            _give_memory_back()
        drawn = [figures() for figures in promised]
    found.sections = [
        replace(section, figures=[*figures, *section.figures])
        for section, figures in zip(found.sections, drawn, strict=True)
    ]
    return found


def _add_part(found: _Content, part: Sweep, draw: Draw) -> list[Promise]:
    """Add what the runs of a part give; returns the figures of its sections, when they are drawn."""
    looks, (trained, evaluated) = _looks(part), _by_task(part)
    promised = [_add_section(found, part.manifest, task, runs, looks, draw) for task, runs in trained.items()]
    found.alone += [
        robustness_section(part, task, runs, tagged(looks, part.manifest, [task]), f"r{place}")
        for place, (task, runs) in enumerate(evaluated.items(), len(found.alone))
    ]
    found.alone += filter(None, (speed_section(part, looks, "s"), map_section(part, "p")))
    found.parts.append(joined([part]))
    return promised


def _give_memory_back() -> None:
    """Hand what was freed to the system: glibc keeps small pieces, in the end more than the whole sweep needs."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # not musl's
        trim(0)


def _add_section(
    found: _Content, manifest: Manifest, task: str, runs: pd.DataFrame, looks: dict[str, Look], draw: Draw
) -> Promise:
    """Add the section of a task's finished `runs`; returns its figures, but those along an axis, when they are drawn.

    Where not all variants are drawn, those that are have looks of their own in this section.
    """
    drawn, place = drawn_variants(runs, manifest.baseline), len(found.sections)
    if len(drawn) < runs["variant"].nunique():
        looks = looks | palette.looks(drawn, manifest.baseline)
    shown = runs[runs["variant"].isin(drawn)]
    figures = draw(shown, looks, curves(manifest.runs), f"t{place}", remark(drawn, runs))
    numbers, section = task_section(manifest, task, runs, looks, drawn, place)
    found.numbers.append(numbers)
    found.sections.append(section)
    return figures


def _by_task(part: Sweep) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """The finished runs of networks by task: those that were trained, and those that were evaluated again."""
    by_task = {task: part.done_on(task) for task in part.tasks if task not in MEASUREMENTS}
    evaluated = {task: runs[is_evaluated(runs)] for task, runs in by_task.items() if is_evaluated(runs).any()}
    return {task: runs for task, runs in by_task.items() if task not in evaluated and not runs.empty}, evaluated


def _looks(sweep: Sweep) -> dict[str, Look]:
    """A look a variant; those of one measured method, or on one line, share its, which is there by its name too."""
    baseline = sweep.manifest.baseline or LOOP
    method = methods(sweep) | lines(sweep.manifest.runs)
    names = list(dict.fromkeys(method.get(variant, variant) for variant in sweep.variants))
    looks = palette.looks(names, method.get(baseline, baseline))
    return looks | {variant: looks[name] for variant, name in method.items()}


def _page(
    sweep: Sweep,
    beside: Beside,
    files: Mapping[str, str],
    sections: list[Section],
    measured: list[MeasuredSection],
    measurements: pd.DataFrame,
    cost: str | None,
) -> str:
    problems = sweep.runs[sweep.runs["state"] != "done"]
    trained = sweep.runs[~sweep.runs["task"].isin(MEASUREMENTS)]
    looks = tagged(_looks(sweep), sweep.manifest, [section.task for section in sections])
    return rendered(
        "page.html.j2",
        beside,
        files=files,
        manifest=sweep.manifest,
        sections=sections,
        seen_first=_seen_first(sections),
        measured=measured,
        variants={variant: looks[variant] for variant in trained["variant"]},
        overview=None if measurements.empty else tables.overview(measurements, looks),
        looks=looks,
        families=FAMILIES,
        published=of_published_figures(sweep.manifest.scale),
        states=sweep.runs["state"].value_counts().to_dict(),
        problems=problems[PROBLEM].to_dict("records"),
        left_out=sweep.left_out,
        cost=cost,
        provenance=provenance(sweep, looks),
    )


def _seen_first(sections: Sequence[Section]) -> Drawn | None:
    """The figure of the first screen, of the first task; None where no neuron fires."""
    figures = sections[0].figures if sections else ()
    return next((figure for figure in figures if figure.title == ACCURACY_AND_RATE), None)


def _markdown(sweep: Sweep, sections: list[Section], measured: list[MeasuredSection]) -> str:
    manifest = sweep.manifest
    published = of_published_figures(manifest.scale)
    scale = escaped(f"Scale: {manifest.scale}. {manifest.scale_note} {published}")
    parts = [f"# {escaped(manifest.title)}\n\n{paragraph(manifest.question)}\n\n{scale}\n"]
    parts += [
        f"## {escaped(section.task)}\n\n{_answer_as_list(section)}\n" + "\n".join(map(markdown, section.tables))
        for section in sections
    ]
    parts += [f"{FAMILIES}\n"] if sections else []
    parts += [section.markdown() for section in measured]
    return "\n".join(parts if sections or measured else [*parts, "No run of this sweep has finished.\n"])


def _answer_as_list(section: Section) -> str:
    return "".join(f"- {escaped(f'{each.tag.capitalize()}: {each.text}')}\n" for each in section.answer)
