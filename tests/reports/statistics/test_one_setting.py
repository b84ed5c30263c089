"""Effects under one setting: what shares a number is compared, as it is, and nothing else is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from spike_ssm.reports.findings.controls import one_setting_findings
from spike_ssm.reports.render.text import ABSENT
from spike_ssm.reports.statistics.one_setting import Beside, under_one_setting
from spike_ssm.reports.statistics.pooled import spread
from spike_ssm.reports.statistics.seeds import Verdict, by_seed
from spike_ssm.reports.tables.controls import one_setting_table
from spike_ssm.results.schema import Controls, Effect

PLAIN = ["plain_0", "plain_100", "plain_1000"]
RESETS = ["reset_0", "reset_100"]
CONTROLS = Controls(
    "refractoriness", [Effect(f"refractory_{weight}", "plain_0", RESETS, [], PLAIN) for weight in (0, 100, 10)]
)
GAINS = {"refractory_100": 0.03, "reset_100": 0.03, "reset_0": -0.02}


def runs(draw: int = 1, gains: dict[str, float] = GAINS) -> pd.DataFrame:
    """Every variant with noise and its gain in accuracy, five seeds; under a penalty half of the rate."""
    variants = (*PLAIN, *RESETS, *(effect.variant for effect in CONTROLS.effects))
    frame = pd.DataFrame(product(variants, range(5)), columns=["variant", "seed"])
    noise = np.random.default_rng(draw).normal(0, (0.001, 0.004), (len(frame), 2))
    rates = np.where(frame["variant"].str.endswith("_0"), 0.1, 0.05) + noise[:, 0]
    return frame.assign(firing_rate=rates, test_accuracy=0.8 + frame["variant"].map(gains).fillna(0.0) + noise[:, 1])


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], Beside]:
    return {(each.effect, each.other): each for each in under_one_setting(runs(), CONTROLS)}


def test_an_effect_is_compared_with_what_has_its_number_and_with_nothing_else(
    found: dict[tuple[str, str], Beside],
) -> None:
    assert list(found) == [
        ("refractory_0", "plain_0"),
        ("refractory_0", "reset_0"),
        ("refractory_100", "plain_100"),
        ("refractory_100", "reset_100"),
    ]


def test_what_is_shown_is_what_was_planted(found: dict[tuple[str, str], Beside]) -> None:
    assert {pair: each.accuracy.verdict for pair, each in found.items()} == {
        ("refractory_0", "plain_0"): Verdict.OPEN,
        ("refractory_0", "reset_0"): Verdict.HIGHER,
        ("refractory_100", "plain_100"): Verdict.HIGHER,
        ("refractory_100", "reset_100"): Verdict.OPEN,
    }
    assert {each.rate.verdict for each in found.values()} == {Verdict.OPEN}


def test_accuracies_share_the_spread_of_all_variants_and_are_one_family(found: dict[tuple[str, str], Beside]) -> None:
    shared = spread(by_seed(runs(), "test_accuracy"))
    assert shared is not None
    for each in found.values():
        assert each.accuracy.error == pytest.approx(shared.sd * (2 / 5) ** 0.5)
        assert each.accuracy.family == each.rate.family == len(found)


def test_where_there_is_nothing_one_family_in_twenty_says_something() -> None:
    families = [under_one_setting(runs(draw, {}), CONTROLS) for draw in range(100)]
    wrong = sum(any(each.accuracy.verdict.decided for each in family) for family in families)
    assert wrong <= 12, "of a hundred, which happens by chance once in 600 times"


def test_another_axis_is_kept_as_it_is() -> None:
    effect = Effect("refractory_100 / 0.5", "plain_0 / 0.5", [], [], ["plain_0 / 0.5", "plain_100 / 0.5"])
    renamed = runs().assign(variant=lambda frame: frame["variant"] + " / 0.5")
    found = under_one_setting(renamed, Controls("refractoriness", [effect]))
    assert [each.other for each in found] == ["plain_100 / 0.5"]


def test_neurons_without_spikes_have_an_accuracy_to_compare_and_no_rate() -> None:
    dense = runs().assign(
        firing_rate=lambda frame: frame["firing_rate"].where(~frame["variant"].str.startswith("reset"))
    )
    found = {each.other: each for each in under_one_setting(dense, CONTROLS)}
    assert found["reset_100"].accuracy.difference.n == 5
    assert found["reset_100"].rate.difference.n == 0
    table = one_setting_table([found["reset_100"]], {})
    assert table is not None
    assert table.rows[0].cells[-1] == ABSENT


def test_names_without_numbers_share_none() -> None:
    effects = [Effect("fixed", "none", ["enlarged"], [], ["none", "raised_2"])]
    renamed = runs().replace({"variant": {"refractory_0": "fixed", "plain_0": "none", "plain_100": "raised_2"}})
    assert under_one_setting(renamed, Controls("refractoriness", effects)) == []
    assert one_setting_table([], {}) is None
    assert one_setting_findings([]) is None


def test_they_are_a_table_and_sentences(found: dict[tuple[str, str], Beside]) -> None:
    table, findings = one_setting_table([*found.values()], {}), one_setting_findings([*found.values()])
    assert table is not None
    assert findings is not None
    assert [(row.head, row.cells[0]) for row in table.rows] == list(found)
    assert [*table.numbers["verdict"]] == [each.accuracy.verdict.value for each in found.values()]
    shown = [each for each in findings.statements if each.tag == "higher"]
    assert [each.variants for each in shown] == [("refractory_0",), ("refractory_100",)]
    assert shown[1].text.startswith("is higher than plain_100 by ")
