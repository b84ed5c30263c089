"""Who is on the front of the means, and who is said to be dominated."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.reports.statistics.pareto import DOMINATED, FRONT, UNDECIDED, front, places

NOISE = np.array([-0.004, 0.001, 0.003, 0.0])
points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


def runs(variants: dict[str, tuple[float, float]], noise: float = 1.0, seeds: int = 4) -> pd.DataFrame:
    """Runs around (accuracy, rate) of each variant, with noise of its own a variant."""
    return pd.DataFrame(
        [
            {
                "variant": variant,
                "seed": seed,
                "test_accuracy": accuracy + noise * np.roll(NOISE, place)[seed],
                "firing_rate": rate + noise * np.roll(NOISE, 2 * place + 1)[seed],
            }
            for place, (variant, (accuracy, rate)) in enumerate(variants.items())
            for seed in range(seeds)
        ]
    )


@given(points)
def test_nobody_on_the_front_is_beaten_and_everybody_off_it_is_matched_by_somebody_on_it(values):
    means = pd.DataFrame(values, columns=["accuracy", "rate"], index=[f"v{place}" for place in range(len(values))])
    members = means.loc[front(means)]
    for _, one in members.iterrows():
        other = means[(means["accuracy"] >= one["accuracy"]) & (means["rate"] <= one["rate"])]
        assert (other == one).all(axis=None)
    for _, one in means.iterrows():
        assert ((members["accuracy"] >= one["accuracy"]) & (members["rate"] <= one["rate"])).any()
    assert members["rate"].is_monotonic_increasing
    assert members["accuracy"].is_monotonic_increasing


def test_clear_differences_put_variants_on_the_front_or_under_it():
    found = places(runs({"sparse": (0.40, 0.05), "accurate": (0.60, 0.20), "beaten": (0.35, 0.25)}))
    assert found == {"sparse": FRONT, "accurate": FRONT, "beaten": DOMINATED}


def test_within_noise_nobody_is_said_to_be_dominated():
    found = places(runs({"one": (0.500, 0.100), "other": (0.499, 0.101)}))
    assert found == {"one": FRONT, "other": UNDECIDED}


def test_better_in_one_by_the_tests_and_as_good_in_the_other_dominates():
    assert places(runs({"one": (0.50, 0.05), "other": (0.4999, 0.20)}))["other"] == DOMINATED


def test_better_in_one_but_perhaps_worse_in_the_other_is_no_claim():
    frame = runs({"one": (0.501, 0.05), "other": (0.500, 0.20)})
    frame.loc[frame["variant"] == "one", "test_accuracy"] += 8 * NOISE  # as good on average, but one cannot tell
    assert places(frame)["other"] == UNDECIDED


def test_below_three_seeds_nobody_is_said_to_be_dominated():
    found = places(runs({"one": (0.6, 0.05), "other": (0.3, 0.3)}, seeds=2))
    assert found == {"one": FRONT, "other": UNDECIDED}


def test_variants_without_a_rate_or_with_fewer_seeds_have_no_place():
    frame = runs({"one": (0.5, 0.1), "two": (0.4, 0.05), "dense": (0.9, float("nan")), "partial": (0.8, 0.01)})
    frame = frame[(frame["variant"] != "partial") | (frame["seed"] < 2)]
    assert set(places(frame)) == {"one", "two"}


def test_a_variant_alone_is_no_front():
    assert places(runs({"one": (0.5, 0.1)})) == {}
