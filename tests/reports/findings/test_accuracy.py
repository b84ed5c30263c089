"""The sentences never say more than the comparison behind them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.findings.accuracy import task_findings
from spike_ssm.reports.render.statements import Statement
from spike_ssm.reports.statistics.baseline import compare_with_baseline


def findings(accuracies: dict[str, list[float]], baseline: str | None = "none") -> dict[str, tuple[str, str]]:
    """Tag and sentence about the accuracy of each variant, from accuracies by seed."""
    return {name: (item.tag, item.text) for item in statements(accuracies, baseline) for name in item.variants}


def statements(accuracies: dict[str, list[float]], baseline: str | None = "none") -> tuple[Statement, ...]:
    """What is said of accuracies by seed."""
    runs = pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "test_accuracy": value, "firing_rate": 0.1 + value}
            for variant, values in accuracies.items()
            for seed, value in enumerate(values)
        ]
    ).assign(shortcut_accuracy=0.345)
    first, *_ = task_findings(runs, compare_with_baseline(runs, baseline), baseline)
    return first.statements


def test_a_clear_difference_is_called_by_its_direction():
    found = findings({"none": [0.40, 0.41, 0.42], "up": [0.450, 0.461, 0.472], "down": [0.35, 0.361, 0.371]})
    assert found["up"][0] == "higher"
    assert found["up"][1].startswith("is higher than none by 5.10 points")
    assert found["down"][0] == "lower"
    assert found["down"][1].startswith("is lower than none by 4.93 points")


@pytest.mark.parametrize(
    "values",
    [[0.41, 0.40, 0.43], [0.50, 0.51], [0.50], [0.50, 0.51, 0.52]],
    ids=["within noise", "two seeds", "one seed", "no spread"],
)
def test_without_a_decided_test_no_direction_is_claimed(values):
    tag, text = findings({"none": [0.40, 0.41, 0.42], "other": values})["other"]
    assert tag in ("not shown", "no verdict")
    assert "higher" not in text
    assert "lower" not in text


def test_an_interval_without_zero_that_fails_the_correction_is_explained_and_not_claimed():
    rng = np.random.default_rng(0)
    others = {name: 0.41 + rng.normal(size=3) / 100 for name in "abcdefgh"}
    tag, text = findings({"none": [0.40, 0.41, 0.42], "near": [0.420, 0.433, 0.438]} | others)["near"]
    assert tag == "not shown"
    assert "the interval leaves out zero, the corrected test does not" in text


def test_a_variant_that_shares_no_seed_with_the_baseline_is_said_not_to():
    found = findings({"none": [0.40, 0.41, 0.42], "other": [float("nan")] * 3})
    assert found["other"] == ("no verdict", "no finished seed is shared with none.")


def test_what_decides_nothing_is_one_sentence_however_many_variants_there_are():
    rng = np.random.default_rng(1)
    same = {f"v{place}": list(0.41 + rng.normal(size=4) / 300) for place in range(60)}
    runs = {"none": [0.40, 0.41, 0.42, 0.41]} | same | {"up": [0.50, 0.51, 0.52, 0.511]}
    said = statements(runs)
    assert [each.tag for each in said] == ["higher", "not shown"]
    assert said[1].variants == tuple(list(same)[:8])
    assert said[1].text.startswith(
        "and 52 more: no difference from none is shown by 4 seeds; what there may be lies within "
    )


def test_a_baseline_without_accuracy_is_no_baseline():
    assert findings({"none": [float("nan")] * 3, "other": [0.4, 0.41, 0.43]}) == {}


def reach(hits: Mapping[str, np.ndarray], predictions: bool = True) -> str:
    """The sentence about `other`, from right answers [seed, example] with stored predictions or without."""
    rows = [
        {"variant": name, "seed": seed, "test_accuracy": row.mean(), "firing_rate": 0.1}
        for name, found in hits.items()
        for seed, row in enumerate(found)
    ]
    runs = pd.DataFrame(rows).assign(shortcut_accuracy=0.345)
    index = pd.MultiIndex.from_arrays([range(EXAMPLES), range(EXAMPLES)])
    right = {name: {seed: pd.Series(row, index) for seed, row in enumerate(found)} for name, found in hits.items()}
    comparisons = compare_with_baseline(runs, "none", right if predictions else None)
    first, *_ = task_findings(runs, comparisons, "none")
    (statement,) = first.statements
    assert statement.tag == "higher"
    return statement.text


EXAMPLES = 1000


def gained(counts: tuple[int, ...], lost: int) -> dict[str, np.ndarray]:
    """A baseline that has the first half right, and a variant that gains `counts` examples, by seed, and loses some."""
    none, other = (np.arange(EXAMPLES) < EXAMPLES // 2 for _ in range(2))
    other = np.stack([other] * len(counts))
    other[:, :lost] = False
    for row, count in zip(other, counts, strict=True):
        row[EXAMPLES // 2 : EXAMPLES // 2 + count] = True
    return {"none": np.stack([none] * len(counts)), "other": other}


def test_a_difference_that_a_few_lucky_examples_carry_is_claimed_for_this_test_set_only():
    text = reach(gained((210, 211, 212), lost=200))
    assert text.startswith("is higher than none by 1.10 points")
    assert "Claimed for seeds on this test set only: not shown for new examples of the task (95" in text


def test_a_difference_far_beyond_its_examples_is_claimed_for_new_ones_too():
    text = reach(gained((110, 114, 119), lost=5))
    assert "Also shown for new examples of the task (95" in text
    assert "only" not in text


def test_without_predictions_nothing_is_claimed_for_new_examples():
    assert reach(gained((110, 114, 119), lost=5), predictions=False).endswith(
        "Claimed for seeds on this test set; without predictions of every seed, not for new examples."
    )
