"""Nothing is marked as best that the page's own verdicts do not call so."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.reports.render.table import BEST, NEAR_BEST
from spike_ssm.reports.statistics.baseline import compare_with_baseline
from spike_ssm.reports.statistics.seeds import Verdict
from spike_ssm.reports.tables.standings import standings


def runs_of(means: list[float], seed: int, seeds: int = 4) -> pd.DataFrame:
    noise = np.random.default_rng(seed)
    rows = [
        {"variant": f"v{place}", "seed": each, "test_accuracy": mean + noise.normal(0, 0.01), "firing_rate": 0.1}
        for place, mean in enumerate(means)
        for each in range(seeds)
    ]
    return pd.DataFrame(rows)


@given(st.lists(st.floats(0.4, 0.45), min_size=2, max_size=6), st.integers(0, 2**16))
def test_the_best_is_told_from_the_baseline_or_another_is_by_the_pages_verdicts(means: list[float], seed: int) -> None:
    runs = runs_of(means, seed)
    comparisons = compare_with_baseline(runs, "v0")
    marks = standings(runs, "v0", comparisons.accuracy, {"v1"})
    verdicts = {variant: each.verdict for variant, each in comparisons.accuracy.items()}
    assert "v1" not in marks, "a control"
    best = [variant for variant, mark in marks.items() if mark == BEST]
    if best == ["v0"]:
        assert Verdict.LOWER in verdicts.values()
    elif best:
        assert verdicts[best[0]] is Verdict.HIGHER
        assert "v0" not in marks
    else:
        assert marks == {}
    near = [variant for variant, mark in marks.items() if mark == NEAR_BEST]
    if best == ["v0"]:
        assert not [variant for variant in near if verdicts[variant].decided]


def test_the_baseline_is_the_best_where_it_is_shown_above_another() -> None:
    runs = pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "test_accuracy": value, "firing_rate": 0.1}
            for variant, values in {"v0": (0.51, 0.52, 0.53), "v1": (0.31, 0.31, 0.34), "v2": (0.5, 0.53, 0.52)}.items()
            for seed, value in enumerate(values)
        ]
    )
    assert standings(runs, "v0", compare_with_baseline(runs, "v0").accuracy) == {"v0": BEST, "v2": NEAR_BEST}


def test_on_data_that_the_baseline_has_not_the_variants_own_test_decides() -> None:
    assert standings(runs_of([0.5, 0.3], 0), None, {}) == {"v0": BEST}
    assert standings(runs_of([0.5, 0.3], 0, seeds=2), None, {}) == {}
