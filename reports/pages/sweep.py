"""From the result files of a sweep to its page, and its tables and figures as files."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from spike_ssm.reports.figures.accuracy import ACCURACY_AND_RATE
from spike_ssm.reports.figures.chosen import drawn_variants, remark
from spike_ssm.reports.figures.parallel import Draw, Promise, drawing
from spike_ssm.reports.figures.scaling import lines
from spike_ssm.reports.findings.answer import of_published_figures
from spike_ssm.reports.findings.cost import cost_sentences
from spike_ssm.reports.loading.citation import bibtex
from spike_ssm.reports.loading.sweep import Part, Sweep, joined, parts_by_task
from spike_ssm.reports.loading.times import load_times, with_times
from spike_ssm.reports.pages.follow import Follower, News, follow
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
from spike_ssm.reports.statistics.sequential import wanted
from spike_ssm.reports.tables import accuracy as tables
from spike_ssm.reports.tables.provenance import provenance
from spike_ssm.reports.tables.tuning import tagged
from spike_ssm.results.costs.estimate import read_estimates
from spike_ssm.results.schema import MEASUREMENTS
from spike_ssm.results.store import read_manifest

FAMILIES = (
    "Tests that are read together are corrected together, by Holm's procedure: the chance that any of a family claims "
    "a difference where there is none stays at 5 %. On each task these are one family each: the main effects on "
    "accuracy, those on firing rate, those on spike after spike; the differences to the baseline in accuracy over "
    "seeds, in accuracy over seeds and examples, and in firing rate; those to the best variant; those to the shortcut; "
    "all pairs of the Pareto front, in accuracy and rate; all comparisons at matched firing rate; of the controls' "
    "table, the advantages of all effects, what these are beyond each control, and either kind's tests of equality; "
    "and effects beside what has their setting, in accuracy and in firing rate. Families are not corrected for each "
    "other."
)
"""Which tests each p of a sweep's page is corrected with."""

NOT_RUN = "not run: decided"
"""The state of a run that is left out because its variant was decided by fewer seeds."""

PROBLEM = ["variant", "task", "seed", "id", "state", "problem", "traceback"]
"""What the page says of a run without a result."""


def build_report(
    sweep: str,
    results: Path,
    out: Path,
    formats: Sequence[str] = FORMATS,
    partial: str = "",
    kept: Kept | None = None,
) -> Path:
    """Write `<sweep>.html`, `.csv`, `.md`, `.tex` and a folder of what the page links to; returns the page's path.

    partial: when it was written, in words, of a page to which more will come, which then says so. kept: what an earlier
    page was made of, and what this one is afterwards.
    Raises `UserError` with a sentence when the sweep has no manifest or `out` cannot be written to.
    """
    content = _content(sweep, results, kept)
    loaded, sections, alone = joined(content.parts), content.sections, content.alone
    loaded = replace(loaded, left_out=(*loaded.left_out, *content.unread))
    measurements = pd.concat(content.numbers, ignore_index=True) if content.numbers else pd.DataFrame()
    beside = Beside(file_name(sweep), formats)
    cost = cost_sentences(loaded.done, read_estimates(results, sweep))
    page = _page(loaded, beside, beside_links(file_name(sweep), formats), sections, alone, measurements, cost, partial)
    table = pd.concat([measurements, *(found.numbers for found in alone)], ignore_index=True)
    every = [
        replace(each, caption=f"{section.task}: {each.caption}") for section in sections for each in section.tables
    ]
    every += [each for found in alone for each in found.tables]
    contents = {
        "html": page,
        "csv": csv(table),
        "md": _markdown(loaded, sections, alone, partial),
        "latex": "\n".join(map(latex, every)),
    }
    written = write_all(out, file_name(sweep), contents, formats)
    beside.write(out)
    return written


def follow_report(
    sweep: str, results: Path, out: Path, formats: Sequence[str], written: Callable[[News, list[str]], None]
) -> Path:
    """Write the page as `build_report` does, and anew as results come, until every run has one; returns its path.

    written: is told of every page, and of the tasks that were read and drawn for it: of the others all is kept.
    Raises `UserError` when there is no such sweep.
    """
    kept = Kept()
    follower = Follower(sweep, results, lambda partial: build_report(sweep, results, out, formats, partial, kept))
    return follow(follower, lambda news: written(news, kept.worked_out))


@dataclass
class _Content:
    """What a page, or the part of a task, is made of."""

    parts: list[Sweep] = field(default_factory=list)
    numbers: list[pd.DataFrame] = field(default_factory=list)  # main tables, one a section
    sections: list[Section] = field(default_factory=list)
    alone: list[MeasuredSection] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # sentences on times that could not be read

    def add(self, other: _Content) -> None:
        """Add what comes after this."""
        for name in vars(self):
            getattr(self, name).extend(getattr(other, name))


@dataclass
class Kept:
    """What a page was made of, task by task, to be used again for a later page where no result of a task changed.

    worked_out: of the last page, the tasks that were read and drawn for it.
    """

    worked_out: list[str] = field(default_factory=list)
    pieces: list[tuple[object, _Content]] = field(default_factory=list)  # what each was made from, compared by equality

    def find(self, made_from: object) -> _Content | None:
        """The piece that was made from the same."""
        return next((piece for earlier, piece in self.pieces if earlier == made_from), None)


