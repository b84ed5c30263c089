"""What docs/refractoriness.md says of the study's second sweep is what its stored runs say, worked out again."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from spike_ssm.reports.figures.accuracy import accuracy_and_rate
from spike_ssm.reports.loading.sweep import Sweep, load
from spike_ssm.reports.render.drawn import Drawn
from spike_ssm.reports.render.palette import looks
from spike_ssm.reports.render.text import listing, number
from spike_ssm.reports.statistics.controls import judge
from spike_ssm.reports.statistics.factors import main_effects
from spike_ssm.reports.statistics.one_setting import under_one_setting
from spike_ssm.reports.statistics.pooled import against_pooled, pooled, spread
from spike_ssm.reports.statistics.seeds import Comparison, Verdict, by_seed, compare, corrected
from spike_ssm.results.packed import unpack
from spike_ssm.results.schema import Controls
from tests.pages import difference, in_points, label, percent, section, table, unsigned

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "refractoriness.md").read_text()

TASKS = ("fashion_mnist", "mnist_digits", "bbc_order")
PROBE = "delayed_recall"
DENSE = "gelu_0"
MINUS = "\N{MINUS SIGN}"

CHOOSING_SEEDS = range(4)
"""Seeds on Fashion-MNIST with which the screening chose the current; the others are new to it."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    folder = tmp_path_factory.mktemp("tasks")
    unpack(ROOT / "results" / "measured" / "study_refractoriness_tasks_workstation.parquet", folder)
    return load(folder, "study_refractoriness_tasks")


def test_every_registered_run_has_ended(sweep: Sweep) -> None:
    """Only then is the study over, by its stopping rule."""
    assert len(sweep.done) == len(sweep.manifest.runs)
    assert f"{len(sweep.done)} runs" in section(PAGE, "Three tasks")


def test_one_code_computed_all_runs(sweep: Sweep) -> None:
    assert len({json.loads(environment)["sources"] for environment in sweep.done["environment"]}) == 1


def means_table(sweep: Sweep) -> dict[str, list[str]]:
    """Mean accuracy and firing rate of every variant, percent, task by task."""
    means = [
        by_seed(sweep.done_on(task), measure).mean() for task in TASKS for measure in ("test_accuracy", "firing_rate")
    ]
    return {variant: [percent(mean[variant]) for mean in means] for variant in sweep.variants}


def price_table(sweep: Sweep) -> dict[str, list[str]]:
    """How far every spiking variant is from dense S4D, points of accuracy, task by task."""
    found = [against_pooled(by_seed(sweep.done_on(task), "test_accuracy"), DENSE) for task in TASKS]
    return {
        variant: [difference(of_task[variant]) for of_task in found] for variant in sweep.variants if variant != DENSE
    }


def new_seeds(sweep: Sweep) -> pd.DataFrame:
    """Runs on Fashion-MNIST that had no part in choosing the current."""
    garments = sweep.done_on(TASKS[0])
    return garments[~garments["seed"].isin(CHOOSING_SEEDS)]


def parts(sweep: Sweep) -> list[pd.DataFrame]:
    """Runs on each task, and of the new seeds."""
    return [*(sweep.done_on(task) for task in TASKS), new_seeds(sweep)]


def one_setting_table(sweep: Sweep) -> dict[str, list[str]]:
    """Currents minus what they are compared with under the same penalty: on each task, and on seeds of no choice."""
    controls = registered_controls(sweep)
    rows: dict[str, list[str]] = {}
    for runs in parts(sweep):
        for each in under_one_setting(runs, controls):
            rows.setdefault(f"{each.effect} {MINUS} {each.other}", []).append(difference(each.accuracy))
    return rows


def registered_controls(sweep: Sweep) -> Controls:
    controls = sweep.manifest.controls
    assert controls is not None
    return controls


def effects(sweep: Sweep, runs: pd.DataFrame, measure: str) -> dict[str, Comparison]:
    """The registered main effects: neurons from plain, over no penalty and 100, and this penalty from none."""
    found = main_effects(runs, sweep.manifest.runs, sweep.manifest.baseline, measure)
    assert {each.reference for each in found} == {"plain", "0"}
    return {each.level if each.factor == "neuron" else f"penalty {each.level}": each.comparison for each in found}


def effects_table(sweep: Sweep) -> dict[str, list[str]]:
    """On accuracy, task by task and of the new seeds, and on spike after spike, task by task."""
    columns = [effects(sweep, runs, "test_accuracy") for runs in parts(sweep)]
    columns += [effects(sweep, sweep.done_on(task), "spike_after_spike") for task in TASKS]
    return {key: [difference(column[key]) for column in columns] for key in columns[0]}


def at_its_rate_table(sweep: Sweep) -> dict[str, list[str]]:
    """Accuracy of each current beyond the plain neuron's at the same firing rate, and what follows, task by task."""
    rows: dict[str, list[str]] = {}
    for task in TASKS:
        for each in judge(sweep.done_on(task), registered_controls(sweep)):
            told = [in_points(each.advantage.comparison.difference), each.verdict]
            rows.setdefault(each.effect.variant, []).extend(told)
    return rows


