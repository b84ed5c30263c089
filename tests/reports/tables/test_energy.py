"""The energy tables: every number is the mean over seeds of what the runs' files say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.loading.sweep import load
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.table import Table
from spike_ssm.reports.render.text import ABSENT
from spike_ssm.reports.tables.energy import STORED, STREAMED, energy_tables
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.traffic import Token
from tests.reports.conftest import LAYERS, Synthetic

PARTS = ("ssm", "neuron", "projection", "head")


@pytest.fixture
def folder(sweep: Callable[..., Path]) -> Path:
    return sweep(details=False)


@pytest.fixture
def tables(folder: Path) -> tuple[Table, Table]:
    """By part, and by layer."""
    loaded = load(folder, "ablation_refractory")
    by_part, by_layer = energy_tables(loaded.done, palette.looks(loaded.variants, "none"))
    return by_part, by_layer


def rows_of(folder: Path, variant: str) -> list[dict[str, Any]]:
    """The stored rows of a variant."""
    return [read_run(run_path(folder, f"lis-{variant}-{seed}")) for seed in Synthetic().seeds]


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


def test_every_number_by_part_is_the_mean_over_seeds_of_the_stored_operations(
    folder: Path, tables: tuple[Table, Table]
) -> None:
    table, _ = tables
    assert [heading.text for heading in table.headings[:5]] == [*PARTS, "all"]
    for shown in table.rows:
        rows = rows_of(folder, shown.head)
        for part, cell in zip(PARTS, shown.cells, strict=False):
            each = [
                sum(
                    0.0046 * operation["multiply_accumulates"] + 0.0009 * operation["accumulates"]
                    for operation in row["operations"]
                    if operation["part"] == part
                )
                for row in rows
            ]
            assert number(cell) == pytest.approx(np.mean(each), rel=1e-2)
        frame = pd.DataFrame(rows)
        whole, dense = frame["energy_nj_per_token"].mean(), frame["dense_energy_nj_per_token"].mean()
        assert number(shown.cells[4]) == pytest.approx(whole, rel=1e-2)
        assert number(shown.cells[5]) == pytest.approx(whole / dense, abs=5e-4)


def test_projections_alone_are_shown_apart(folder: Path, tables: tuple[Table, Table]) -> None:
    table, _ = tables
    alone = [heading.group == "Projections alone" for heading in table.headings]
    for shown in table.rows:
        frame = pd.DataFrame(rows_of(folder, shown.head))
        spikes = frame["projection_energy_nj_per_token"].mean()
        dense = frame["dense_projection_energy_nj_per_token"].mean()
        found = [number(cell) for cell, chosen in zip(shown.cells, alone, strict=True) if chosen]
        assert found[:2] == pytest.approx([spikes, dense], rel=1e-2)
        assert found[2] == pytest.approx(spikes / dense, abs=5e-4)


MEMORY = ["kB", "nJ", "1-bit dense, nJ", "spikes win below, %", "held, %"]


def test_what_a_token_takes_with_memory_is_the_mean_over_seeds(sweep: Callable[..., Path]) -> None:
    model = {"channels": 64, "spikes_per_direction": False, "initialisation": "lin"}

    def complete(row: dict[str, Any]) -> dict[str, Any]:
        layers = [{"layer": layer, "firing_rate": row["firing_rate"]} for layer in range(LAYERS)]
        return row | {"config": json.dumps(json.loads(row["config"]) | {"model": model}), "layers": layers}

    folder = sweep(details=False, change=complete)
    loaded = load(folder, "ablation_refractory")
    table, _ = energy_tables(loaded.done, palette.looks(loaded.variants, "none"))
    assert [heading.text for heading in table.headings if heading.group == "With memory"] == MEMORY
    for shown in table.rows:
        tokens = [
            Token(row["operations"], [layer["firing_rate"] for layer in row["layers"]], json.loads(row["config"]))
            for row in rows_of(folder, shown.head)
        ]
        expected = {
            "kB": [each.cost().bytes_moved / 1000 for each in tokens],
            "nJ": [each.cost().energy_nj() for each in tokens],
            "1-bit dense, nJ": [each.matched_cost().energy_nj() for each in tokens],
            "spikes win below, %": [each.break_even() * 100 for each in tokens],
            "held, %": [each.break_even(weights_held=True) * 100 for each in tokens],
        }
        cells = shown.cells[-len(MEMORY) :]
        assert [number(cell) for cell in cells] == pytest.approx([np.mean(expected[key]) for key in MEMORY], rel=1e-2)


def test_where_the_settings_do_not_tell_the_network_there_is_nothing_with_memory(tables: tuple[Table, Table]) -> None:
    table, _ = tables
    assert {cell for shown in table.rows for cell in shown.cells[-len(MEMORY) :]} == {ABSENT}


def test_operations_are_listed_by_layer_and_what_is_of_no_layer_last(folder: Path, tables: tuple[Table, Table]) -> None:
    _, table = tables
    assert [heading.group for heading in table.headings[-4::2]] == [f"Layer {LAYERS}", "Encoder, last norm, head"]
    for shown in table.rows:
        expected = [
            np.mean(
                [
                    sum(operation[kind] for operation in row["operations"] if operation["layer"] == layer)
                    for row in rows_of(folder, shown.head)
                ]
            )
            for layer in (*range(LAYERS), None)
            for kind in ("multiply_accumulates", "accumulates")
        ]
        assert [number(cell) for cell in shown.cells] == pytest.approx(expected, abs=0.5)


def test_the_execution_form_and_what_is_not_counted_stand_beside_the_figures(folder: Path, tmp_path: Path) -> None:
    page = build_report("ablation_refractory", folder, tmp_path / "html", ["html"]).read_text()
    assert "Energy of a token" in page
    assert "counted is recurrent execution" in page
    assert "Not counted: leakage" in page


@pytest.mark.parametrize(
    ("directions", "said"),
    [((False,), {STREAMED}), ((True,), {STORED}), ((True, False), {STREAMED, STORED}), ((None,), {STREAMED, STORED})],
)
def test_only_causal_networks_are_said_to_stream_and_both_are_explained_where_the_direction_is_not_known(
    sweep: Callable[..., Path], directions: tuple[bool | None, ...], said: set[str]
) -> None:
    def directed(row: dict[str, Any]) -> dict[str, Any]:
        direction = directions[row["seed"] % len(directions)]
        model = {} if direction is None else {"model": {"bidirectional": direction}}
        return row | {"config": json.dumps(json.loads(row["config"]) | model)}

    loaded = load(sweep(details=False, change=directed), "ablation_refractory")
    table, _ = energy_tables(loaded.done, palette.looks(loaded.variants, "none"))
    assert {STREAMED, STORED} & set(table.notes) == said


def test_runs_that_tell_no_operations_have_no_energy_section(sweep: Callable[..., Path], tmp_path: Path) -> None:
    folder = sweep(details=False, change=lambda row: row | {"operations": None})
    assert (
        "Energy of a token" not in build_report("ablation_refractory", folder, tmp_path / "html", ["html"]).read_text()
    )
