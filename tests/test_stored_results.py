"""What docs/ablations.md, docs/study.md and docs/protocol.md say of stored runs is what these say, worked out again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from spike_ssm.reports.loading.sweep import Sweep, load, unfold
from spike_ssm.reports.render.text import estimate, listing, number
from spike_ssm.reports.sections.robustness.areas import areas, compared, is_evaluated
from spike_ssm.reports.statistics.baseline import compare_with_baseline
from spike_ssm.reports.statistics.controls import UNDECIDED, judge
from spike_ssm.reports.statistics.factors import MainEffect, main_effects
from spike_ssm.reports.statistics.matched import Matched, compare_matched
from spike_ssm.reports.statistics.pooled import against_pooled
from spike_ssm.reports.statistics.seeds import (
    Verdict,
    against,
    against_reference,
    by_seed,
    t_interval,
)
from spike_ssm.reports.tables.differences import placebos
from spike_ssm.reports.tables.groups import where_shortcut_is_wrong
from spike_ssm.results.energy import energy_nj
from spike_ssm.results.packed import unpack
from tests.pages import difference, in_points, table

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "study.md").read_text()
ABLATIONS = (ROOT / "docs" / "ablations.md").read_text()
SECTIONS = dict(re.findall(r"^## [^\n]*\n\n`\+sweep=(\w+)`(.*?)(?=^## |\Z)", ABLATIONS, re.DOTALL | re.MULTILINE))
MEASURED = ROOT / "results" / "measured"
STORED = MEASURED / "study_neurons_laptop.parquet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    unpack(STORED, folder)
    return folder


@pytest.fixture(scope="module")
def study(folder: Path) -> Sweep:
    return load(folder, "study_neurons")


def expected(runs: pd.DataFrame, baseline: str) -> dict[str, list[str]]:
    """The cells of such a table: accuracy and firing rate, each by itself and against the baseline, of each variant."""
    accuracy, rate = by_seed(runs, "test_accuracy"), by_seed(runs, "firing_rate")
    more_accurate, more_often = against_pooled(accuracy, baseline), against(rate, baseline)
    cells = {}
    for name in accuracy:
        own, fires = t_interval(accuracy[name]), t_interval(rate[name])
        cells[name] = [estimate(own, 100), "", f"{fires.mean * 100:.2f}" if fires.n else "", ""]
        if name != baseline:
            cells[name][1] = difference(more_accurate[name])
            cells[name][3] = difference(more_often[name]) if fires.n else ""
    return cells


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
    assert f"between {number(-refractory.low * 100)} and {number(-refractory.high * 100)} points worse" in PAGE
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
    assert set(decided) == {
        *[("gelu", "length"), ("binary", "state_bits"), ("binary", "input_noise")],
        ("refractory_lif", "spike_insertion"),
    }
    for each in decided.values():
        assert in_points(each.difference) in PAGE
    assert f"out of {next(iter(decided.values())).family} are shown" in PAGE


def test_the_trials_are_beside_it_and_the_same_for_all() -> None:
    trials = pd.read_parquet(MEASURED / "tuned" / "study_neurons_laptop.parquet")
    assert (trials.groupby("variant")["trial"].nunique() == 8).all()
    assert set(trials["seed"]) == {1000}
    assert "64 trials, 40 runs and 40 evaluations" in " ".join(PAGE.split())


def test_the_stored_refractory_ablation_says_what_the_protocol_says(tmp_path: Path) -> None:
    unpack(MEASURED / "ablation_refractory_laptop.parquet", tmp_path)
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


@pytest.fixture(scope="module")
def ablations(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sweep]:
    """A stored ablation by its name."""
    folder = tmp_path_factory.mktemp("ablations")
    stored = {manifest.name for manifest in unpack(MEASURED / "ablations_laptop.parquet", folder)}
    assert stored == set(SECTIONS)
    return lambda name: load(folder, name)


def test_the_shared_spread_shows_as_many_differences_as_the_protocol_says(
    ablations: Callable[[str], Sweep], study: Sweep, tmp_path: Path
) -> None:
    unpack(MEASURED / "ablation_refractory_laptop.parquet", tmp_path)
    sweeps = [*map(ablations, SECTIONS), study, load(tmp_path, "ablation_refractory")]
    shown = {against: 0, against_pooled: 0}
    for sweep in sweeps:
        values, baseline = by_seed(sweep.done, "test_accuracy"), sweep.manifest.baseline
        assert baseline is not None
        for test in shown:
            shown[test] += sum(each.verdict.decided for each in test(values, baseline).values())
    compared = sum(by_seed(sweep.done, "test_accuracy").shape[1] - 1 for sweep in sweeps)
    assert (
        f"Of the {compared} differences to a baseline that are stored, {shown[against_pooled]} are shown by it, "
        f"{shown[against]} by each pair's own spread." in " ".join((ROOT / "docs" / "protocol.md").read_text().split())
    )


@pytest.mark.parametrize("name", SECTIONS)
def test_every_number_of_an_ablations_table_is_that_of_the_runs(ablations: Callable[[str], Sweep], name: str) -> None:
    ablation = ablations(name)
    assert ablation.manifest.baseline is not None
    assert len(ablation.done) == len(ablation.manifest.runs)
    assert table(SECTIONS[name]) == expected(ablation.done, ablation.manifest.baseline)


def test_the_advantages_of_refractory_neurons_are_those_at_their_own_rates(ablations: Callable[[str], Sweep]) -> None:
    sparse = ablations("ablation_refractory_sparse")
    assert sparse.manifest.controls is not None
    judged = judge(sparse.done, sparse.manifest.controls)
    section = ABLATIONS.partition("## The same at one firing rate")[2].partition("\n## ")[0]
    assert table(section) == {
        each.effect.variant: [
            number(each.advantage.at.rate.mean * 100),
            in_points(each.advantage.comparison.difference),
            placebos(each.advantage.at),
            each.verdict,
        ]
        for each in judged
    }
    assert not any(each.advantage.comparison.verdict.decided for each in judged)
    most = max(each.advantage.comparison.difference.high for each in judged)
    assert f"one of more than {number(most * 100)} points is in none of the intervals" in section


def at_matched_rate(sweep: Sweep) -> dict[tuple[str, str], Matched]:
    found = compare_matched(sweep.done, sweep.manifest.runs, sweep.manifest.baseline)
    return {(each.at.curve, each.at.reference): each for each in found}


def test_the_claims_about_matched_rates_are_those_of_the_tests(ablations: Callable[[str], Sweep]) -> None:
    page = " ".join(ABLATIONS.split())
    fixed = at_matched_rate(ablations("ablation_threshold"))["fixed_0.5 to fixed_2", "per_channel"]
    assert f"the difference is {in_points(fixed.comparison.difference)} points (three rates are too few" in page
    assert fixed.at.untested


def effects(sweep: Sweep) -> dict[str, MainEffect]:
    """The main effects of a sweep by their level."""
    return {each.level: each for each in main_effects(sweep.done, sweep.manifest.runs, sweep.manifest.baseline)}


def test_the_effects_of_reset_and_leak_are_averages_over_the_other(ablations: Callable[[str], Sweep]) -> None:
    found = effects(ablations("ablation_reset"))
    shown = {level: in_points(each.comparison.difference) for level, each in found.items()}
    assert {level for level, each in found.items() if each.comparison.verdict.decided} == {"0.9"}
    page = " ".join(SECTIONS["ablation_reset"].split())
    assert (
        f"a leak of 0.9 is {shown['0.9']} points from one of 0.5 (lower), a leak of 0.125 {shown['0.125']}, a trained "
        f"one {shown['trainable']}" in page
    )
    assert (
        f"emptying the membrane is {shown['hard']} points from taking a threshold off, and no reset at all "
        f"{shown['none']}" in page
    )


def test_the_effects_of_refractoriness_and_of_a_larger_reset_are_averages_over_penalties(
    ablations: Callable[[str], Sweep],
) -> None:
    found = effects(ablations("ablation_refractory_sparse"))
    refractory, reset = (found[name].comparison for name in ("refractory", "reset"))
    assert (refractory.verdict, reset.verdict) == (Verdict.OPEN, Verdict.LOWER)
    assert (
        f"`refractory` is {in_points(refractory.difference)} points from `plain`, and `reset` "
        f"{in_points(reset.difference)}, lower." in " ".join(ABLATIONS.split())
    )


def test_what_rounding_alone_does_is_what_two_exact_solvers_did(
    ablations: Callable[[str], Sweep], tmp_path: Path
) -> None:
    unpack(MEASURED / "solvers_laptop.parquet", tmp_path)
    parts = []
    for read in (ablations, lambda name: load(tmp_path, name)):
        certified = by_seed(read("ablation_pmbc").done, "test_accuracy")["certified"]
        parts.append((certified - by_seed(read("ablation_threshold").done, "test_accuracy")["per_channel"]).dropna())
    assert [list(part.index) for part in parts] == [list(range(5)), list(range(5, 15))]
    first, second, both = (in_points(t_interval(part)) for part in (*parts, pd.concat(parts)))
    of_both = [by_seed(ablations(name).done, "test_accuracy") for name in ("ablation_pmbc", "ablation_threshold")]
    shared = against_pooled(pd.concat(of_both, axis="columns"), "per_channel")["certified"]
    assert not shared.verdict.decided
    page = " ".join(ABLATIONS.split())
    assert f"is {first} points from the other, by these ten runs alone" in page
    assert f"that all runs of both sweeps share it is {in_points(shared.difference)}, which claims nothing" in page
    assert f"Over seeds 5 to 14 it is {second}" in page
    assert f"over all of them {both}" in page


def test_the_other_numbers_of_the_ablations_are_those_of_the_runs(ablations: Callable[[str], Sweep]) -> None:
    undetermined = by_seed(ablations("ablation_pmbc").done, "undetermined").mean() * 100
    shares = listing([number(undetermined[name], 1) for name in ("M1", "M3", "M6")])
    assert f"After M = 1, 3 and 6 iterations {shares} % of" in SECTIONS["ablation_pmbc"]
    rates = by_seed(ablations("ablation_direction").done, "firing_rate").mean()
    more = number(2 * rates["per_direction"] / rates["bidirectional"])
    assert f"there are {more} times as many spikes" in SECTIONS["ablation_direction"]
    runs = pd.read_parquet(MEASURED / "ablations_laptop.parquet", columns=["id"])
    assert f"{len(SECTIONS)} sweeps, {len(runs)} runs" in ABLATIONS


def test_what_sparse_spikes_save_is_a_small_share_of_a_tokens_energy(ablations: Callable[[str], Sweep]) -> None:
    by_part = energies_by_part(ablations("ablation_sparsity").done)
    whole = by_part.sum(axis=1)
    shares = by_part.loc["none"] / whole["none"] * 100
    page = " ".join(SECTIONS["ablation_sparsity"].split())
    assert f"That saves {number((1 - whole['weight_100'] / whole['none']) * 100, 1)} % of a token's" in page
    assert f"{number(shares['ssm'], 1)} % of it is the SSM's" in page
    assert f"{number(shares['projection'], 1)} % the projections'" in page


def energies_by_part(runs: pd.DataFrame) -> pd.DataFrame:
    """Energy of a token in each part, nJ: means over seeds, a row a variant."""
    operations = unfold(runs, "operations")
    energies = pd.Series(map(energy_nj, operations["multiply_accumulates"], operations["accumulates"]))
    sums = energies.groupby([operations["variant"], operations["seed"], operations["part"]]).sum()
    return sums.groupby(["variant", "part"]).mean().unstack()


def beside_the_shortcut(sweep: Sweep) -> dict[str, Verdict]:
    """On which side of the shortcut each variant is shown to lie."""
    accuracy, shortcut = (by_seed(sweep.done, f"{name}_accuracy") for name in ("test", "shortcut"))
    return {variant: each.verdict for variant, each in against_reference(accuracy, shortcut).items()}


def rules_of(runs: pd.DataFrame) -> str:
    """The sentence on what simple rules reach on the runs' one test set."""
    accuracies = {each["name"]: number(each["accuracy"] * 100) for each in runs["rules"].iloc[0]}
    assert number(runs["shortcut_accuracy"].unique().item() * 100) == accuracies["one level"]
    return (
        f"The shortcut, one level of the expression read, reaches {accuracies['one level']} %, the outermost operator "
        f"alone {accuracies['outermost operator']} %, the majority class "
        f"{number(runs['majority_accuracy'].unique().item() * 100)} %."
    )


