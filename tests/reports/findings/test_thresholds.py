"""The sentence on thresholds describes means; nothing is said where none was trained."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spike_ssm.reports.findings.thresholds import trained_thresholds


def runs_of(thresholds: dict[str, tuple[float, float]], **layer: float) -> pd.DataFrame:
    """Two seeds of two layers a variant, from before and after."""
    entries: list[dict[str, Any]] = [
        {
            "variant": variant,
            "seed": seed,
            "layers": [
                {"layer": place, "threshold_before": before, "threshold_after": after + shift, **layer}
                for place, shift in enumerate((-0.1, 0.1))
            ],
        }
        for variant, (before, after) in thresholds.items()
        for seed in range(2)
    ]
    return pd.DataFrame(entries)


def said(runs: pd.DataFrame, baseline: str | None = "none") -> str:
    return " ".join(each.text for each in trained_thresholds(runs, baseline))


def test_the_baselines_way_is_said_and_where_all_end() -> None:
    runs = runs_of({"none": (1.0, 0.8), "raised": (2.0, 1.5)})
    assert said(runs) == "none: trained from 1.00 to 0.80; all variants end at 0.80 (none) to 1.50 (raised)."
    assert said(runs, "gelu") == "Trained to 0.80 (none) to 1.50 (raised)."
    assert said(runs_of({"none": (1.0, 0.8)})) == "none: trained from 1.00 to 0.80."


def test_where_the_inputs_spread_is_known_it_is_the_unit() -> None:
    runs = runs_of({"none": (1.0, 0.8)}, input_std_before=0.5, input_std=0.4)
    assert said(runs) == "none: trained from 2.00 to 2.00 s.d. of its input."


def test_fixed_thresholds_and_neurons_without_one_are_no_answer() -> None:
    fixed = pd.DataFrame(
        [{"variant": "none", "seed": 0, "layers": [{"layer": 0, "threshold_before": 1.0, "threshold_after": 1.0}]}]
    )
    assert said(fixed) == ""
    assert said(fixed.assign(layers=None)) == ""
