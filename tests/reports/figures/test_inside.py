"""The figures of what neurons do inside, as the page's reader meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.figures.inside import inside_figures
from spike_ssm.reports.figures.layers import MOST_LAYERS, MOST_VARIANTS
from spike_ssm.reports.figures.spike_trains import (
    LEGIBLE_STEPS,
    MOST_RASTERS,
    STEPS,
    Example,
    shared_example,
    spike_trains,
)
from spike_ssm.reports.pages.sweep import build_report
from spike_ssm.reports.render import palette
from spike_ssm.results.raster import pack_raster
from spike_ssm.results.schema import POTENTIAL_EDGES

TITLES = ("Firing rate over time", "Membrane potential", "Spikes of one example")
UNDETERMINED = "Undetermined fraction by iterations"
THRESHOLD = 1 + POTENTIAL_EDGES.index(1.0)


def trace(layer: int, seed: int = 0) -> dict[str, Any]:
    """One layer's: rates from 10 to 30 %, a fifth of the potentials at or above the threshold, 96 spikes."""
    counts = np.zeros(len(POTENTIAL_EDGES) + 1, int)
    counts[0], counts[30], counts[THRESHOLD - 1], counts[THRESHOLD], counts[-1] = 5, 55, 20, 15, 5
    spikes = np.zeros((32, 60), bool)
    spikes[:, [3 + seed, 10, 59]] = True
    return {
        "layer": layer,
        "bin_steps": 2,
        "rate_over_time": np.linspace(0.1, 0.3, 30).tolist(),
        "tokens_over_time": [100] * 30,
        "potential": counts.tolist(),
        "raster": pack_raster(spikes),
        "raster_steps": 60,
    }


def with_traces(row: dict[str, Any]) -> dict[str, Any]:
    layers = [layer | {"input_std_before": 0.5} for layer in row["layers"]] if row["layers"] else None
    return row | {"layers": layers, "traces": [trace(layer, row["seed"]) for layer in range(4)]}


def iterating(row: dict[str, Any]) -> dict[str, Any]:
    """`none` is certified, `fixed` and `trainable` are PMBC's paper mode with M = 1 and 3."""
    allowed = {"none": None, "fixed": 1, "trainable": 3}[row["id"].split("-")[1]]
    rest = {None: 0.0, 1: 0.1, 3: 0.004}[allowed]
    config = json.loads(row["config"]) | {"neuron": {"solver": "pmbc", "max_iterations": allowed}}
    return row | {"config": json.dumps(config), "undetermined": rest * (1 + row["seed"] / 10)}


def figures_of(page: str) -> dict[str, tuple[str, str, str]]:
    """Title -> caption, label and drawing."""
    found = re.findall(
        r"<figcaption><strong>([^<]*)</strong><span>(.*?)</span></figcaption>\s*(<svg.*?</svg>)", page, re.DOTALL
    )
    return {title: (caption, re.findall(r'aria-label="([^"]*)"', drawn)[0], drawn) for title, caption, drawn in found}


def built(results: Path) -> str:
    return build_report("ablation_refractory", results, results.parent / "html").read_text(encoding="utf-8")


@pytest.fixture
def figures(sweep):
    """The figures of the page of two variants without layers, or of the options that differ."""
    usual = {"variants": ("none", "fixed"), "details": False, "change": with_traces}
    return lambda **options: figures_of(built(sweep(**{**usual, **options})))


def runs_of(variants: int, layers: int) -> pd.DataFrame:
    rows = [
        {
            "variant": f"v{n}",
            "seed": 0,
            "config": "{}",
            "undetermined": 0.0,
            "traces": [trace(layer) for layer in range(layers)],
        }
        for n in range(variants)
    ]
    return pd.DataFrame(rows)


def test_each_figure_has_a_title_a_caption_and_a_text_and_follows_the_mode_of_the_page(figures):
    found = figures()
    for title in TITLES:
        caption, label, drawn = found[title]
        assert len(caption) > 60
        assert "none" in label
        assert "fixed" in label
        assert "layer 0" in drawn
        assert "var(--v0)" in drawn
        assert "#fe0" not in drawn


def test_the_texts_say_what_the_runs_hold(figures):
    found = figures()
    assert "layer 0 none 10.0 to 30.0 %" in found["Firing rate over time"][1]
    assert "layer 3 fixed 20.0 %" in found["Membrane potential"][1], "at or above the threshold"
    assert "at most 10.0 % of a variant" in found["Membrane potential"][0], "below the first edge or above the last"
    assert "none layer 3 5.0 %" in found["Spikes of one example"][1], "3 of 60 steps"


def test_a_raster_has_a_tick_for_each_spike_drawn(figures):
    _, _, drawn = figures(variants=("none",))["Spikes of one example"]
    ticks = [path.count("M") for path in re.findall(r'd="([^"]*)"', drawn)]
    assert sorted(ticks)[-2:] == [3 * 16, 3 * 16], "16 channels in the first and in the last layer"