def where_wrong(runs: pd.DataFrame) -> str:
    """Lowest and highest mean over seeds of the accuracy where the shortcut is wrong."""
    means = where_shortcut_is_wrong(runs).groupby(runs["variant"]).mean() * 100
    return f"{number(means.min())} to {number(means.max())} %"


def test_what_the_study_reaches_beside_the_shortcut_is_what_its_page_says(study: Sweep) -> None:
    open_ones = {"lif_soft": Verdict.OPEN, "binary": Verdict.OPEN, "gelu": Verdict.HIGHER}
    found = beside_the_shortcut(study)
    assert found == {variant: open_ones.get(variant, Verdict.LOWER) for variant in found}
    assert rules_of(study.done) in PAGE
    assert f"Where the shortcut is wrong, all eight reach {where_wrong(study.done)}" in PAGE
    dense = study.done[study.done["variant"] == "gelu"]
    more = number((dense["test_accuracy"] - dense["shortcut_accuracy"]).mean() * 100)
    assert f"only the dense network is, by {more} points." in (ROOT / "README.md").read_text()
    groups = unfold(study.done, "groups")
    sums = groups.loc[groups["group"] == "SM", "accuracy"] * 100
    assert f"sums (SM) are at chance, {number(sums.min())} to {number(sums.max())} % in single runs" in PAGE


def test_what_the_ablations_reach_beside_the_shortcut_is_what_their_page_says(
    ablations: Callable[[str], Sweep],
) -> None:
    sweeps = [ablations(name) for name in SECTIONS]
    assert {verdict for sweep in sweeps for verdict in beside_the_shortcut(sweep).values()} == {Verdict.LOWER}
    assert rules_of(sweeps[0].done) in ABLATIONS
    by_sweep = pd.concat([where_shortcut_is_wrong(each.done).groupby(each.done["variant"]).mean() for each in sweeps])
    assert f"{number(by_sweep.min() * 100)} to {number(by_sweep.max() * 100)} %: these ablations" in ABLATIONS
