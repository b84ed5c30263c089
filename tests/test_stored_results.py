"""What docs/ablations.md, docs/study.md and docs/protocol.md say of stored runs is what these say, worked out again."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from reports.controls import UNDECIDED, judge
from reports.data import Sweep, load, unfold
from reports.findings import compare_with_baseline
from reports.robustness import areas, compared, is_evaluated
from reports.statistics import Comparison, Verdict, against, by_seed, t_interval
from reports.text import listing, number, plus_minus
from results.packed import unpack

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "study.md").read_text()
STORED = ROOT / "results" / "measured" / "study_neurons_laptop.parquet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    unpack(STORED, folder)
    return folder


@pytest.fixture(scope="module")
def study(folder: Path) -> Sweep:
    return load(folder, "study_neurons")


def table(page: str) -> dict[str, list[str]]:
    """The cells of each row of a page's table by its first, without the row of headings."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0]: row[1:] for row in rows[1:]}


def expected(runs: pd.DataFrame, baseline: str) -> dict[str, list[str]]:
    """The cells of such a table: accuracy and firing rate, each by itself and against the baseline, of each variant."""
    accuracy, rate = by_seed(runs, "test_accuracy"), by_seed(runs, "firing_rate")
    more_accurate, more_often = against(accuracy, baseline), against(rate, baseline)
    cells = {}
    for name in accuracy:
        own, fires = t_interval(accuracy[name]), t_interval(rate[name])
        cells[name] = [plus_minus(own.mean * 100, own.half * 100), "", f"{fires.mean * 100:.2f}" if fires.n else "", ""]
        if name != baseline:
            cells[name][1] = difference(more_accurate[name])
            cells[name][3] = difference(more_often[name]) if fires.n else ""
    return cells


def difference(found: Comparison) -> str:
    shown = plus_minus(found.difference.mean * 100, found.difference.half * 100, signed=True)
    return f"{shown}, {found.verdict.value}" if found.verdict.decided else shown


def test_every_number_of_the_studys_table_is_that_of_the_runs(study: Sweep) -> None:
    assert table(PAGE) == expected(study.done, "lif_soft")


def test_the_claims_about_accuracy_and_rate_are_those_of_the_tests(study: Sweep) -> None:
    compared = compare_with_baseline(study.done, "lif_soft")
    decided = {name for name, each in compared.accuracy.items() if each.verdict.decided}
    assert decided == {"gelu"}
    assert {name for name, each in compared.rate.items() if each.verdict.decided} == {
        "refractory_lif",
        "binary",
        "sliding_psn",
    }
    refractory = compared.accuracy["refractory_lif"].difference
    assert (round(-refractory.low * 100, 2), round(refractory.high * 100, 2)) == (2.35, 0.07)
    assert all(study.done["firing_rate"].dropna().groupby(study.done["variant"]).mean().between(0.25, 0.35))


def test_the_claims_about_robustness_are_those_of_the_tests(folder: Path) -> None:
    runs = load(folder, "robustness_study_neurons").done
    assert is_evaluated(runs).all()
    found = compared(areas(unfold(runs, "robustness")), "lif_soft")
    decided = {
        (name, corruption): each
        for corruption, others in found.items()
        for name, each in others.items()
        if each.verdict.decided
    }
    assert set(decided) == {("gelu", "length"), ("binary", "state_bits"), ("refractory_lif", "spike_insertion")}
    for each in decided.values():
        assert difference(each).rpartition(",")[0] in PAGE
    assert f"out of {next(iter(decided.values())).family} are shown" in PAGE


def test_the_trials_are_beside_it_and_the_same_for_all() -> None:
    trials = pd.read_parquet(STORED.parent / "tuned" / "study_neurons_laptop.parquet")
    assert (trials.groupby("variant")["trial"].nunique() == 8).all()
    assert set(trials["seed"]) == {1000}
    assert re.search(r"64 trials, 40 runs and 40\nevaluations", PAGE)


def test_the_stored_refractory_ablation_says_what_the_protocol_says(tmp_path: Path) -> None:
    unpack(STORED.parent / "ablation_refractory_laptop.parquet", tmp_path)
    ablation = load(tmp_path, "ablation_refractory")
    assert ablation.manifest.controls is not None
    said = " ".join((ROOT / "docs" / "protocol.md").read_text().split())
    judged = judge(ablation.done, ablation.manifest.controls)
    assert {each.verdict for each in judged} == {UNDECIDED}
    measured = [number(each.advantage.comparison.difference.mean * 100, signed=True) for each in judged]
    assert f"they lie {listing(measured)} points from" in said
    compared = compare_with_baseline(ablation.done, "none")
    for comparisons, words in (
        (compared.rate, "fire {} to {} points less"),
        (compared.accuracy, "are {} to {} points less accurate"),
    ):
        found = [comparisons[each.effect.variant] for each in judged]
        assert all(each.verdict is Verdict.LOWER for each in found)
        ends = sorted(-each.difference.mean * 100 for each in found)
        assert words.format(number(ends[0], 1), number(ends[-1], 1)) in said
