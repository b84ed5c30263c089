"""What docs/energy.md says is what the counts of untrained networks give."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness.training.network_measures import energy_measures
from spike_ssm.models.network import Inputs, ModelSettings, build_network
from spike_ssm.models.neurons import RefractoryLIFSettings
from spike_ssm.reports.render.text import number
from spike_ssm.results.energy import energy_of
from spike_ssm.results.traffic import Token

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "energy.md").read_text()
DIRECTIONS = {"causal": False, "bidirectional": True}


def rows_of(section: str) -> list[list[str]]:
    """The cells of a section's table, without its headings."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def model_of(state_size: str, direction: str) -> ModelSettings:
    return ModelSettings(layers=6, channels=256, state_size=int(state_size), bidirectional=DIRECTIONS[direction])


def measures(model: ModelSettings, rate: float) -> dict[str, Any]:
    network = build_network("classification", Inputs(18), 10, model, RefractoryLIFSettings())
    return energy_measures(network, 1000, [rate] * 6)


def test_the_energies_at_published_widths_are_those_that_are_counted() -> None:
    rows = rows_of("At published widths")
    assert {tuple(row[:3]) for row in rows} == {
        (state, direction, rate) for state in ("4", "64") for direction in DIRECTIONS for rate in ("5", "10", "20")
    }
    for row in rows:
        found = measures(model_of(*row[:2]), float(row[2]) / 100)
        whole, dense = found["energy_nj_per_token"], found["dense_energy_nj_per_token"]
        shares = [energy_of(found["operations"], part) / whole * 100 for part in ("ssm", "projection")]
        assert row[3:] == [number(whole, 0), number(dense, 0), number(whole / dense), *(number(s, 1) for s in shares)]


def test_the_example_gives_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    *lines, last = example.strip().splitlines()
    exec("\n".join([*lines, f"print({last})"]), {})
    shown = number(float(capsys.readouterr().out), 0)
    assert ["64", "causal", "5", shown] in [row[:4] for row in rows_of("At published widths")]


def test_the_costs_with_memory_are_those_that_are_counted() -> None:
    rows = rows_of("With memory")
    assert {tuple(row[:2]) for row in rows} == {(state, direction) for state in ("4", "64") for direction in DIRECTIONS}
    for row in rows:
        assert row[2:] == with_memory(model_of(*row[:2]))


def with_memory(model: ModelSettings) -> list[str]:
    settings = {"model": asdict(model), "neuron": asdict(RefractoryLIFSettings())}
    token = Token(measures(model, 0.05)["operations"], [0.05] * 6, settings)
    cost, rates = token.cost(), [token.break_even(weights_held=held) for held in (False, True)]
    energies = [cost.bytes_moved / 1000, cost.energy_nj(), token.matched_cost().energy_nj()]
    return [*(number(each, 0) for each in energies), *(number(each * 100, 1) for each in rates)]


def test_with_weights_held_spikes_never_win_in_the_ablations_networks() -> None:
    assert with_memory(replace(model_of("16", "bidirectional"), channels=64))[-1] == "0.0"
