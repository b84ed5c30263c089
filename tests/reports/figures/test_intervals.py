"""The figures of how spikes follow each other: what they say of trains whose law is known, and what they leave out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from spike_ssm.harness.training.traces import in_a_row
from spike_ssm.models.activity import LayerActivity
from spike_ssm.reports.figures.intervals import interval_figures
from spike_ssm.reports.figures.layers import MOST_LAYERS, MOST_VARIANTS
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render import palette
from spike_ssm.reports.render.drawn import Drawn
from tests.reports.figures.test_inside import figures_of

INTERVALS, RUNS, AFTER = TITLES = ("Intervals between spikes", "Spikes in a row", "After a spike")
RATE = 0.2


def at_random(rates: Sequence[float], seed: int = 0) -> torch.Tensor:
    """Spikes without memory, [8, channels, 2000], a rate a channel."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(8, len(rates), 2000, generator=generator) < torch.tensor(rates)[:, None]).float()


def clock(period: int, together: int = 1) -> torch.Tensor:
    """So many spikes in a row, every `period` steps."""
    return ((torch.arange(2000) % period) < together).float().expand(8, 4, 2000).contiguous()


def measured(spikes: torch.Tensor, layers: int = 1) -> dict[str, Any]:
    """The columns of a run that a network with these spikes in every layer has."""
    activity = LayerActivity(intervals=True)
    activity.add(spikes, spikes, None, None)
    intervals = activity.intervals
    assert intervals is not None
    following = {
        "firing_rate": float(spikes.mean()),
        "spike_after_spike": intervals.spike_after_spike,
        "spike_after_spike_by_chance": activity.spike_after_spike_by_chance,
        "interval_variation": intervals.variation,
        "run_length": intervals.run_length,
    }
    row = in_a_row(activity)
    places = range(layers)
    return following | {
        "layers": [{"layer": place, **following} for place in places],
        "traces": [{"layer": place, "bin_steps": 1, **row} for place in places],
    }


def drawn(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Drawn]:
    """The figures by title, of the rows of each variant, one a seed."""
    rows = [
        {"variant": variant, "seed": seed, **row} for variant, seeds in runs.items() for seed, row in enumerate(seeds)
    ]
    looks = palette.looks(list(runs), None)
    return {figure.title: figure for figure in interval_figures(pd.DataFrame(rows), looks, "t")}


@pytest.fixture(scope="module")
def random() -> dict[str, Drawn]:
    return drawn({"random": [measured(at_random([RATE] * 16, seed)) for seed in range(3)]})


def test_intervals_and_runs_of_spikes_without_memory_are_geometric(random: dict[str, Drawn]) -> None:
    for title, stays in ((INTERVALS, 1 - RATE), (RUNS, RATE)):
        numbers = random[title].numbers
        before, after = numbers["steps_from"] - 1, numbers["steps_to"]
        expected = 100 * (stays**before - stays**after)
        assert numbers["share_percent_mean"].to_numpy() == pytest.approx(expected.to_numpy(), abs=0.5)
        assert (numbers["share_percent_lowest"] <= numbers["share_percent_mean"]).all()
        assert numbers["share_percent_lowest"].iloc[0] < numbers["share_percent_highest"].iloc[0]
        assert set(numbers["seeds"]) == {3}


def test_what_is_drawn_is_the_share_of_a_single_step(random: dict[str, Drawn]) -> None:
    numbers = random[INTERVALS].numbers
    width = numbers["steps_to"] - numbers["steps_from"] + 1
    assert width.tolist()[:7] == [1, 1, 1, 1, 2, 2, 4]
    assert (numbers["share_percent_a_step_mean"] * width).to_numpy() == pytest.approx(numbers["share_percent_mean"])
    assert numbers["share_percent_mean"].sum() == pytest.approx(100)


