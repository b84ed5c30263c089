"""Main effects: what is averaged over what, with which spread, and what is no grid."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.findings.factors import effect_findings
from spike_ssm.reports.statistics.factors import complete, main_effects
from spike_ssm.reports.statistics.pooled import spread
from spike_ssm.reports.statistics.seeds import Verdict, by_seed
from spike_ssm.reports.tables.factors import effect_table
from spike_ssm.results.schema import PlannedRun

RESETS, LEAKS = ("soft", "hard", "none"), ("0.5", "0.9")
BASELINE = "soft / 0.5"


def grid(labels: list[tuple[str, ...]], axes: tuple[str, ...] = ("reset", "leak"), seeds: int = 5) -> list[PlannedRun]:
    return [
        PlannedRun(
            f"{label} {seed}", {"task": "listops", **dict(zip(axes, label, strict=True))}, " / ".join(label), seed
        )
        for label in labels
        for seed in range(seeds)
    ]


def measured(planned: list[PlannedRun], gains: dict[str, float], noise: float = 0.005, draw: int = 0) -> pd.DataFrame:
    """Runs to whose accuracy every label adds its gain."""
    rng = np.random.default_rng(draw)
    return pd.DataFrame(
        {
            "id": run.id,
            "variant": run.variant,
            "seed": run.seed,
            "test_accuracy": 0.5 + sum(gains.get(label, 0.0) for label in run.axes.values()) + noise * rng.normal(),
        }
        for run in planned
    )


FULL = grid(list(product(RESETS, LEAKS)))


def test_an_effect_is_the_difference_of_means_over_the_other_factor():
    runs = measured(FULL, {"hard": 0.02, "0.9": -0.03})
    found = {(each.factor, each.level): each for each in main_effects(runs, FULL, BASELINE)}
    assert list(found) == [("reset", "hard"), ("reset", "none"), ("leak", "0.9")]
    values = by_seed(runs, "test_accuracy")
    by_hand = (values["hard / 0.5"] + values["hard / 0.9"] - values["soft / 0.5"] - values["soft / 0.9"]).mean() / 2
    hard, leak = found["reset", "hard"], found["leak", "0.9"]
    assert hard.comparison.difference.mean == pytest.approx(by_hand)
    assert (hard.reference, hard.over, leak.reference, leak.over) == ("soft", 2, "0.5", 3)
    assert hard.comparison.verdict is Verdict.HIGHER
    assert leak.comparison.verdict is Verdict.LOWER
    assert found["reset", "none"].comparison.verdict is Verdict.OPEN


def test_its_standard_error_is_that_of_all_the_runs_that_it_averages():
    runs = measured(FULL, {})
    shared = spread(by_seed(runs, "test_accuracy"))
    assert shared is not None
    for each in main_effects(runs, FULL, BASELINE):
        assert each.comparison.error == pytest.approx(shared.sd * math.sqrt(2 / (each.over * 5)))
        assert (each.comparison.freedom, each.comparison.family) == (20, 3)


def test_levels_with_missing_combinations_go_the_emptiest_first():
    """The sweep among sparse networks: a plain neuron has five penalties, a refractory four, a reset three."""
    weights = {"plain": (0, 1, 10, 100, 1000), "refractory": (0, 1, 10, 100), "reset": (1, 10, 100)}
    planned = grid([(f"{name}_{weight}",) for name, each in weights.items() for weight in each], ("neuron",))
    found = complete(planned)
    assert found.levels == {"neuron": ("plain", "refractory", "reset"), "number after neuron": ("1", "10", "100")}
    assert found.variants["refractory", "10"] == "refractory_10"
    effects = main_effects(measured(planned, {}), planned, "plain_0")
    assert [(each.level, each.reference, each.over) for each in effects] == [
        *[("refractory", "plain", 3), ("reset", "plain", 3)],
        *[("10", "1", 3), ("100", "1", 3)],
    ]


def test_a_combination_without_a_finished_run_is_a_missing_one():
    runs = measured(FULL, {})
    found = main_effects(runs[runs["variant"] != "none / 0.9"], FULL, BASELINE)
    assert [(each.level, each.over) for each in found] == [("hard", 2), ("0.9", 2)]


def test_seeds_without_every_combination_are_left_out():
    runs = measured(FULL, {})
    found = main_effects(runs.drop(index=0), FULL, BASELINE)
    assert {each.comparison.difference.n for each in found} == {4}


@pytest.mark.parametrize(
    "labels", [[("none",), ("fixed",), ("raised_2",)], [("fixed_0.5",), ("fixed_1",)], [("certified",), ("M1",)]]
)
def test_one_axis_is_no_grid(labels: list[tuple[str]]):
    planned = grid(labels, ("refractory",))
    assert main_effects(measured(planned, {}), planned, labels[0][0]) == []
    assert main_effects(measured(planned, {}).iloc[:0], planned, None) == []
    assert effect_table([]) is None
    assert effect_findings([]) is None


def test_effects_are_said_in_words_and_in_a_table():
    effects = main_effects(measured(FULL, {"hard": 0.02}), FULL, BASELINE)
    findings, table = effect_findings(effects), effect_table(effects)
    assert findings is not None
    assert table is not None
    assert (findings.statements[0].tag, findings.statements[0].variants) == ("higher", ("reset hard",))
    assert findings.statements[0].text.startswith("is higher than soft by ")
    first = table.rows[0]
    assert (first.head, *first.cells[:3]) == ("reset", "hard", "soft", "2 combinations")
    assert first.cells[-1] == "higher"
