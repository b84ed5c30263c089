"""Main effects: what is averaged over what, with which spread, and what is no grid."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.figures.forest import effect_forest
from spike_ssm.reports.findings.factors import effect_findings
from spike_ssm.reports.render.text import number
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
    assert findings.statements[0].text.startswith("is higher than reset soft by ")
    first = table.rows[0]
    assert (first.head, *first.cells[:3]) == ("reset", "hard", "soft", "2 combinations")
    assert first.cells[-1] == "higher"


def test_effects_are_drawn_a_row_each_and_filled_where_they_are_shown():
    effects = main_effects(measured(FULL, {"hard": 0.02}), FULL, BASELINE)
    figure = effect_forest(effects, "e0")
    assert figure is not None
    assert [*figure.numbers["effect"]] == ["reset hard", "reset none", "leak 0.9"]
    assert [verdict == "higher" for verdict in figure.numbers["verdict"]] == [True, False, False]
    assert figure.svg.count("fill: currentColor; stroke: currentColor") == 1
    assert figure.svg.count("fill: var(--page); stroke: currentColor") == 2
    assert f"reset hard {number(effects[0].comparison.difference.mean * 100, signed=True)}," in figure.svg
    assert "against reset soft and leak 0.5." in figure.caption
    assert effect_forest([], "e0") is None
    one_seed = grid(list(product(RESETS, LEAKS)), seeds=1)
    alone = effect_forest(main_effects(measured(one_seed, {}), one_seed, BASELINE), "e0")
    assert alone is not None
    assert "means of too few seeds" in alone.caption
    assert "LineCollection" not in alone.svg


SCREENING = [
    (decay, charge, penalty)
    for decay, charge, penalty in product(("0", "0.5", "0.9", "0.97"), ("0", "0.5", "1", "2"), ("none", "3", "100"))
    if decay == "0" or charge != "0"  # without a current it has no decay
]
"""The cells of the study of refractoriness, sweeps/sweep/study_refractoriness.yaml."""

PLANNED = grid(SCREENING, ("decay", "charge", "penalty"), seeds=4)


def screened(seeds: int = 4) -> pd.DataFrame:
    """Its runs: accuracy falls with the decay of 0.97, the firing rate with the penalty of 100 and the charge of 2."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"variant": run.variant, "seed": run.seed, **run.axes} for run in PLANNED if run.seed < seeds)
    noise = rng.normal(size=(3, len(frame)))
    accuracy = 0.8 - 0.02 * (frame["decay"] == "0.97") + 0.006 * noise[0]
    rate = 0.2 - 0.1 * (frame["penalty"] == "100") - 0.03 * (frame["charge"] == "2") + 0.004 * noise[1]
    return frame.assign(test_accuracy=accuracy, firing_rate=rate, spike_after_spike=rate / 2 + 0.004 * noise[2])


BASE = "0 / 0 / none"


def test_the_screening_is_a_grid_without_the_neuron_that_has_no_current():
    found = complete(PLANNED)
    assert found.levels == {
        "decay": ("0", "0.5", "0.9", "0.97"), "charge": ("0.5", "1", "2"), "penalty": ("none", "3", "100"),
    }  # fmt: skip
    assert len(found.variants) == 36
    effects = main_effects(screened(), PLANNED, BASE)
    assert [(each.factor, each.level, each.reference, each.over) for each in effects] == [
        *[("decay", level, "0", 9) for level in ("0.5", "0.9", "0.97")],
        *[("charge", level, "0.5", 12) for level in ("1", "2")],
        *[("penalty", level, "none", 12) for level in ("3", "100")],
    ]
    assert {(each.comparison.family, each.comparison.freedom) for each in effects} == {(7, 38 * 3)}


def test_a_reference_is_the_baselines_level_also_where_its_cell_is_no_part_of_the_grid():
    effects = main_effects(screened(), PLANNED, "0 / 0 / 3")
    assert {each.factor: each.reference for each in effects} == {"decay": "0", "charge": "0.5", "penalty": "3"}


def test_each_measure_is_a_family_of_its_own_with_the_effects_that_it_has():
    runs = screened()
    shown = {}
    for measure in ("test_accuracy", "firing_rate", "spike_after_spike"):
        effects = main_effects(runs, PLANNED, BASE, measure)
        assert {each.comparison.family for each in effects} == {7}
        shown[measure] = {
            each.level: each.comparison.difference.mean for each in effects if each.comparison.verdict.decided
        }
    assert shown["test_accuracy"] == {"0.97": pytest.approx(-0.02, abs=0.004)}
    assert shown["firing_rate"] == {"2": pytest.approx(-0.03, abs=0.003), "100": pytest.approx(-0.1, abs=0.003)}
    assert shown["spike_after_spike"]["100"] == pytest.approx(-0.05, abs=0.003)
    unknown = runs.assign(spike_after_spike=None)
    assert main_effects(unknown, PLANNED, BASE, "spike_after_spike") == [], "older runs, and neurons that do not spike"


def test_sentences_name_the_setting_and_what_it_is_compared_with():
    findings = effect_findings(main_effects(screened(), PLANNED, BASE, "firing_rate"), "firing rate")
    assert findings is not None
    assert findings.title == "Main effects on firing rate"
    said = [f"{', '.join(each.variants)}{':' if each.grouped else ''} {each.text}" for each in findings.statements]
    assert said[0].startswith("decay 0.5, decay 0.9, decay 0.97: no difference from decay 0 is shown by 4 seeds; what ")
    assert said[1].startswith("charge 2 is lower than charge 0.5 by ")
    assert said[2].startswith("charge 1: no difference from charge 0.5 is shown by 4 seeds")
    assert said[3].startswith("penalty 100 is lower than penalty none by ")


def test_the_table_says_how_large_an_effect_may_be_and_whose_spread_it_has():
    runs = screened()
    table = effect_table(main_effects(runs, PLANNED, BASE))
    assert table is not None
    cells = dict(zip((heading.text for heading in table.headings), table.rows[0].cells, strict=True))
    half = main_effects(runs, PLANNED, BASE)[0].comparison.difference.half * 100
    assert cells["difference, points"].endswith(f" ± {half:.2f}")
    assert table.seen[2:4] == (False, True), "the combinations on demand, the difference at once"
    assert "All variants share one spread, known with 114 degrees of freedom." in table.notes[1]
    unequal = runs.assign(test_accuracy=runs["test_accuracy"] + (runs["decay"] == "0.9") * runs["seed"] ** 2 / 20)
    own = effect_table(main_effects(unequal, PLANNED, BASE))
    assert own is not None
    assert "each effect has the mean spread of the variants that it compares, known with " in own.notes[1]


def test_of_two_seeds_there_is_no_half_width():
    table = effect_table(main_effects(screened(seeds=2), PLANNED, BASE, "firing_rate"), "firing rate")
    assert table is not None
    assert "±" not in "".join(cell for row in table.rows for cell in row.cells)
