"""Looking after every seed and stopping: the error rate stays, what it costs, and what follows from results."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from spike_ssm.harness.system.root import ROOT
from spike_ssm.reports.statistics.followed import at_all_looks
from spike_ssm.reports.statistics.looks import at_any_look, level_of_a_look, looks_of
from spike_ssm.reports.statistics.seeds import Verdict, uncorrected
from spike_ssm.reports.statistics.sequential import follow, wanted
from spike_ssm.results.schema import PlannedRun

STUDIES = 20_000


# --- what a p is worth


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 8))
def test_a_p_for_all_looks_is_no_smaller_than_its_own_rises_with_it_and_is_at_most_bonferronis(
    p: float, other: float, looks: int
) -> None:
    found = at_any_look(p, looks)
    assert p <= found <= min(1, looks * p) + 1e-12 or found == p
    assert (found <= at_any_look(other, looks)) or p > other


@pytest.mark.parametrize("looks", [1, 3, 8])
@pytest.mark.parametrize("level", [0.05, 0.05 / 9])
def test_the_level_of_a_look_is_the_p_that_each_must_reach(level: float, looks: int) -> None:
    each = level_of_a_look(level, looks)
    assert at_any_look(each, looks) <= level * (1 + 1e-12)
    assert at_any_look(each * 1.02, looks) > level or looks == 1
    assert each <= level


def test_one_look_is_the_usual_test() -> None:
    assert at_any_look(0.03, 1) == 0.03
    assert level_of_a_look(0.05, 1) == 0.05
    assert (looks_of(2), looks_of(3), looks_of(10)) == (0, 1, 8)


def test_an_interval_at_all_looks_leaves_zero_out_where_p_is_below_5_percent() -> None:
    rng = np.random.default_rng(3)
    differences = {place: rng.standard_normal(6) + 1 for place in range(40)}
    for comparison in (at_all_looks(each, 4) for each in uncorrected(differences).values()):
        assert (comparison.p < 0.05) == (comparison.difference.low > 0 or comparison.difference.high < 0)


# --- how often it is wrong, and how much it finds


@cache
def studied(
    seeds: int, spreads: tuple[float, ...], effects: tuple[float, ...], *, stops: bool = True
) -> NDArray[np.int_]:
    """Seeds after which each variant but the first is shown to differ from it, 0 where it never is: [studies, others].

    The rule of `follow`, all studies at once; without stops one test after the last seed.
    """
    rng = np.random.default_rng([seeds, len(spreads)])
    values = rng.standard_normal((STUDIES, seeds, len(spreads))) * spreads + rng.standard_normal((STUDIES, seeds, 1))
    differences = (values + np.array(effects))[:, :, 1:] - (values + np.array(effects))[:, :, :1]
    others, looks = len(spreads) - 1, looks_of(seeds) if stops else 1
    levels = [level_of_a_look(0.05 / (others - rank), looks) for rank in range(others)]
    shown, p = np.zeros((STUDIES, others), dtype=int), np.ones((STUDIES, others))
    for n in range(3 if stops else seeds, seeds + 1):
        part = differences[:, :n]
        t = part.mean(axis=1) / part.std(axis=1, ddof=1) * math.sqrt(n)
        p = np.where(shown > 0, p, 2 * special.stdtr(n - 1, -np.abs(t)))
        order = np.argsort(p, axis=1)
        rejected = np.logical_and.accumulate(np.take_along_axis(p, order, axis=1) <= levels, axis=1)
        decided = np.zeros_like(rejected)
        np.put_along_axis(decided, order, rejected, axis=1)
        shown = np.where((shown == 0) & decided, n, shown)
    return shown


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("spreads", [(1, 1), (1, 1, 1, 1), (1,) * 10, (3, 1, 1, 1), (1, 1, 3, 3), (1, 1, 1, 3)])
def test_at_most_5_percent_of_studies_without_a_difference_claim_one(seeds: int, spreads: tuple[float, ...]) -> None:
    """Of 20,000 studies 1,000, or 1,072 with chance (a hundredth of all repetitions)."""
    claims = (studied(seeds, spreads, (0,) * len(spreads)) > 0).any(axis=1).sum()
    assert claims <= stats.binom.isf(0.01, STUDIES, 0.05)


def test_the_simulated_rule_is_that_of_the_code() -> None:
    rng = np.random.default_rng([6, 4])
    values = rng.standard_normal((STUDIES, 6, 4)) + rng.standard_normal((STUDIES, 6, 1))
    effects = (0, 3, 0, 2)
    expected = studied(6, (1, 1, 1, 1), effects)
    for study in range(60):
        table = pd.DataFrame(values[study] + np.array(effects), columns=list("abcd"))
        found = follow(table, table.notna(), "a", margin=0)
        assert [found.decided.get(name, 0) for name in "bcd"] == list(expected[study])


COMPARED = [(5, 4.0), (10, 2.0), (10, 3.0), (10, 4.0)]
"""Seeds, and a difference in standard deviations of a run about its variant and seed."""


def costs_of_stopping() -> str:
    """The table of docs/protocol.md: a difference in one of three variants, looked for with and without stops."""
    lines = [
        "| seeds | difference | shown | seeds that it took | shown by one test after all seeds |",
        "|---|---|---|---|---|",
    ]
    for seeds, effect in COMPARED:
        found = studied(seeds, (1, 1, 1, 1), (0, effect, 0, 0))[:, 0]
        once = studied(seeds, (1, 1, 1, 1), (0, effect, 0, 0), stops=False)[:, 0]
        took = np.where(found > 0, found, seeds).mean()
        lines.append(f"| {seeds} | {effect:.0f} | {(found > 0).mean():.0%} | {took:.1f} | {(once > 0).mean():.0%} |")
    return "\n".join(lines)


def test_what_stopping_costs_in_power_is_what_the_documentation_says() -> None:
    assert costs_of_stopping() in (ROOT / "docs" / "protocol.md").read_text()


# --- decisions


def table(**variants: list[float]) -> pd.DataFrame:
    return pd.DataFrame(variants)


def test_a_variant_is_decided_once_its_difference_is_shown_and_later_seeds_are_not_looked_at() -> None:
    values = table(plain=[0.50, 0.51, 0.49, 0.50, 0.51], better=[0.700, 0.711, 0.689, 0.0, 0.0])
    found = follow(values, values.notna(), "plain")
    assert (found.shown, found.decided) == (["better"], {"better": 3})
    assert found.accuracy["better"].verdict is Verdict.HIGHER
    assert found.accuracy["better"].difference.n == 3


def test_a_variant_is_decided_too_when_no_difference_beyond_the_margin_is_left() -> None:
    values = table(plain=[0.50, 0.52, 0.49, 0.50], same=[0.5001, 0.5199, 0.4901, 0.4999])
    found = follow(values, values.notna(), "plain")
    assert (found.ruled_out, found.decided) == (["same"], {"same": 3})
    assert follow(values, values.notna(), "plain", margin=0).decided == {}


def test_a_look_happens_when_every_open_run_up_to_its_seed_has_ended() -> None:
    values = table(plain=[0.50, 0.51, 0.49], better=[0.700, 0.711, 0.689], other=[0.4, 0.6, math.nan])
    assert follow(values, values.notna(), "plain").decided == {}
    failed = values.notna() | values.isna()  # a run that failed has ended
    assert follow(values, failed, "plain").decided == {"better": 3}


def planned(seeds: int) -> list[PlannedRun]:
    return [
        PlannedRun(f"{variant}{seed}", {"task": "t", "v": variant}, variant, seed)
        for variant in ("plain", "better", "noisy")
        for seed in range(seeds)
    ]


def test_first_all_of_three_seeds_are_wanted_then_one_seed_of_what_is_open() -> None:
    runs = planned(5)
    following, decided = wanted(runs, "plain", {})
    assert following == {run.id for run in runs if run.seed < 3}
    assert decided == set()
    accuracy = {
        **{f"plain{seed}": value for seed, value in enumerate([0.50, 0.51, 0.49])},
        **{f"better{seed}": value for seed, value in enumerate([0.700, 0.711, 0.689])},
        **{f"noisy{seed}": value for seed, value in enumerate([0.3, 0.7, 0.5])},
    }
    assert wanted(runs, "plain", accuracy) == ({"plain3", "noisy3"}, {"better3", "better4"})
    accuracy |= {"plain3": 0.5, "noisy3": math.nan}
    assert wanted(runs, "plain", accuracy) == ({"plain4", "noisy4"}, {"better3", "better4"})
    accuracy |= {"plain4": 0.5, "noisy4": 0.9}
    assert wanted(runs, "plain", accuracy) == (set(), {"better3", "better4"})


def test_when_all_is_decided_the_baseline_runs_no_more_either() -> None:
    runs = [run for run in planned(5) if run.variant != "noisy"]
    accuracy = dict(zip([run.id for run in runs if run.seed < 3], [0.50, 0.51, 0.49, 0.700, 0.711, 0.689], strict=True))
    assert wanted(runs, "plain", accuracy) == (set(), {"plain3", "plain4", "better3", "better4"})


def test_below_three_seeds_all_are_run() -> None:
    runs = planned(2)
    assert wanted(runs, "plain", {}) == ({run.id for run in runs}, set())
