"""From the result files of a sweep to its page, CSV and Markdown."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from reports import palette, tables
from reports.data import Sweep, correctness, load
from reports.figures import Drawn, task_figures
from reports.findings import Findings, caveat, compare_with_baseline, task_findings
from reports.measured import MeasuredSection, methods
from reports.palette import Look
from reports.pmbc_map import map_section
from reports.provenance import provenance
from reports.speed import LOOP, speed_section
from reports.statistics import disagreement
from reports.tables import Table
from results.schema import MEASUREMENTS
from results.store import ResultError


@dataclass(frozen=True)
class Section:
    """One task of the page."""

    task: str
    note: str  # what its shortcut is
    findings: list[Findings]
    caveat: str
    main: Table
    comparison: Table | None
    figures: list[Drawn]
    looks: dict[str, Look]  # of the variants it shows


def build_report(sweep: str, results: Path, out: Path) -> Path:
    """Write `<sweep>.html`, `.csv` and `.md` to `out` and return the path of the page.

    Raises `ResultError` with a sentence when the sweep has no manifest or `out` cannot be written to.
    """
    loaded = load(results, sweep)
    looks = _looks(loaded)
    numbers, sections = [], []
    for place, task in enumerate(task for task in loaded.tasks if task not in MEASUREMENTS):
        runs = loaded.done[loaded.done["task"] == task]
        if not runs.empty:
            measured, section = _section(loaded, task, runs, looks, f"t{place}")
            numbers.append(measured)
            sections.append(section)
    measurements = pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()
    alone = [found for found in (speed_section(loaded, looks, "s"), map_section(loaded, "p")) if found]
    page = _page(loaded, sections, alone, measurements, looks)
    try:
        out.mkdir(parents=True, exist_ok=True)
        table = pd.concat([measurements, *(found.numbers for found in alone)], ignore_index=True)
        _replace(out / f"{sweep}.csv", table.to_csv(index=False))
        _replace(out / f"{sweep}.md", _markdown(loaded, sections, alone))
        return _replace(out / f"{sweep}.html", page)
    except OSError as error:
        raise ResultError(
            f"The report folder {out} cannot be written to ({error.strerror}). "
            "Make it writable, or name another with --out FOLDER."
        ) from error


def _section(
    sweep: Sweep, task: str, runs: pd.DataFrame, looks: dict[str, Look], prefix: str
) -> tuple[pd.DataFrame, Section]:
    manifest = sweep.manifest
    comparisons = compare_with_baseline(runs, manifest.baseline)
    right = correctness(runs)
    disagreements = {
        variant: disagreement(right.get(variant, {}), right.get(comparisons.baseline or "", {}))
        for variant in comparisons.accuracy
    }
    note = manifest.task_notes.get(task, "")
    measured = tables.measurements(task, runs, comparisons, manifest.variant_notes)
    return measured, Section(
        task,
        note,
        task_findings(runs, comparisons, manifest.baseline),
        caveat(runs),
        tables.main_table(measured, looks, comparisons, note, _data_notes(runs)),
        tables.comparison_table(comparisons, disagreements, looks),
        task_figures(runs, looks, prefix),
        {variant: looks[variant] for variant in measured["variant"]},
    )


def _data_notes(runs: pd.DataFrame) -> list[str]:
    """What the runs say of their data, each sentence once."""
    return list(dict.fromkeys(note for notes in runs["data_notes"] if notes is not None for note in notes))


def _looks(sweep: Sweep) -> dict[str, Look]:
    """A look a variant; the variants of one measured method share the method's, which is there by its name too."""
    method = methods(sweep)
    names = list(dict.fromkeys(method.get(variant, variant) for variant in sweep.variants))
    looks = palette.looks(names, sweep.manifest.baseline or LOOP)
    return looks | {variant: looks[name] for variant, name in method.items()}


def _page(
    sweep: Sweep,
    sections: list[Section],
    measured: list[MeasuredSection],
    measurements: pd.DataFrame,
    looks: Mapping[str, Look],
) -> str:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    problems = sweep.runs[sweep.runs["state"] != "done"]
    trained = sweep.runs[~sweep.runs["task"].isin(MEASUREMENTS)]
    return environment.get_template("page.html.j2").render(
        manifest=sweep.manifest,
        sections=sections,
        measured=measured,
        variants={variant: looks[variant] for variant in trained["variant"]},
        overview=None if measurements.empty else tables.overview(measurements, looks),
        looks=looks,
        states=sweep.runs["state"].value_counts().to_dict(),
        problems=problems.to_dict("records"),
        provenance=provenance(sweep, looks),
        light=palette.stylesheet(palette.LIGHT),
        dark=palette.stylesheet(palette.DARK),
    )


def _markdown(sweep: Sweep, sections: list[Section], measured: list[MeasuredSection]) -> str:
    manifest = sweep.manifest
    parts = [f"# {manifest.title}\n\n{manifest.question}\n\nScale: {manifest.scale}. {manifest.scale_note}\n"]
    parts += [f"## {section.task}\n\n{section.main.markdown()}" for section in sections]
    parts += [section.markdown() for section in measured]
    return "\n".join(parts if sections or measured else [*parts, "No run of this sweep has finished.\n"])


def _replace(path: Path, content: str) -> Path:
    """Write so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
