"""The first screen's sentences: what is shown, what is ruled out, what is open; never more than the tests allow."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.reports.findings.answer import NAMED, answer
from spike_ssm.reports.render.statements import Statement
from spike_ssm.reports.statistics.baseline import compare_with_baseline
from spike_ssm.reports.statistics.resolution import POWER, corrected_interval, resolution
from spike_ssm.reports.statistics.seeds import MARGIN, Verdict, compare

NOISE = (0.0, 0.004, -0.003, 0.002, -0.003)


def runs_of(
    accuracies: dict[str, list[float]], rates: dict[str, float] | None = None, shortcut: float = math.nan
) -> pd.DataFrame:
    rows = [
        {
            "variant": variant,
            "seed": seed,
            "test_accuracy": value,
            "firing_rate": (rates or {}).get(variant, math.nan) + 0.001 * seed,
            "shortcut_accuracy": shortcut,
        }
        for variant, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def told(runs: pd.DataFrame, baseline: str | None = "none") -> dict[str, str]:
    """Tag -> sentence."""
    said = answer(runs, compare_with_baseline(runs, baseline))
    return {each.tag: each.text.replace("\N{NO-BREAK SPACE}", " ") for each in said}


def around(mean: float, sign: int = 1) -> list[float]:
    return [mean + sign * noise for noise in NOISE]


def test_what_is_shown_is_named_with_its_size_the_largest_first() -> None:
    said = told(
        runs_of({"none": around(0.5), "up": around(0.53, -1), "far": around(0.56, -1), "down": around(0.45, -1)})
    )
    assert said["accuracy"] == (
        "More accurate than none: far (by 6.0 points) and up (by 3.0 points). "
        "Less accurate than none: down (by 5.0 points)."
    )
    assert "ruled out" not in said


def test_where_all_of_many_variants_are_alike_the_range_is_said() -> None:
    worse = {f"v{place}": around(0.45 - place / 100, (-1) ** place) for place in range(NAMED + 1)}
    assert told(runs_of({"none": around(0.5), **worse}))["accuracy"] == (
        "Less accurate than none: all 5 variants, by 5.0 to 9.0 points."
    )


def test_what_is_not_shown_is_bounded_and_the_seeds_that_would_decide_are_counted() -> None:
    said = told(runs_of({"none": around(0.5), "same": around(0.501, -1), "up": around(0.56, -1)}))
    assert said["accuracy"] == "More accurate than none: up (by 6.0 points)."
    assert said["ruled out"].startswith("For the other 1 variant, gains above 0.")
    assert said["ruled out"].endswith("(95 % for all at once).")
    wide = told(runs_of({"none": [0.5, 0.52, 0.48], "same": [0.47, 0.52, 0.53]}))
    assert wide["accuracy"] == "No variant is shown to be more or less accurate than none."
    assert re.search(r" Open: to tell one point takes about \d+ seeds; there are 3\.$", wide["ruled out"])


def test_controls_are_counted_beside_variants_that_are_asked_about_and_named_where_they_are_alone() -> None:
    accuracies = {"none": around(0.5), "up": around(0.53, -1), "more": around(0.56, -1), "low": around(0.4, -1)}
    runs = runs_of(accuracies)
    said, *_ = answer(runs, compare_with_baseline(runs, "none"), controls={"more", "low"})
    assert said.text == (
        "More accurate than none: up (by 3.0 points) and 1 control. Less accurate than none: low (by 10.0 points)."
    )


def test_further_answers_stand_with_the_others() -> None:
    runs = runs_of({"none": around(0.5), "up": around(0.53, -1)}, shortcut=0.2)
    speed = Statement("speed", (), "up takes 1.2 times as long a step.")
    said = answer(runs, compare_with_baseline(runs, "none"), further=[speed])
    assert [each.tag for each in said] == ["accuracy", "speed", "shortcut"]


def test_too_few_seeds_are_no_answer() -> None:
    said = told(runs_of({"none": [0.5, 0.51], "other": [0.6, 0.61]}))
    assert said == {"accuracy": "No verdict yet: it takes 3 seeds and some spread between them; here: 2."}


def test_spikes_are_compared_where_both_fire_and_stated_where_the_baseline_does_not() -> None:
    accuracies = {"none": around(0.5), "quiet": around(0.5, -1)}
    assert "spikes" not in told(runs_of(accuracies, {"none": 0.2, "quiet": 0.1})), "no spread, no verdict"
    noisy = runs_of(accuracies, {"none": 0.2, "quiet": 0.1})
    noisy.loc[noisy["variant"] == "quiet", "firing_rate"] += list(NOISE)
    assert told(noisy)["spikes"] == "Fewer spikes than none (20.2 %): quiet (10.2 %)."
    dense = told(runs_of({"gelu": around(0.5), "quiet": around(0.5, -1)}, {"quiet": 0.1}), "gelu")
    assert dense["spikes"] == "Sparsest: quiet, with a firing rate of 10.2 %."


def test_the_shortcut_is_beaten_only_where_a_test_shows_it() -> None:
    accuracies = {"none": around(0.5), "up": around(0.6, -1)}
    assert told(runs_of(accuracies, shortcut=0.55))["shortcut"] == "Shown to lie above the shortcut (55.00 %): up."
    assert told(runs_of(accuracies, shortcut=0.65))["shortcut"].startswith("No variant is shown to lie above")
    assert told(runs_of(accuracies, shortcut=0.35))["shortcut"].startswith("All variants are shown to lie above")


def test_without_a_baseline_the_highest_mean_is_said_to_be_untested() -> None:
    said = told(runs_of({"a": around(0.5), "b": around(0.6)}), None)
    assert said["accuracy"] == "Highest mean: b, 60.00 %. Without a baseline nothing is tested against it."


# --- what is ruled out


@pytest.mark.parametrize("variants", [1, 6])
def test_the_true_differences_lie_within_all_bounds_in_19_of_20_sweeps(variants: int) -> None:
    random, covered, sweeps = np.random.default_rng(0), 0, 400
    for _ in range(sweeps):
        differences = {str(name): pd.Series(random.normal(0.0, 0.01, 5)) for name in range(variants)}
        found = resolution(list(compare(differences).values()))
        assert found is not None
        covered += -found.loss <= 0.0 <= found.gain
    assert covered / sweeps >= 0.93  # 95 % with three standard errors of 400 sweeps


def test_so_many_seeds_show_a_point_about_as_often_as_stated() -> None:
    random, sd = np.random.default_rng(1), 0.02
    found = resolution(list(compare({"x": pd.Series(random.normal(0, sd, 2000))}).values()))
    assert found is not None
    assert found.needed == pytest.approx((2.8 * sd / MARGIN) ** 2, rel=0.1)
    drawn = pd.DataFrame(random.normal(MARGIN, sd, (found.needed, 500)))
    shown = sum(compare({"x": drawn[each]})["x"].verdict is Verdict.HIGHER for each in drawn)
    assert shown / 500 == pytest.approx(POWER, abs=0.06)


@given(st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=8), st.integers(0, 2**16))
def test_a_corrected_interval_leaves_out_zero_where_there_is_a_verdict_and_only_there(
    means: list[float], seed: int
) -> None:
    noise = np.random.default_rng(seed)
    compared = compare({place: pd.Series(mean + noise.normal(0, 0.01, 4)) for place, mean in enumerate(means)})
    for each in compared.values():
        interval = corrected_interval(each)
        assert (interval.low > 0 or interval.high < 0) == each.verdict.decided
        assert interval.half >= each.difference.half - 1e-12, "never narrower than the one of the table"


def test_nothing_is_ruled_out_by_what_was_not_tested() -> None:
    assert resolution([]) is None
    assert resolution(list(compare({"x": pd.Series([0.1, 0.2])}).values())) is None
