"""How far comparisons at one firing rate are off, and how often they claim what is not there: simulated studies.

Curves of six shapes, of four to six rates between 4 and 22 %; runs lie 0.8 points (standard deviation) about them, and
their rates 6 % about the intended ones. Nothing has any effect but the rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from spike_ssm.reports.statistics.matched import Curve, Measured, at_matched_rate
from spike_ssm.reports.statistics.seeds import compare

SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "saturating": lambda rate: 0.54 - 0.12 * np.exp(-rate / 0.06),
    "logarithmic": lambda rate: 0.44 + 0.043 * np.log(rate / 0.05),
    "linear": lambda rate: 0.47 + 0.3 * rate,
    "power": lambda rate: 0.53 - 0.06 * (0.05 / rate) ** 1.5,
    "logistic": lambda rate: 0.42 + 0.12 / (1 + (0.09 / rate) ** 4),
    "peaked": lambda rate: 0.53 - 0.05 * np.log(rate / 0.15) ** 2,
}
RATES = {4: (0.055, 0.08, 0.13, 0.22), 5: (0.05, 0.07, 0.10, 0.15, 0.22), 6: (0.04, 0.055, 0.08, 0.11, 0.16, 0.22)}
NOISE, JITTER = 0.008, 0.06
VARIANT = "variant"


def drawn(rng: np.random.Generator, shape: str, points: int, at: float, seeds: int) -> tuple[Measured, Curve]:
    """A study: a curve of `points` rates, and a variant on it at the rate `at`."""
    curve = Curve("curve", tuple(f"plain_{place}" for place in range(points)))
    intended = np.array([*RATES[points], at])
    rates = intended * np.exp(JITTER * rng.standard_normal((seeds, points + 1)))
    accuracies = SHAPES[shape](rates) + NOISE * rng.standard_normal(rates.shape)
    names = [*curve.variants, VARIANT]
    return Measured(pd.DataFrame(rates, columns=names), pd.DataFrame(accuracies, columns=names)), curve


def studies(count: int, seed: int, shape: str | None = None) -> Iterator[tuple[Measured, Curve]]:
    """Studies over all shapes, or one, and all numbers of rates and of 3, 5 and 10 seeds."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        points, name = int(rng.choice([4, 5, 6])), shape or str(rng.choice(list(SHAPES)))
        low, high = np.log(RATES[points][0] * 1.2), np.log(RATES[points][-1] / 1.2)
        yield drawn(rng, name, points, float(np.exp(rng.uniform(low, high))), int(rng.choice([3, 5, 10])))


def test_the_mean_placebo_is_within_three_tenths_of_a_point_and_of_one_shape_within_a_half() -> None:
    means = {}
    for shape in SHAPES:
        found = [at_matched_rate(study, Curve(VARIANT, (VARIANT,)), curve) for study, curve in studies(100, 0, shape)]
        placebos = [placebo.difference.mean * 100 for each in found for placebo in each.placebos]
        assert len(placebos) > 70
        means[shape] = float(np.mean(placebos))
    assert abs(np.mean(list(means.values()))) <= 0.3
    assert max(map(abs, means.values())) <= 0.5, means


def test_straight_lines_in_the_rate_are_further_off() -> None:
    """What is gained: the inner points of the same curves, left out, against the lines between the others."""
    found = []
    for study, curve in studies(300, 0):
        for left_out in range(1, len(curve.variants) - 1):
            others = [place for place in range(len(curve.variants)) if place != left_out]
            for rates, accuracies in zip(study.rates.to_numpy(), study.accuracies.to_numpy(), strict=True):
                rising = sorted(others, key=lambda place: rates[place])
                found.append(accuracies[left_out] - np.interp(rates[left_out], rates[rising], accuracies[rising]))
    assert np.mean(found) * 100 > 0.3


def test_the_mean_difference_of_what_lies_on_the_curve_is_within_three_tenths_of_a_point() -> None:
    found = [at_matched_rate(study, Curve(VARIANT, (VARIANT,)), curve) for study, curve in studies(200, 1)]
    assert abs(np.mean([each.difference.mean() for each in found if not each.problem])) * 100 <= 0.3


def test_at_most_66_of_1000_studies_claim_an_effect_that_is_not_there() -> None:
    """5 % and what chance adds: of 1,000 at 5 %, more than 66 are less likely than 1 in 100."""
    claims, judged = 0, 0
    for study, curve in studies(1000, 2):
        at = at_matched_rate(study, Curve(VARIANT, (VARIANT,)), curve)
        comparison = compare({VARIANT: at.difference})[VARIANT]
        judged += not at.problem
        claims += comparison.verdict.decided and not at.doubt(comparison.difference.mean)
    assert judged > 900
    assert claims <= 66


def test_an_effect_of_three_points_is_claimed_in_most_studies_of_ten_seeds() -> None:
    """So that withholding verdicts does not leave none."""
    rng, shown = np.random.default_rng(3), 0
    for _ in range(100):
        study, curve = drawn(rng, "saturating", 5, 0.10, 10)
        study.accuracies[VARIANT] += 0.03
        at = at_matched_rate(study, Curve(VARIANT, (VARIANT,)), curve)
        comparison = compare({VARIANT: at.difference})[VARIANT]
        shown += comparison.verdict.decided and not at.doubt(comparison.difference.mean)
    assert shown >= 80