def _content(sweep: str, results: Path, kept: Kept | None) -> _Content:
    """Read and worked out task by task, while other processes draw, so that the runs of few tasks are held at once.

    Where something is kept this process draws alone: others compute at the same time.
    """
    manifest = read_manifest(results, sweep)
    times, unread = load_times(results, manifest)
    many = len(manifest.runs) if kept is None else 0
    pieces, promised = list[tuple[object, _Content]](), list[tuple[_Content, list[Promise]]]()
    kept = kept or Kept()
    kept.worked_out = []
    with drawing(many) as draw:
        for part in parts_by_task(results, sweep):
            places = sum(len(each.sections) for _, each in pieces), sum(len(each.alone) for _, each in pieces)
            made_from = part.manifest, part.stamps(), places, times.to_json()  # the names of elements follow from these
            piece = kept.find(made_from)
            if piece is None:
                piece, figures = _piece(part, times, places, draw)
                promised.append((piece, figures))
                kept.worked_out += piece.parts[0].tasks
                _give_memory_back()
            pieces.append((made_from, piece))
        for piece, figures in promised:
            piece.sections = [
                replace(section, figures=[*drawn(), *section.figures])
                for section, drawn in zip(piece.sections, figures, strict=True)
            ]
    kept.pieces, found = pieces, _Content(unread=unread)
    for _, piece in pieces:
        found.add(piece)
    return found


def _piece(part: Part, times: pd.DataFrame, places: tuple[int, int], draw: Draw) -> tuple[_Content, list[Promise]]:
    """What the runs of a part give, and the figures of its sections, when they are drawn; places: how many precede."""
    read, found = _without_decided(part.read()), _Content()
    read = replace(read, runs=with_times(read.runs, times))
    looks, (trained, evaluated) = _looks(read), _by_task(read)
    promised = [
        _add_section(found, read, task, runs, times[times["task"] == task], looks, draw, place)
        for place, (task, runs) in enumerate(trained.items(), places[0])
    ]
    found.alone += [
        robustness_section(read, task, runs, tagged(looks, read.manifest, [task]), f"r{place}")
        for place, (task, runs) in enumerate(evaluated.items(), places[1])
    ]
    found.alone += filter(None, (speed_section(read, looks, "s"), map_section(read, "p")))
    found.parts.append(joined([read]))
    return found, promised


def _without_decided(part: Sweep) -> Sweep:
    """The part with what a sequential sweep need not run as `NOT_RUN`, whatever else is missing."""
    manifest, runs = part.manifest, part.runs
    if not manifest.is_sequential:
        return part
    ended = runs[runs["state"].isin(["done", "failed"])]
    accuracy = ended["test_accuracy"].where(ended["state"] == "done").astype(float)
    here = set(runs["id"])
    planned = [run for run in manifest.runs if run.id in here]
    _, decided = wanted(planned, str(manifest.baseline), dict(zip(ended["id"], accuracy, strict=True)))
    state = runs["state"].mask(runs["id"].isin(decided) & (runs["state"] == "missing"), NOT_RUN)
    return replace(part, runs=runs.assign(state=state))


def _give_memory_back() -> None:
    """Hand what was freed to the system: glibc keeps small pieces, in the end more than the whole sweep needs."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # not musl's
        trim(0)


def _add_section(
    found: _Content,
    part: Sweep,
    task: str,
    runs: pd.DataFrame,
    times: pd.DataFrame,
    looks: dict[str, Look],
    draw: Draw,
    place: int,
) -> Promise:
    """Add the section of a task's finished `runs`; returns its figures, but those along an axis, when they are drawn.

    Where not all variants are drawn, those that are have looks of their own in this section. place: counted from 0.
    """
    manifest, of_task = part.manifest, part.runs[part.runs["task"] == task]
    ended, drawn = of_task[of_task["state"].isin(["done", "failed"])], drawn_variants(runs, manifest.baseline)
    if len(drawn) < runs["variant"].nunique():
        looks = looks | palette.looks(drawn, manifest.baseline)
    shown = runs[runs["variant"].isin(drawn)]
    figures = draw(shown, looks, curves(manifest.runs), f"t{place}", remark(drawn, runs))
    numbers, section = task_section(manifest, task, ended, times, looks, drawn, place)
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
    partial: str,
) -> str:
    problems = sweep.runs[~sweep.runs["state"].isin(["done", NOT_RUN])]
    trained = sweep.runs[~sweep.runs["task"].isin(MEASUREMENTS)]
    looks = tagged(_looks(sweep), sweep.manifest, [section.task for section in sections])
    return rendered(
        "page.html.j2",
        beside,
        files=files,
        partial=partial,
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
        bibtex=bibtex(),
    )


def _seen_first(sections: Sequence[Section]) -> Drawn | None:
    """The figure of the first screen, of the first task; None where no neuron fires."""
    figures = sections[0].figures if sections else ()
    return next((figure for figure in figures if figure.title == ACCURACY_AND_RATE), None)


def _markdown(sweep: Sweep, sections: list[Section], measured: list[MeasuredSection], partial: str) -> str:
    manifest = sweep.manifest
    published = of_published_figures(manifest.scale)
    scale = escaped(f"Scale: {manifest.scale}. {manifest.scale_note} {published}")
    parts = [f"# {escaped(manifest.title)}\n\n{paragraph(manifest.question)}\n\n{scale}\n"]
    if partial:
        parts.append(f"**Partial: {len(sweep.done)} of {len(sweep.runs)} runs finished; written at {partial}.**\n")
    parts += [
        f"## {escaped(section.task)}\n\n{_answer_as_list(section)}\n" + "\n".join(map(markdown, section.tables))
        for section in sections
    ]
    parts += [f"{FAMILIES}\n"] if sections else []
    parts += [section.markdown() for section in measured]
    return "\n".join(parts if sections or measured else [*parts, "No run of this sweep has finished.\n"])


def _answer_as_list(section: Section) -> str:
    return "".join(f"- {escaped(f'{each.tag.capitalize()}: {each.text}')}\n" for each in section.answer)