def through_reset_table(sweep: Sweep) -> dict[str, list[str]]:
    """A gradient through reset and current minus one that is cut there, corrected over the tasks."""
    values = {task: by_seed(sweep.done_on(task), "test_accuracy") for task in TASKS}
    found = {}
    for task, of_task in values.items():
        apart = compare({task: of_task["through_reset_100"] - of_task["refractory_100"]})
        found |= pooled(apart, spread(of_task))
    return {task: [difference(each)] for task, each in corrected(found).items()}


def recall_table(sweep: Sweep) -> dict[str, list[str]]:
    """Recall after 4,096 steps: accuracy and firing rate, percent, and points from the plain neuron's."""
    runs = sweep.done_on(PROBE)
    values, rates = by_seed(runs, "test_accuracy"), by_seed(runs, "firing_rate").mean()
    apart = against_pooled(values, "plain_0")
    told = {variant: difference(each) for variant, each in apart.items()} | {"plain_0": ""}
    return {variant: [percent(values[variant].mean()), percent(rates[variant]), told[variant]] for variant in values}


def trains_table(sweep: Sweep) -> dict[str, list[str]]:
    """Share of spikes after which another follows, percent, and mean run of spikes, task by task."""
    means = [sweep.done_on(task).groupby("variant")[["spike_after_spike", "run_length"]].mean() for task in TASKS]
    return {
        variant: [
            cell
            for mean in means
            for cell in (percent(mean["spike_after_spike"][variant]), number(mean["run_length"][variant]))
        ]
        for variant in sweep.variants
        if variant != DENSE
    }


TABLES = {
    "Three tasks": means_table,
    "The price of sparsity": price_table,
    "Under one penalty": one_setting_table,
    "Averaged over penalties": effects_table,
    "At one firing rate": at_its_rate_table,
    "A gradient through the reset": through_reset_table,
    "Recall after 4,096 steps": recall_table,
    "Spike trains on three tasks": trains_table,
}


@pytest.mark.parametrize("title", TABLES)
def test_a_table_is_that_of_the_runs(title: str, sweep: Sweep) -> None:
    assert table(section(PAGE, title)) == TABLES[title](sweep)


@pytest.mark.parametrize("task", TASKS)
def test_a_figure_is_that_of_the_runs(task: str, sweep: Sweep) -> None:
    picture = ROOT / "docs" / f"refractoriness_{task}.svg"
    assert label(figure(sweep, task).svg) in picture.read_text(), "every mean"
    assert f"({picture.name})" in section(PAGE, "Three tasks")


def figure(sweep: Sweep, task: str) -> Drawn:
    """Accuracy against firing rate."""
    drawn = accuracy_and_rate(sweep.done_on(task), looks(sweep.variants, None), (f"f{place}" for place in count()))
    assert drawn is not None
    return drawn


def test_a_figures_numbers_have_dense_s4d_without_a_rate(sweep: Sweep) -> None:
    numbers = figure(sweep, TASKS[0]).numbers
    dense = numbers[numbers["variant"] == DENSE]
    accuracy = by_seed(sweep.done_on(TASKS[0]), "test_accuracy")[DENSE] * 100
    assert list(dense["accuracy_percent"]) == pytest.approx([*accuracy, accuracy.mean()])
    assert dense["firing_rate_percent"].isna().all()


def differences_under_one_penalty(sweep: Sweep) -> list[Comparison]:
    """Of all currents from all that they are compared with, on the three tasks."""
    controls = registered_controls(sweep)
    return [each.accuracy for task in TASKS for each in under_one_setting(sweep.done_on(task), controls)]


def lost(sweep: Sweep, variant: str, task: str) -> str:
    """Points below dense S4D, which are shown."""
    found = against_pooled(by_seed(sweep.done_on(task), "test_accuracy"), DENSE)[variant]
    assert found.verdict is Verdict.LOWER
    return unsigned(found.difference)


def rate(sweep: Sweep, variant: str, task: str) -> str:
    return percent(by_seed(sweep.done_on(task), "firing_rate").mean()[variant], 0)


def recall(sweep: Sweep) -> str:
    """Of dense S4D and of the best spiking network, none of which is shown to differ from the plain one."""
    values = by_seed(sweep.done_on(PROBE), "test_accuracy")
    apart = against_pooled(values, "plain_0")
    assert {variant for variant, each in apart.items() if each.verdict.decided} == {DENSE}
    means = values.mean()
    return f"dense S4D recalls {percent(means.pop(DENSE))} %, no spiking network more than {percent(means.max())} %"


def gains(sweep: Sweep) -> list[str]:
    """Of the fixed current over the plain neuron, averaged over penalties: shown on garments, where it was chosen."""
    found = [effects(sweep, runs, "test_accuracy")["refractory"] for runs in parts(sweep)]
    assert [each.verdict.decided for each in found] == [True, False, False, False]
    return [in_points(each.difference) for each in found]


