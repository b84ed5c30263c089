"""The table of spike trains: means over seeds of what the runs hold, and nothing where they hold nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spike_ssm.reports.loading.sweep import load
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.table import Table
from spike_ssm.reports.render.text import ABSENT
from spike_ssm.reports.sections.spike_trains import spike_train_table
from tests.reports.figures.test_intervals import at_random, clock, measured

CLOCK, RANDOM = "none", "fixed"


def spiking(row: dict[str, Any]) -> dict[str, Any]:
    """`none` is a clock, `fixed` fires at random, and `trainable` does not spike."""
    silent = dict.fromkeys(("firing_rate", "silent", "saturated"))
    trains = {CLOCK: lambda: clock(5), RANDOM: lambda: at_random([0.05] * 16, row["seed"])}
    name = row["id"].split("-")[1]
    return row | (measured(trains[name]()) if name in trains else silent)


@pytest.fixture
def table(sweep: Callable[..., Path]) -> Callable[..., Table | None]:
    """The table of three variants, or of the options that differ."""

    def made(**options: Any) -> Table | None:
        usual = {"variants": (CLOCK, RANDOM, "trainable"), "details": False, "change": spiking}
        loaded = load(sweep(**{**usual, **options}), "ablation_refractory")
        return spike_train_table(loaded.done, palette.looks(loaded.variants, "none"))

    return made


def test_a_clock_a_train_at_random_and_neurons_that_do_not_spike(table: Callable[..., Table | None]) -> None:
    found = table()
    assert found is not None
    by_variant = {row.head: row.cells for row in found.rows}
    assert [cell.partition(" ± ")[0] for cell in by_variant[CLOCK]] == ["20.00", "0.00", "20.00", "0.00", "1.00"]
    assert by_variant["trainable"] == (ABSENT,) * 5
    rate, after, chance, variation, run = (float(cell.partition(" ± ")[0]) for cell in by_variant[RANDOM])
    assert rate == pytest.approx(5, abs=0.1)
    assert after == pytest.approx(5, abs=0.3)
    assert chance == pytest.approx(5, abs=0.3)
    assert (variation, run) == pytest.approx((0.97, 1 / 0.95), abs=0.05)
    assert all(" ± " in cell for cell in by_variant[RANDOM])


def test_its_file_has_the_numbers_in_full(table: Callable[..., Table | None]) -> None:
    found = table()
    assert found is not None
    numbers = found.as_numbers().set_index("variant").loc[RANDOM]
    seeds = pd.DataFrame([measured(at_random([0.05] * 16, seed)) for seed in range(3)])
    by_chance = 100 * seeds["spike_after_spike_by_chance"]
    assert numbers["seeds"] == 3
    assert numbers["spike_after_spike_percent"] == pytest.approx(100 * seeds["spike_after_spike"].mean())
    assert numbers["spike_after_spike_highest_percent"] == pytest.approx(100 * seeds["spike_after_spike"].max())
    assert numbers["spike_after_spike_by_chance_percent"] == pytest.approx(by_chance.mean())
    half = numbers["spike_after_spike_by_chance_half_interval_percent"]
    assert half == pytest.approx(4.303 * by_chance.sem(), rel=1e-3)


def test_of_two_seeds_it_has_a_range_and_no_interval(table: Callable[..., Table | None]) -> None:
    found = table(seeds=(0, 1))
    assert found is not None
    assert "±" not in "".join(cell for row in found.rows for cell in row.cells)
    assert "2 seeds" in next(row for row in found.rows if row.head == RANDOM).cells[1]
    assert found.as_numbers()["run_length_half_interval"].isna().all()
    assert "in brackets" in found.notes[0]


def test_runs_of_before_have_no_such_table(table: Callable[..., Table | None]) -> None:
    assert table(change=lambda row: row) is None


def test_the_page_folds_it_and_links_its_numbers(sweep: Callable[..., Path], tmp_path: Path) -> None:
    results = sweep(variants=(CLOCK, RANDOM), details=False, change=spiking)
    page = build_report("ablation_refractory", results, tmp_path / "html").read_text(encoding="utf-8")
    _, _, folded = page.partition("<summary>Spike trains: how spikes follow each other</summary>")
    assert "spike after spike, %" in folded.partition("</details>")[0]
    assert (tmp_path / "html" / "ablation_refractory" / "listops_spike_trains.csv").exists()
    sweep(variants=(CLOCK, RANDOM), details=False)
    page = build_report("ablation_refractory", results, tmp_path / "html").read_text(encoding="utf-8")
    assert "Spike trains" not in page