SYMBOLS = [f"[MAX{place}" for place in range(100)]


def test_the_input_stands_above_the_spikes_that_it_brought_about(figures):
    def reading(row):
        return with_traces(row) | {"example_symbols": SYMBOLS[:60]}

    _, _, drawn = figures(change=reading)["Spikes of one example"]
    texts = re.findall(r">([^<>]+)</text>", drawn)
    assert texts.index("input") < texts.index("none") < texts.index("fixed")
    assert [text for text in texts if text.startswith("[MAX")] == [symbol[:5] for symbol in SYMBOLS[:10]] + [
        "[MAX…"
    ] * 50


def test_an_input_that_not_all_variants_read_is_not_shown(figures):
    def reading(row):
        return with_traces(row) | {"example_symbols": ["a", row["id"]]}

    assert ">input<" not in figures(change=reading)["Spikes of one example"][2]


def test_of_grey_levels_the_steps_are_drawn_in_which_most_changes():
    levels = [0.0] * 300 + [0.0, 1.0] * 40 + [0.0] * 132
    drawn = shared_example(pd.DataFrame({"example_levels": [levels] * 2})).drawn
    assert drawn.stop - drawn.start == STEPS
    assert drawn.start <= 300 <= 380 <= drawn.stop + 1
    assert Example(symbols=("a",) * 200).drawn == slice(LEGIBLE_STEPS)
    assert Example().drawn == slice(STEPS), "nothing is known of the input"


def test_runs_of_before_have_none_of_these_figures_and_no_threshold_before_training(figures):
    found = figures(details=True, change=lambda row: row)
    assert set(TITLES).isdisjoint(found)
    caption, _, _ = found["Threshold by layer"]
    assert "Before training not recorded: none, fixed." in caption


def test_a_threshold_is_set_against_the_input_of_its_time(figures):
    caption, label, _ = figures(details=True)["Threshold by layer"]
    assert "not recorded" not in caption
    assert "in standard deviations of the neuron&#39;s input" in caption
    assert re.search(r"none 1\.\d", label), "around 1 / 0.9 after training"


def test_variants_without_such_a_record_are_named(figures):
    found = figures(change=lambda row: row if "-fixed-" in row["id"] else with_traces(row))
    for title in TITLES:
        caption, label, _ = found[title]
        assert "Without such a record: fixed." in caption
        assert "fixed" not in label


@pytest.mark.parametrize("column", ["potential", "raster"])
def test_neurons_without_a_threshold_or_bare_spikes_lack_one_figure(figures, column):
    def lacking(row):
        row = with_traces(row)
        return row | {"traces": [each | {column: None} for each in row["traces"]]}

    absent = {"potential": "Membrane potential", "raster": "Spikes of one example"}[column]
    assert set(TITLES) - set(figures(change=lacking)) == {absent}


def test_what_is_not_drawn_of_many_variants_and_layers_is_said():
    runs = runs_of(10, 9)
    looks = palette.looks(list(runs["variant"]), None)
    drawn = [*inside_figures(runs, looks, "t"), spike_trains(runs, looks, "s")]
    captions = {figure.title: figure.caption for figure in drawn}
    for title in TITLES[:2]:
        assert f"Drawn: the first {MOST_VARIANTS} of 10 variants. Drawn: {MOST_LAYERS} of 9 layers." in captions[title]
    assert f"Drawn: the first {MOST_RASTERS} of 10 variants." in captions[TITLES[2]]


def test_the_figures_of_one_task_take_less_than_a_third_of_a_megabyte():
    generator = np.random.default_rng(0)
    runs = runs_of(MOST_VARIANTS, MOST_LAYERS)
    for traces in runs["traces"]:
        for each in traces:
            raster = pack_raster(generator.random((32, 512)) < 0.15)
            each |= {"raster": raster, "raster_steps": 512, "potential": generator.integers(0, 999, 62).tolist()}
    looks = palette.looks(list(runs["variant"]), None)
    drawn = [*inside_figures(runs, looks, "t"), spike_trains(runs, looks, "s")]
    assert len(drawn) == 3
    assert sum(len(figure.svg) for figure in drawn) < 1e6 / 3


def test_undetermined_fraction_and_accuracy_stand_against_the_iterations(figures):
    found = figures(variants=("none", "fixed", "trainable"), change=iterating)
    caption, label, drawn = found[UNDETERMINED]
    assert re.search(r"none 0\.00 %, accuracy [\d.]+ %; fixed 11\.0 %, .*; trainable 0\.440 %, ", label)
    assert {"1", "3", "certified", "0"} <= set(re.findall(r">([^<>]+)</text>", drawn))
    assert "hollow: nothing is undetermined" in caption


def test_sweeps_of_one_number_of_iterations_have_no_such_figure(figures):
    assert UNDETERMINED not in figures(change=lambda row: row)
    assert UNDETERMINED not in figures(variants=("fixed",), change=iterating)
