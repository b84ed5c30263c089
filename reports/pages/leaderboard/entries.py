"""What a leaderboard has: the runs of packs that were checked, by what they were tested on and whose they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spike_ssm.reports.loading.sweep import flatten, json_object
from spike_ssm.reports.pages.paper.definition import definition
from spike_ssm.reports.render.text import count
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import visible
from spike_ssm.results.schema import MEASUREMENTS, Manifest
from spike_ssm.results.verify.content import read_pack
from spike_ssm.results.verify.marks import Mark, read_marks
from spike_ssm.results.verify.outcome import SHOWN
from spike_ssm.results.verify.packs import Checked, check_packs

COLUMNS = ("id", "status", "task", "neuron", "scale", "seed", "config", *SHOWN)
"""What is read of a run: what its id is made of, and its outcome, which marks are of."""

_DECISIVE = ("task.", "model.", "optim.", "stop_if")


@dataclass(frozen=True)
class Entry:
    """A row of a leaderboard: runs of one pack that differ in their seed alone."""

    pack: str  # the file's name without its suffix
    variant: str  # as its sweep calls it
    sweep: str
    neuron: str
    runs: tuple[Mapping[str, Any], ...]  # finished ones, with the columns of `COLUMNS`
    failed: int  # further seeds, which ended without a result
    marks: tuple[Mark, ...]  # of runs that were computed again


@dataclass(frozen=True, order=True)
class Place:
    """The board that an entry is on: what was tested on the same data, at one scale, by one protocol."""

    task: str
    scale: str
    protocol: str  # empty where the settings are those of no published work
    settings: str  # of the task, as JSON
    notes: tuple[str, ...]  # on this copy of its data

    @property
    def data(self) -> dict[str, str]:
        """The settings of the task, by name."""
        return {name: str(value) for name, value in flatten(json.loads(self.settings)).items()}


@dataclass(frozen=True)
class Board:
    """The entries of one place."""

    place: Place
    entries: tuple[Entry, ...]

    @property
    def is_language(self) -> bool:
        """Whether its measure is the perplexity: one entry without it is enough to have them by accuracy."""
        return all(run["test_perplexity"] is not None for entry in self.entries for run in entry.runs)


@dataclass
class Gathered:
    """All that some folders hold for a leaderboard."""

    boards: list[Board] = field(default_factory=list)
    packs: list[Checked] = field(default_factory=list)  # those that are shown
    problems: list[str] = field(default_factory=list)  # sentences on what is not
    between: list[str] = field(default_factory=list)  # sentences on what shown packs say differently


def gather(folders: Sequence[Path]) -> Gathered:
    """The boards of all packs in the folders, each pack checked first. Raises `UserError` for what is no folder."""
    found = Gathered()
    paths: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder: name folders with files that python -m results pack wrote.")
        for path in sorted(folder.glob("*.parquet")):
            if path.name in paths:
                found.problems.append(f"{path.name} is in two of the folders, and only the first is shown.")
            paths.setdefault(path.name, path)
    checked, between = check_packs(list(paths.values()))
    for each in checked:
        if each.faults:
            others = len(each.faults) - 1
            more = f" And {others} more: python -m results verify lists them." if others else ""
            found.problems.append(f"{visible(each.path.name)} is not shown. {each.faults[0]}{more}")
        else:
            found.packs.append(each)
    found.between = [each.sentence for each in between]
    boards: dict[Place, list[Entry]] = {}
    for each in found.packs:
        for place, entry in _entries(each, found):
            boards.setdefault(place, []).append(entry)
    found.boards = [Board(place, tuple(boards[place])) for place in sorted(boards)]
    return found


def _entries(checked: Checked, into: Gathered) -> Iterator[tuple[Place, Entry]]:
    """The entries of a pack, each with its place."""
    pack = read_pack(checked.path, COLUMNS)
    marks = _marks(checked, into)
    for rows in _by_configuration(pack.rows.to_pylist()):
        done = tuple(row for row in rows if row["status"] == "done")
        if done:
            sweep, variant = _named(pack.manifests, {row["id"] for row in rows})
            its_marks = tuple(marks[row["id"]] for row in done if row["id"] in marks)
            failed = len(rows) - len(done)
            entry = Entry(checked.path.stem, variant, sweep, done[0]["neuron"], done, failed, its_marks)
            yield _place(done[0]), entry


def _by_configuration(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The runs that were trained and tested, those together that differ in their seed alone."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        config = json_object(row["config"])
        if row["task"] not in MEASUREMENTS and "robustness" not in config and config.get("test") is not False:
            groups.setdefault(_text({key: value for key, value in config.items() if key != "seed"}), []).append(row)
    return list(groups.values())


def _place(row: Mapping[str, Any]) -> Place:
    config = json_object(row["config"])
    notes = tuple(row["data_notes"] or ())
    return Place(row["task"], row["scale"], protocol_of(config), _text(config["task"]), notes)


def _marks(checked: Checked, into: Gathered) -> dict[str, Mark]:
    """The marks of a pack that hold for the outcomes in it."""
    try:
        marks = read_marks(checked.path)
    except UserError as error:
        into.problems.append(visible(str(error)))
        return {}
    outcomes = {run_id: (run.outcome, run.accuracy) for run_id, run in checked.runs.items()}
    valid = {
        run_id: mark for run_id, mark in marks.items() if outcomes.get(run_id) == (mark.outcome, mark.stored_accuracy)
    }
    if left := len(marks) - len(valid):
        into.problems.append(
            f"Marks of {count(left, 'run')} beside {checked.path.name} are of no outcome in it, and do not count."
        )
    return valid


def _named(manifests: Sequence[Manifest], ids: set[str]) -> tuple[str, str]:
    """The sweep and the variant that these runs are, in the first sweep that planned one."""
    return next((each.name, run.variant) for each in manifests for run in each.runs if run.id in ids)


def _text(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def protocol_of(config: Mapping[str, Any]) -> str:
    """The published protocol whose settings of task, network and training a configuration has; empty for none."""
    settings, free = flatten(config), definition().free
    task = str(settings.get("task.name"))
    decisive = {key: each for key, each in settings.items() if key.startswith(_DECISIVE) and key not in free}
    if settings.get("scale") != "paper":
        return ""
    named = {name: tasks[task] for name, tasks in definition().protocols.items() if task in tasks}
    found = (name for name, each in named.items() if {k: v for k, v in each.items() if k not in free} == decisive)
    return next(found, "")
