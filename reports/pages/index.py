"""The index: every sweep of a results folder, how far it is, and the way to its page."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spike_ssm.reports.loading.decided import next_and_decided
from spike_ssm.reports.loading.places import without_places
from spike_ssm.reports.loading.sweep import trouble_of
from spike_ssm.reports.render.beside import Beside
from spike_ssm.reports.render.files import file_name, write_all
from spike_ssm.reports.render.html import rendered
from spike_ssm.reports.render.table import Heading, Row, Table
from spike_ssm.reports.render.text import ABSENT
from spike_ssm.results.errors import UserError
from spike_ssm.results.files import may_exist
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.schema import Manifest
from spike_ssm.results.store import read_manifests

NAME = "index"


@dataclass(frozen=True)
class Listed:
    """A sweep of the index."""

    manifest: Manifest
    states: Counter[str]  # done, failed, missing, damaged, unreadable; not run: of a variant that is decided
    last: str  # ISO 8601, when its latest run started; empty without one


def listed(results: Path) -> tuple[list[Listed], list[str]]:
    """Every sweep of the folder by name, and a sentence for each manifest that cannot be read."""
    manifests, errors = read_manifests(results)
    return [_look(results, manifest) for manifest in manifests], [without_places(str(each), results) for each in errors]


def _look(results: Path, manifest: Manifest) -> Listed:
    states, starts = Counter[str](), [""]
    _, decided = next_and_decided(results, manifest)
    for planned in manifest.runs:
        path = run_path(results, planned.id)
        try:
            absent = {"status": "not run" if planned.id in decided else "missing"}
            row = read_run(path, ["status", "started_at"]) if may_exist(path) else absent
        except UserError as error:
            row = {"status": trouble_of(error)}
        states[row["status"]] += 1
        starts.append(row.get("started_at") or "")
    return Listed(manifest, states, max(starts))


def build_index(sweeps: Sequence[Listed], problems: Sequence[str], out: Path) -> Path:
    """Write `index.html` to `out` and return its path. Pages that are not there yet are named by their command."""
    rows = tuple(_row(sweep, out) for sweep in sweeps)
    headings = ("title", "scale", "done", "failed", "missing", "damaged", "unreadable", "report", "latest run (UTC)")
    rest = ("scale", "damaged", "unreadable")
    table = Table("Sweeps", "Sweep", tuple(Heading(text, rest=text in rest) for text in headings), rows, numeric=False)
    paper = (out / "paper.html").exists()
    page = rendered("index.html.j2", Beside(NAME, ()), content=table, problems=problems, paper=paper)
    return write_all(out, NAME, {"html": page}, ["html"])


def _row(sweep: Listed, out: Path) -> Row:
    name = sweep.manifest.name
    page = f"{file_name(name)}.html"
    there = (out / page).exists()
    counts = (str(sweep.states[state]) for state in ("done", "failed", "missing", "damaged", "unreadable"))
    report = "written" if there else shlex.join(["python", "-m", "reports", name])
    cells = (
        sweep.manifest.title,
        sweep.manifest.scale,
        *counts,
        report,
        sweep.last.removesuffix("Z").replace("T", " ")[:16] or ABSENT,
    )
    return Row(name, cells, link=page if there else "")