def followed_less(sweep: Sweep, level: str) -> list[str]:
    """Points of spike after spike below the plain neuron's, averaged over penalties, task by task, all shown."""
    found = [effects(sweep, sweep.done_on(task), "spike_after_spike")[level] for task in TASKS]
    assert all(each.verdict is Verdict.LOWER for each in found)
    return [unsigned(each.difference) for each in found]


def answers(sweep: Sweep) -> list[str]:
    """What the page says on top of the three tasks and of recall."""
    garments, digits, texts = TASKS
    assert [rate(sweep, "plain_100", task) for task in TASKS] == ["5", "5", "5"]
    assert [rate(sweep, "plain_1000", task) for task in TASKS] == ["2", "2", "2"]
    compared = differences_under_one_penalty(sweep)
    assert not any(each.verdict.decided for each in compared)
    assert rate(sweep, "plain_0", garments) == rate(sweep, "plain_0", digits)
    garments_gain, digits_gain, texts_gain, new_gain = gains(sweep)
    p = effects(sweep, sweep.done_on(garments), "test_accuracy")["refractory"].adjusted_p
    return [
        f"Sparsity has its price: plain networks that fire at 5 % are {lost(sweep, 'plain_100', garments)} points "
        f"(garments) and {lost(sweep, 'plain_100', digits)} (digits) below dense S4D, at 2 % it is "
        f"{lost(sweep, 'plain_1000', garments)}, {lost(sweep, 'plain_1000', digits)} and, on texts, "
        f"{lost(sweep, 'plain_1000', texts)}; without a penalty they fire at {rate(sweep, 'plain_0', garments)} % and "
        f"are {lost(sweep, 'plain_0', garments)} and {lost(sweep, 'plain_0', digits)} below.",
        f"Under one penalty none of {len(compared)} differences between a refractory current and a plain neuron, a "
        "trained enlarged reset or a raised threshold is shown; averaged over penalties the fixed current is "
        f"{garments_gain} points above plain on garments (p = {p:.3f}), where it was chosen, but {new_gain} by the "
        f"seeds that had no part in that, {digits_gain} on digits and {texts_gain} on texts, none of which is shown.",
        "What a current changes is how spikes follow each other, as controls do: the share of spikes that another one "
        f"follows a step later falls by {listing(followed_less(sweep, 'refractory'))} points on garments, digits and "
        f"texts with the fixed current, by {listing(followed_less(sweep, 'trained_reset'))} with the trained reset and "
        f"by {listing(followed_less(sweep, 'raised'))} with the raised threshold.",
        f"After 4,096 steps of noise {recall(sweep)} (12.5 % by guessing), with a current or without.",
    ]


def test_the_answer_is_that_of_the_runs(sweep: Sweep) -> None:
    page = " ".join(PAGE.split())
    for answer in answers(sweep):
        assert answer in page


def test_the_readme_says_the_same(sweep: Sweep, tmp_path: Path) -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    garments, digits, _ = TASKS
    assert (
        f"plain networks that fire at 5 % are {lost(sweep, 'plain_100', garments)} points on garments and "
        f"{lost(sweep, 'plain_100', digits)} on digits below dense S4D"
    ) in readme
    assert recall(sweep) in readme
    garments_gain, *_ = gains(sweep)
    assert f"averaged over penalties it gains {garments_gain} points on the task it was chosen on" in readme
    (screening,) = unpack(ROOT / "results" / "measured" / "study_refractoriness_workstation.parquet", tmp_path)
    assert f"{len({run.id for run in (*screening.runs, *sweep.manifest.runs)})} runs" in readme


def test_the_main_effects_on_garments_are_as_sharp_as_was_asked(sweep: Sweep) -> None:
    found = effects(sweep, sweep.done_on(TASKS[0]), "test_accuracy")
    assert all(each.difference.half < 0.003 for each in found.values())


def test_what_single_intervals_hint_at_is_counted(sweep: Sweep) -> None:
    intervals = [each.difference for each in differences_under_one_penalty(sweep)]
    beside = [each for each in intervals if each.low > 0]
    assert not any(each.high < 0 for each in intervals)
    assert f"{len(beside)} of the {len(intervals)} intervals leave out 0, all of them above" in " ".join(PAGE.split())


def test_the_texts_are_near_their_ceiling(sweep: Sweep) -> None:
    means = by_seed(sweep.done_on("bbc_order"), "test_accuracy").mean().drop("plain_1000")
    assert f"all but `plain_1000` end between {percent(means.min())} and {percent(means.max())} %" in PAGE


def test_variants_spread_alike_only_among_the_new_seeds(sweep: Sweep) -> None:
    shared = {task: spread(by_seed(sweep.done_on(task), "test_accuracy")) for task in (*TASKS, PROBE)}
    shared["new seeds"] = spread(by_seed(new_seeds(sweep), "test_accuracy"))
    assert [name for name, of_task in shared.items() if of_task is not None and of_task.is_shared] == ["new seeds"]
    assert "with the variance that all variants share where they spread alike (the new seeds)" in " ".join(PAGE.split())
