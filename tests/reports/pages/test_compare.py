"""Two sweeps side by side, or one in two results folders."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from spike_ssm.reports.__main__ import main
from spike_ssm.reports.pages.compare import build_comparison
from spike_ssm.reports.statistics.seeds import welch_interval
from spike_ssm.results.reading import read_runs

NAME = "ablation_refractory"


@pytest.fixture
def folders(sweep, tmp_path):
    """The same sweep of two commits: every accuracy of the second is higher by its seed's hundredth."""
    first = sweep(details=False)
    first = first.rename(tmp_path / "first")

    def later(row):
        config = json.loads(row["config"])
        config["optim"]["lr"] = 0.02
        accuracy = row["test_accuracy"] + 0.01 * (row["seed"] + 1)
        return row | {"test_accuracy": accuracy, "config": json.dumps(config), "code_version": "fedcba987654"}

    return first, sweep(details=False, change=later)


def compared(first, second, out):
    page = build_comparison((NAME, first), (NAME, second), out).read_text(encoding="utf-8")
    return page, pd.read_csv(out / f"compare-{NAME}-{NAME}.csv")


def test_differences_are_paired_by_seed_and_equal_those_of_the_files(folders, tmp_path):
    page, numbers = compared(*folders, tmp_path / "out")
    accuracy = numbers[numbers["metric"] == "test_accuracy"].set_index("variant")
    assert accuracy["difference"].tolist() == pytest.approx([0.02] * 6)
    assert set(accuracy["paired_seeds"]) == {3}
    half = stats.t.ppf(0.975, 2) * 0.01 / 3**0.5
    assert accuracy["half_interval"].tolist() == pytest.approx([half] * 6)
    rows, *_ = read_runs(folders[0], [f"lis-none-{seed}" for seed in (0, 1, 2)])
    assert accuracy.loc["none", "first"] == pytest.approx(rows["test_accuracy"].mean())
    assert "+2.00" in page


def test_a_sweep_compared_with_itself_is_identical_in_one_sentence(folders, tmp_path):
    page, numbers = compared(folders[0], folders[0], tmp_path / "out")
    assert "The two are identical: all 18 finished runs are the same in both, by settings, seed and value." in page
    assert "<table" not in page
    assert set(numbers["verdict"]) == {"identical"}
    assert (numbers["difference"] == 0).all()
    assert numbers["p"].isna().all()


def test_what_is_identical_is_named_and_not_tested_with_the_rest(folders, sweep, tmp_path):
    def fixed_changes(row):
        return (
            row | {"test_accuracy": row["test_accuracy"] + 0.01 * (row["seed"] + 1)} if "-fixed-" in row["id"] else row
        )

    page, numbers = compared(folders[0], sweep(details=False, change=fixed_changes), tmp_path / "out")
    assert "18 finished runs have the same id in both" in page
    assert "Identical, values too, and left out of what follows: listops, none; listops, trainable" in page
    rows = page[page.index("Difference in accuracy") : page.index("</table>")]
    assert rows.count('<th scope="row">') == 1
    assert "listops, fixed" in rows
    accuracy = numbers[numbers["metric"] == "test_accuracy"].set_index("variant")
    assert accuracy.loc["fixed", "p_holm"] == accuracy.loc["fixed", "p"], "one test, nothing to correct it for"
    assert (accuracy.drop(index="fixed")["verdict"] == "identical").all()


def test_settings_that_differ_are_named_with_both_values(folders, tmp_path):
    page, _ = compared(*folders, tmp_path / "out")
    table = page.split("Settings that differ</caption>")[1].split("</table>")[0]
    assert all(word in table for word in ("optim.lr", "0.01", "0.02"))
    assert "fedcba987654" in page


def test_means_are_of_the_seeds_that_are_paired(sweep, tmp_path):
    first = sweep(details=False, seeds=(0, 1, 2)).rename(tmp_path / "first")
    _, numbers = compared(first, sweep(details=False, seeds=(1, 2, 3)), tmp_path / "out")
    assert (numbers["second"] - numbers["first"]).tolist() == pytest.approx(numbers["difference"].tolist())
    assert set(numbers["paired_seeds"]) == {2}


def test_without_shared_seeds_the_interval_is_welchs(sweep, tmp_path):
    first = sweep(details=False, seeds=(0, 1, 2)).rename(tmp_path / "first")
    _, numbers = compared(first, sweep(details=False, seeds=(3, 4, 5)), tmp_path / "out")
    assert set(numbers["paired_seeds"]) == {0}
    assert numbers["half_interval"].notna().all()
    assert set(numbers["verdict"]) == {"no verdict: fewer than three shared seeds"}


def test_what_only_one_has_is_named_and_different_scales_are_a_caution(sweep, tmp_path):
    first = sweep(details=False, variants=("none", "fixed")).rename(tmp_path / "first")
    page, numbers = compared(first, sweep(details=False, variants=("none",), scale="gpu"), tmp_path / "out")
    assert set(numbers["variant"]) == {"none"}
    assert "listops, fixed" in page.split("Only in")[1]
    assert "The two are at different scales" in page


def test_nothing_in_common_is_said(sweep, tmp_path):
    first = sweep(details=False, variants=("none",)).rename(tmp_path / "first")
    page = build_comparison((NAME, first), (NAME, sweep(details=False, variants=("fixed",))), tmp_path / "out")
    assert "nothing to compare" in page.read_text()


@given(*[st.lists(st.integers(0, 1000), min_size=3, max_size=6, unique=True) for _ in range(2)])
def test_welchs_interval_is_that_of_the_textbook_and_turns_with_its_sides(ours, theirs):
    found, turned = welch_interval(ours, theirs), welch_interval(theirs, ours)
    assert (found.mean, found.half) == pytest.approx((-turned.mean, turned.half))
    errors = [pd.Series(values).var() / len(values) for values in (ours, theirs)]
    freedom = sum(errors) ** 2 / sum(e**2 / (len(v) - 1) for e, v in zip(errors, (ours, theirs), strict=True))
    assert found.half == pytest.approx(stats.t.ppf(0.975, freedom) * sum(errors) ** 0.5)


def test_without_spread_or_below_three_values_there_is_no_welch_interval():
    assert math.isnan(welch_interval([1, 1, 1], [2, 2, 2]).half)
    assert math.isnan(welch_interval([1, 2], [2, 3, 5]).half)
    assert welch_interval([1], [2, 3]).mean == pytest.approx(-1.5)


def test_the_command_takes_two_sweeps_or_one_and_a_second_folder(folders, tmp_path, capsys):
    first, second = map(str, folders)
    out = ["--out", str(tmp_path / "out")]
    assert main(["compare", NAME, "--results", first, "--against", second, *out]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / f"compare-{NAME}-{NAME}.html")
    assert main(["compare", NAME, "--results", first, *out]) == 1
    assert "compare takes two sweeps, or one and --against FOLDER" in capsys.readouterr().err
    assert main(["compare", NAME, "nothing", "--results", first, *out]) == 1
    assert "No sweep named 'nothing'" in capsys.readouterr().err
