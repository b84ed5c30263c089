"""Along an axis of numbers there is a line a neuron, and what has other data is not ranked against it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.figures.scaling import lines, numbered_axis, scaling_figures
from spike_ssm.reports.render import palette
from spike_ssm.reports.statistics.baseline import Comparisons
from spike_ssm.reports.tables.accuracy import measurements
from spike_ssm.results.schema import RUN, PlannedRun

LENGTHS = (64, 128, 256)


def sweep(lengths: tuple[object, ...] = LENGTHS, neurons: tuple[str, ...] = ("gelu", "lif")) -> list[PlannedRun]:
    return [
        PlannedRun(f"{neuron}-{length}-{seed}", {"task": "listops", "neuron": neuron, "length": str(length)},
                   f"{neuron} / {length}", seed)
        for neuron in neurons for length in lengths for seed in (0, 1, 2)
    ]  # fmt: skip


def finished(planned: list[PlannedRun]) -> pd.DataFrame:
    rows = []
    for run in planned:
        length = float(run.axes["length"])
        own = {
            "id": run.id, "variant": run.variant, "seed": run.seed, "machine_shared": False,
            "test_accuracy": 0.5 - length / 2000 + 0.001 * run.seed + (0.01 if run.axes["neuron"] == "gelu" else 0),
            "firing_rate": None if run.axes["neuron"] == "gelu" else 0.1,
            "train_tokens_per_s": 1e6 / length, "shortcut_accuracy": 0.3, "peak_memory_mib": 100 + length,
            "config": json.dumps({"task": {"max_length": length}, "neuron": {"name": run.axes["neuron"]}}),
        }  # fmt: skip
        rows.append(dict.fromkeys(RUN.names) | own)
    frame = pd.DataFrame(rows)
    numeric = [field.name for field in RUN if str(field.type) == "double"]
    frame[numeric] = frame[numeric].astype(float)
    return frame


def test_an_axis_of_three_numbers_makes_lines():
    assert numbered_axis(sweep()) == "length"
    assert lines(sweep()) == {f"{neuron} / {length}": neuron for neuron in ("gelu", "lif") for length in LENGTHS}


@pytest.mark.parametrize("lengths", [(64, 128), ("short", 128, 256)])
def test_two_numbers_or_words_make_none(lengths: tuple[object, ...]):
    assert numbered_axis(sweep(lengths)) is None
    assert lines(sweep(lengths)) == {}
    assert scaling_figures(finished(sweep()), sweep(lengths), {}, "n") == []


def test_the_figures_say_the_means_they_draw():
    planned = sweep()
    figures = {
        each.title: each
        for each in scaling_figures(finished(planned), planned, palette.looks(["gelu", "lif"], None), "n")
    }
    assert list(figures) == [
        f"{what} by length" for what in ("Test accuracy", "Firing rate", "Training time", "Peak memory")
    ]
    assert "gelu 47.90, 44.70, 38.30; lif 46.90, 43.70, 37.30." in figures["Test accuracy by length"].svg
    assert "Grey: the shortcut, 30.00, 30.00, 30.00 %." in figures["Test accuracy by length"].caption
    assert "Firing rate at length 64, 128, 256: lif 10.00, 10.00, 10.00." in figures["Firing rate by length"].svg
    assert "gelu 64.00, 128.00, 256.00" in figures["Training time by length"].svg
    for figure in figures.values():
        assert "mathdefault" not in figure.svg, "numbers are plain text"


def test_the_best_is_one_a_length_because_longer_sequences_are_another_task():
    runs = finished(sweep())
    runs["test_accuracy"] += 1e-4 * np.random.default_rng(0).standard_normal(len(runs))  # else no test could show one
    found = measurements("listops", runs, Comparisons(None), {}).set_index("variant")["mark"]
    assert [variant for variant, mark in found.items() if mark == "best"] == [f"gelu / {length}" for length in LENGTHS]
