"""`python -m reports paper`: the papers' tables beside ours, from every run there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spike_ssm.reports.loading.citation import bibtex
from spike_ssm.reports.loading.places import without_places
from spike_ssm.reports.pages.paper.cells import SMALLER_SCALES, Cell, Status, cells_of
from spike_ssm.reports.pages.paper.definition import Definition, definition
from spike_ssm.reports.pages.paper.figures import difference_figure
from spike_ssm.reports.pages.paper.runs import Runs, gather
from spike_ssm.reports.pages.paper.tables import Shown, shown
from spike_ssm.reports.render.beside import Beside
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.files import FORMATS, beside_links, write_all
from spike_ssm.reports.render.html import rendered
from spike_ssm.reports.render.latex import latex
from spike_ssm.reports.render.markdown import markdown
from spike_ssm.reports.render.spreadsheet import csv
from spike_ssm.reports.render.text import count

NAME = "paper"
SCALES = ("paper", *SMALLER_SCALES)


@dataclass(frozen=True)
class Filling:
    """How many of the cells with a published figure and a counterpart here are filled, and how."""

    cells: int
    by_scale: Mapping[str, int]
    by_status: Counter[Status]

    @property
    def sentence(self) -> str:
        """The page's first sentence."""
        cells = f"{count(self.cells, 'cell')} with a published figure"
        if not any(self.by_scale.values()):
            return f"None of {cells} is filled: no run of those tasks was found."
        compared = {status: self.by_status[status] for status in Status if status.compared and self.by_status[status]}
        words = ", ".join(f"{number} {status.word}" for status, number in compared.items())
        parts = [
            f"{sum(compared.values())} are set against theirs at the paper scale" + (f" ({words})" if words else "")
        ]
        if self.by_status[Status.OTHER_SETTINGS]:
            parts.append(f"{self.by_status[Status.OTHER_SETTINGS]} filled at the paper scale with other settings")
        parts += [f"{self.by_scale[scale]} at the {scale} scale only" for scale in SCALES[1:] if self.by_scale[scale]]
        return f"Of {cells}, {', '.join(parts)}, {self.cells - sum(self.by_scale.values())} are empty."


@dataclass(frozen=True)
class Section:
    """A table of the page with its figure."""

    shown: Shown
    figure: Drawn | None


def build_paper(
    folders: Sequence[Path], out: Path, formats: Sequence[str] = FORMATS, tables: Definition | None = None
) -> Path:
    """Write `paper.html`, and each table and figure to the folder `paper` beside it; returns the page's path.

    `folders` are those with runs. Raises `UserError` when the definition is wrong or `out` cannot be written to.
    """
    tables = tables or definition()
    runs = gather(folders)
    numbering: dict[str, int] = {}
    sections, cells = [], list[Cell]()
    for table in tables.tables:
        found = cells_of(table, tables, runs.found)
        cells += found.values()
        sections.append(Section(shown(table, found, numbering), difference_figure(table, found)))
    beside = Beside(NAME, formats)
    page = rendered(
        "paper.html.j2",
        beside,
        files={each.shown.name: beside_links(f"{NAME}/{each.shown.name}", formats) for each in sections},
        sections=sections,
        filling=filling(cells),
        statuses=[status for status in Status if status.word],
        sources={place: source for source, place in numbering.items()},
        problems=[without_places(problem) for problem in runs.problems],
        others=[without_places(other) for other in runs.others],
        found=_found(runs, tables),
        bibtex=bibtex(),
        used=sorted({(run.code_version, run.device, run.scale) for cell in cells for run in cell.runs}),
    )
    written = write_all(out, NAME, {"html": page}, formats)
    for section in sections:
        alone = section.shown.alone
        contents = {"csv": csv(section.shown.numbers), "md": markdown(alone), "latex": latex(alone)}
        write_all(out / NAME, section.shown.name, contents, formats)
    beside.write(out)
    return written


def filling(cells: Sequence[Cell]) -> Filling:
    """Counts over the cells with a published figure and a counterpart here."""
    counted = [cell for cell in cells if cell.status is not Status.NONE and cell.figure.value == cell.figure.value]
    by_scale = {scale: sum(cell.scale == scale for cell in counted) for scale in SCALES}
    return Filling(len(counted), by_scale, Counter(cell.status for cell in counted))


def _found(runs: Runs, tables: Definition) -> str:
    """What was read, and which of it stands for no published figure."""
    if not runs.found:
        return "No run was found, so nothing of ours stands beside them."
    tasks = Counter(run.task for run in runs.found)
    known = {str(column.where.get("task.name")) for table in tables.tables for column in table.columns}
    standins = sorted(task for task in tasks if task not in known)
    said = f"{count(len(runs.found), 'run')} found."
    if standins:
        held = count(sum(tasks[task] for task in standins), "run")
        said += (
            f" {held} of tasks without a published figure, stand-ins among them, fill no cell: {', '.join(standins)}."
        )
    return said