def test_chance_is_on_the_line_also_of_unequal_channels_a_clock_below_it_and_bursts_above() -> None:
    spikes = {
        "random": at_random([RATE] * 16),
        "clock": clock(5),
        "bursts": clock(20, together=4),
        "unequal": at_random([0.05, 0.35] * 8),
    }
    numbers = drawn({name: [measured(train)] for name, train in spikes.items()})[AFTER].numbers.set_index("variant")
    chance, after = numbers["by_chance_percent_mean"], numbers["spike_after_spike_percent_mean"]
    assert chance[["random", "clock", "bursts"]].to_numpy() == pytest.approx(20, abs=0.5)
    assert after["random"] == pytest.approx(20, abs=1)
    assert after["clock"] == 0
    assert after["bursts"] == pytest.approx(75, abs=0.1)
    assert after["unequal"] == pytest.approx(chance["unequal"], abs=0.5)
    assert chance["unequal"] == pytest.approx(100 * (0.05**2 + 0.35**2) / 0.4, abs=1)


def test_what_is_longer_than_the_axis_is_said() -> None:
    rare = torch.zeros(8, 4, 4000)
    rare[..., [0, 10, 20, 30, 2500]] = 1
    caption = drawn({"rare": [measured(rare)]})[INTERVALS].caption
    assert "At most 25.0 % of a variant's intervals are longer than drawn." in caption
    assert "longer than drawn" not in drawn({"clock": [measured(clock(5))]})[INTERVALS].caption


def test_a_layer_without_spikes_and_a_variant_without_a_record_are_not_drawn() -> None:
    silent = torch.zeros(8, 4, 2000)
    dense = {"layers": [{"layer": 0, "spike_after_spike_by_chance": None, "spike_after_spike": None}], "traces": None}
    found = drawn({"clock": [measured(clock(5))], "silent": [measured(silent)], "dense": [dense]})
    assert set(found) == set(TITLES)
    for figure in found.values():
        assert set(figure.numbers["variant"]) == {"clock"}
        assert set(figure.legend) == {"clock"}
        assert "Without such a record: silent, dense." in figure.caption
    assert drawn({"dense": [dense], "silent": [measured(silent)]}) == {}


def test_what_is_not_drawn_of_many_variants_and_layers_is_said() -> None:
    found = drawn({f"v{place}": [measured(clock(5), layers=9)] for place in range(10)})
    remark = f"Drawn: the first {MOST_VARIANTS} of 10 variants. Drawn: {MOST_LAYERS} of 9 layers."
    for figure in found.values():
        assert figure.caption.endswith(remark)
        assert figure.numbers["variant"].nunique() == MOST_VARIANTS
        assert figure.numbers["layer"].nunique() == MOST_LAYERS


@pytest.fixture
def page(sweep: Callable[..., Path], tmp_path: Path) -> Callable[..., dict[str, tuple[str, str, str]]]:
    """The figures of the page of two variants, with what `change` does to their rows."""

    def figures(change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, tuple[str, str, str]]:
        results = sweep(variants=("none", "fixed"), details=False, change=change)
        return figures_of(build_report("ablation_refractory", results, tmp_path / "html").read_text(encoding="utf-8"))

    return figures


def test_the_page_has_each_figure_with_a_text_in_the_colours_of_its_mode(
    page: Callable[..., dict[str, tuple[str, str, str]]],
) -> None:
    found = page(lambda row: row | measured(clock(5) if "-none-" in row["id"] else clock(20, together=4), layers=2))
    assert (
        "share of intervals of one step: layer 0 none 0.0 %; layer 1 none 0.0 %; layer 0 fixed 75."
        in (found[INTERVALS][1])
    )
    assert "share of single spikes: layer 0 none 100.0 %" in found[RUNS][1]
    assert "layer 0 none 0.0 %, 20.0 %" in found[AFTER][1]
    for title in TITLES:
        caption, _, svg = found[title]
        assert len(caption.split(". ")) <= 2
        assert "layer 1" in svg
        assert "var(--v0)" in svg
        assert "#fe0" not in svg


def test_runs_of_before_have_none_of_these_figures(page: Callable[..., dict[str, tuple[str, str, str]]]) -> None:
    assert set(TITLES).isdisjoint(page(lambda row: row))
