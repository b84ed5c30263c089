"""Which runs stand for which published figure: the YAML says so completely, and the harness agrees with it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from omegaconf import OmegaConf

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.sweep_file import load_sweep
from spike_ssm.harness.system.root import ROOT
from spike_ssm.reports.pages.paper.commands import commands
from spike_ssm.reports.pages.paper.definition import Column, Entry, PaperTable, definition, parsed
from spike_ssm.reports.pages.paper.runs import Run
from spike_ssm.results.errors import UserError


def packaged(name: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(files("results").joinpath(name).read_text()))


def read_with(content: Any, published: Any) -> Any:
    return parsed(content, published, definition().protocols)


@pytest.fixture(scope="module")
def composer() -> Composer:
    """One for all: what it has composed it keeps."""
    return Composer()


def flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@cache
def runs_of(composer: Composer, line: str) -> list[dict[str, Any]]:
    command = parse_command_line(line.split()[3:])  # without python -m harness.sweep
    assert command.sweep is not None
    sweep = load_sweep(composer, command.sweep, str(command.overrides.get("scale", "laptop")))
    return [dict(flat(run.settings.identity())) for run in expand(composer, command, sweep).runs]


def own_cells(timings: bool = True) -> list[tuple[PaperTable, Entry, Column]]:
    """The cells that runs can fill."""
    return [
        (table, entry, column)
        for table in definition().tables
        for entry in table.entries
        for column in table.columns
        if definition().required(entry, column) is not None and (timings or not table.timing)
    ]


def test_every_table_has_its_sweep():
    assert {table.sweep for table in definition().tables} <= {
        path.stem for path in (ROOT / "sweeps" / "sweep").iterdir()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("table", "entry", "column"), own_cells(), ids=lambda each: each.name)
def test_the_command_of_a_cell_starts_runs_that_fill_it(composer, table, entry, column):
    (command,) = commands(table, {column.name: [entry]})
    assert command.startswith(f"python -m harness.sweep +sweep={table.sweep} scale=paper protocol={entry.protocol} ")
    filling = [run for run in started(composer, command) if accepted(run, entry, column)]
    assert len({run.seed for run in filling}) == 3
    assert len(filling) == 3


def started(composer: Composer, command: str) -> list[Run]:
    """The runs of a command as the page reads them."""
    found = [json.loads(json.dumps(run)) for run in runs_of(composer, command)]
    return [Run("", run["task.name"], run["scale"], run["seed"], True, run, {}, (), False, "", "", "") for run in found]


def accepted(run: Run, entry: Entry, column: Column) -> bool:
    """Whether the page would set the run against the figure."""
    required = definition().required(entry, column)
    assert required is not None
    return run.scale == "paper" and not run.differing(required, definition().free)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lra_accuracy", "mnist", "wikitext103"])
def test_the_commands_below_a_table_fill_every_cell_of_it(composer, name):
    cells = [(entry, column) for table, entry, column in own_cells() if table.name == name]
    (table,) = [each for each in definition().tables if each.name == name]
    missing = {column.name: [entry for entry, other in cells if other is column] for column in table.columns}
    runs = [run for command in commands(table, missing) for run in started(composer, command)]
    for entry, column in cells:
        assert sum(accepted(run, entry, column) for run in runs) == 3, (entry.name, column.name)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", definition().protocols)
def test_a_run_is_accepted_by_the_rows_of_its_own_protocol_alone(composer, protocol):
    cells = [(entry, column) for table, entry, column in own_cells() if table.name == "lra_accuracy"]
    for neuron in ("gelu", "binary", "sdn", "pspike"):
        command = f"python -m harness.sweep +sweep=lra scale=paper protocol={protocol} task=listops neuron={neuron}"
        (run, *_) = started(composer, command)
        matching = [entry for entry, column in cells if column.name == "listops" and run.meets(entry.runs)]
        assert len(matching) == 1
        (column,) = {id(column): column for _, column in cells if column.name == "listops"}.values()
        assert accepted(run, matching[0], column) == (matching[0].protocol == protocol)


@pytest.mark.slow
@pytest.mark.parametrize(("table", "entry", "column"), own_cells(timings=False), ids=lambda each: each.name)
def test_a_trained_network_has_no_setting_that_is_neither_named_nor_free(composer, table, entry, column):
    (command,) = commands(table, {column.name: [entry]})
    named = {*definition().required(entry, column), *definition().free}
    assert set(runs_of(composer, command)[0]) - named == {"scale", "seed"}


def test_every_figure_of_the_published_tables_is_shown_as_it_is_printed():
    published = packaged("published.yaml")
    names = {"lra_accuracy": ("lra", "acc", 1), "lra_firing_rate": ("lra", "rate", 100), "mnist": ("mnist", "acc", 1)}
    tables = {table.name: table for table in definition().tables}
    for name, (source, key, times) in names.items():
        entries = {entry.name: entry for entry in tables[name].entries}
        for row in published[source]["rows"]:
            for column, value in zip(published[source]["columns"], row.get(key, []), strict=False):
                shown = entries[row["model"]].figures[column].value
                assert math.isnan(shown) if value is None else shown == pytest.approx(value * times)


def test_every_published_row_names_its_source():
    assert all(entry.source for table in definition().tables for entry in table.entries)


def broken(path: str, value: Any) -> Any:
    """The packaged definition with `value` at `path`, or without it where the value is None."""
    content = copy.deepcopy(packaged("reproduction.yaml"))
    *parents, leaf = path.split("/")
    node = content
    for parent in parents:
        node = node[parent]
    if value is None:
        del node[leaf]
    else:
        node[leaf] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (
            "tables/mnist/rows/Nobody",
            {"runs": {"neuron.name": "sdn"}},
            ["tables.mnist.rows", "Nobody", "published.yaml"],
        ),
        ("tables/mnist/title", None, ["tables.mnist has no ['title']", "its keys are"]),
        ("tables/mnist/colour", "red", ["tables.mnist has unknown keys ['colour']"]),
        ("tables/mnist/published", "nothing", ["tables.mnist", "'nothing' is no table of published.yaml"]),
        ("tables/mnist/shows/measure", "beauty", ["tables.mnist.columns.smnist", "'beauty' is not one of"]),
        (
            "tables/mnist/rows/SpikingSSM/runs",
            {"neuron": "sdn"},
            ["tables.mnist.rows.SpikingSSM.runs", "dotted settings"],
        ),
        ("tables/mnist/columns/smnist/mean", True, ["either `where`, the settings of its runs, or `mean: true`"]),
        ("tables/mnist/columns/third", {"where": {"task.name": "x"}}, ["the column 'third' is not in published.yaml"]),
        (
            "tables/mnist/rows/SpikingSSM/protocol",
            "mamba",
            ["tables.mnist.rows.SpikingSSM: protocol: 'mamba' does not exist; there are ours, pspikessm, s4d_lra,"],
        ),
        ("tables/mnist/rows/SpikingSSM/of", "Nobody", ["tables.mnist.rows", "Nobody", "published.yaml"]),
        (
            "tables/mnist/rows/SpikingSSM/apart",
            {"imnist": "why"},
            ["apart must be a text, or map columns (smnist, psmnist)"],
        ),
    ],
)
def test_a_mistake_in_the_definition_is_one_sentence_that_says_where(path, value, words):
    with pytest.raises(UserError) as caught:
        read_with(broken(path, value), packaged("published.yaml"))
    assert str(caught.value).startswith("results/reproduction.yaml: ")
    assert all(word in str(caught.value) for word in words)


def test_a_published_row_without_a_source_is_an_error():
    published = packaged("published.yaml")
    del published["lra"]["rows"][3]["source"]
    with pytest.raises(UserError, match="the row 'S4D-Lin' names no source"):
        read_with(packaged("reproduction.yaml"), published)
