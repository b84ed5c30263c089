"""Equal tuning: every variant gets the same trials, on validation alone, and the sweep uses what was chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import spike_ssm.harness.run.compute
from spike_ssm.harness.config.command_line import flags_of
from spike_ssm.harness.plan.search_space import INITIAL_FIRING_RATE
from spike_ssm.results.schema import RUN
from spike_ssm.results.store import read_manifest
from spike_ssm.results.tuning.files import TRIALS, read_tuning

LR = {"optim.lr": {"low": 0.001, "high": 0.1, "log": True}}
TAKES = f" axes and settings of the sweep, {', '.join(flags_of('harness.tune'))}."
NEURONS = {"neuron": ["lif_soft", "gelu"]}
OF_THE_TEST_SET = [name for name in RUN.names if name.startswith(("test_", "best_test", "last_test", "shortcut_"))]


def tuning_of(place: Any, name: str = "mini") -> Any:
    return read_tuning(place.results / "tuned" / f"{name}_laptop.yaml", name, "laptop")


def trials_of(place: Any, name: str = "mini") -> pd.DataFrame:
    return pd.read_parquet(place.results / "tuned" / f"{name}_laptop.parquet")


@pytest.fixture
def tuned(place: Any) -> Any:
    """A place where the sweep of two neurons was tuned with two trials each."""
    place.sweep_file("mini", grid=NEURONS, baseline={"neuron": "gelu"})
    outcome = place.tune("budget=2")
    assert (outcome.status, outcome.err) == (0, [])
    return place


# --- what is tried


def test_every_variant_gets_the_same_number_of_trials_at_the_same_points(tuned: Any) -> None:
    trials = trials_of(tuned)
    assert list(trials) == TRIALS.names
    values = trials.assign(values=trials["values"].map(json.loads))
    lr = {
        variant: [each["optim.lr"] for each in group.sort_values("trial")["values"]]
        for variant, group in values.groupby("variant")
    }
    assert set(lr) == {"lif_soft", "gelu"}
    assert lr["lif_soft"] == lr["gelu"]
    assert len(set(lr["gelu"])) == 2


def test_a_setting_that_a_variant_lacks_is_not_tuned_there_and_that_is_said(place: Any) -> None:
    place.sweep_file("mini", grid=NEURONS)
    outcome = place.tune("budget=2")
    for axis in (INITIAL_FIRING_RATE, "neuron.leak"):
        assert f"{axis} is not tuned on gelu: no such setting, or fixed there." in outcome.out
    tuning = tuning_of(place)
    assert tuning.lacking == {INITIAL_FIRING_RATE: ["gelu"], "neuron.leak": ["gelu"]}
    assert set(tuning.chosen["listops"]["lif_soft"].values) == {"optim.lr", INITIAL_FIRING_RATE, "neuron.leak"}
    assert set(tuning.chosen["listops"]["gelu"].values) == {"optim.lr"}


def test_what_the_variants_themselves_differ_in_stays_as_it_is(place: Any) -> None:
    outcome = place.tune("budget=1")  # the sweep's axis is the leak
    assert "neuron.leak is not tuned on 0.5, 0.9: no such setting, or fixed there." in outcome.out
    leaks = {json.loads(row["config"])["neuron"]["leak"] for row in place.rows().values()}
    assert leaks == {0.5, 0.9}


def test_a_sweep_file_may_say_what_is_tuned(place: Any) -> None:
    place.sweep_file("mini", tune={"optim.weight_decay": {"choices": [0.0, 0.1]}})
    assert place.tune("budget=4").status == 0
    assert set(tuning_of(place).axes) == {"optim.weight_decay"}
    assert {json.loads(row["config"])["optim"]["weight_decay"] for row in place.rows().values()} == {0.0, 0.1}


def test_trials_see_validation_only_and_seeds_of_their_own(tuned: Any) -> None:
    rows = tuned.rows().values()
    assert len(rows) == 4
    for row in rows:
        assert row["status"] == "done"
        assert row["seed"] == 1000
        assert row["validation_accuracy"] is not None
        assert [name for name in OF_THE_TEST_SET if row[name] is not None] == []
        assert row["predictions"] is None
        assert json.loads(row["config"])["test"] is False


def test_a_trial_never_loads_the_test_set(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    prepare = spike_ssm.harness.run.compute._data

    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"test.{name} was looked at")

    def without_test(settings: Any) -> Any:
        data = prepare(settings)
        object.__setattr__(data, "test", Untouchable())
        return data

    monkeypatch.setattr(spike_ssm.harness.run.compute, "_data", without_test)
    assert place.tune("budget=1").status == 0
    assert place.sweep().status == 1, "a run that is tested does look at it"


# --- what is chosen


def test_the_trial_with_the_best_validation_is_chosen(tuned: Any) -> None:
    trials = trials_of(tuned)
    for variant, group in trials.groupby("variant"):
        best = group.loc[group["validation_accuracy"].idxmax()]
        choice = tuning_of(tuned).chosen["listops"][variant]
        assert choice.trial == best["trial"]
        assert choice.score == best["validation_accuracy"]
        assert choice.values == json.loads(best["values"])
        assert list(group.loc[group["chosen"], "trial"]) == [best["trial"]]


def test_seeds_of_a_trial_are_averaged_and_one_that_fails_loses_it(place: Any) -> None:
    place.sweep_file("mini", grid={"neuron": ["gelu"]}, tune={"optim.lr": {"choices": [0.01, 1e30]}})
    assert place.tune("budget=6", "seed=1000,1001", "sampler=random").status == 0
    trials = trials_of(place)
    choice = tuning_of(place).chosen["listops"]["gelu"]
    assert (choice.done, choice.failed) == (
        (trials["status"] == "done").sum() / 2,
        (trials["status"] != "done").sum() / 2,
    )
    assert choice.failed > 0
    assert choice.values == {"optim.lr": 0.01}
    assert choice.score == trials[trials["trial"] == choice.trial]["validation_accuracy"].mean()


def test_a_variant_none_of_whose_trials_finished_is_left_untuned_and_the_command_fails(place: Any) -> None:
    place.sweep_file("mini", tune={"optim.lr": {"choices": [1e30]}})
    outcome = place.tune("budget=1")
    assert outcome.status == 1
    assert "listops · 0.5: no trial of 1 finished, so it stays untuned; see what the runs' results say" in outcome.out
    assert tuning_of(place).choice("listops", "0.5") is None


def test_finished_trials_are_not_run_again_and_a_larger_budget_goes_on(tuned: Any) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in tuned.results.glob("rows/*.parquet")}
    again = tuned.tune("budget=2")
    assert any("4 finished earlier, 0 to run" in line for line in again.out)
    more = tuned.tune("budget=3")
    assert any("4 finished earlier, 2 to run" in line for line in more.out)
    assert {name: (tuned.results / "rows" / name).stat().st_mtime_ns for name in before} == before


def test_variants_may_be_tuned_one_after_the_other(tuned: Any) -> None:
    whole, trials = tuning_of(tuned), trials_of(tuned)
    for path in (tuned.results / "tuned").iterdir():
        path.unlink()
    for neuron in ("gelu", "lif_soft"):
        assert tuned.tune("budget=2", f"neuron={neuron}").status == 0
    assert tuning_of(tuned).chosen == whole.chosen
    assert {axis: set(left) for axis, left in tuning_of(tuned).lacking.items()} == {
        axis: set(left) for axis, left in whole.lacking.items()
    }
    order = ["variant", "trial"]
    pd.testing.assert_frame_equal(
        trials_of(tuned).sort_values(order, ignore_index=True), trials.sort_values(order, ignore_index=True)
    )


def test_an_earlier_tuning_that_is_damaged_is_kept_and_made_anew(tuned: Any) -> None:
    path = tuned.results / "tuned" / "mini_laptop.yaml"
    path.write_text("{")
    outcome = tuned.tune("budget=2", "neuron=gelu")
    assert outcome.status == 0
    assert any(line.startswith(f"The tuning {path} is damaged") for line in outcome.out)
    assert {file.suffix for file in (tuned.results / "quarantine").iterdir()} == {".yaml", ".parquet"}
    assert set(tuning_of(tuned).chosen["listops"]) == {"gelu"}


def test_an_earlier_tuning_that_cannot_be_read_now_stays(tuned: Any) -> None:
    path = tuned.results / "tuned" / "mini_laptop.parquet"
    away = path.rename(tuned.folder / "away")
    path.mkdir()  # reading it is an error of the system
    outcome = tuned.tune("budget=2", "neuron=gelu")
    assert outcome.status == 1
    assert outcome.err[0].startswith(f"Error: {path} cannot be read now (Is a directory).")
    path.rmdir()
    away.rename(path)
    assert set(tuning_of(tuned).chosen["listops"]) == {"gelu", "lif_soft"}
    assert set(trials_of(tuned)["variant"]) == {"gelu", "lif_soft"}


def test_another_budget_replaces_the_tuning_whole_because_budgets_are_equal(tuned: Any) -> None:
    outcome = tuned.tune("budget=1", "neuron=gelu")
    assert (
        "The earlier tuning tried other points, so it is replaced; variants that only it had are untuned now."
        in outcome.out
    )
    assert set(tuning_of(tuned).chosen["listops"]) == {"gelu"}


# --- what the sweep does with it


def test_a_tuned_sweep_runs_every_variant_with_its_chosen_settings(tuned: Any) -> None:
    outcome = tuned.sweep("tuned=true")
    assert (outcome.status, outcome.err) == (0, [])
    chosen = tuning_of(tuned).chosen["listops"]
    manifest = read_manifest(tuned.results, "mini")
    assert manifest.tuning == tuning_of(tuned)
    for planned in manifest.runs:
        config = json.loads(tuned.rows()[planned.id]["config"])
        for name, value in chosen[planned.variant].values.items():
            group, leaf = name.split(".")
            assert config[group][leaf] == value


def test_the_command_line_goes_before_the_tuning(tuned: Any) -> None:
    assert tuned.sweep("tuned=true", "optim.lr=0.02").status == 0
    runs = [tuned.rows()[planned.id] for planned in read_manifest(tuned.results, "mini").runs]
    assert {json.loads(row["config"])["optim"]["lr"] for row in runs} == {0.02}


def test_a_tuning_may_lie_elsewhere(tuned: Any, tmp_path: Path) -> None:
    moved = (tuned.results / "tuned" / "mini_laptop.yaml").rename(tmp_path / "mine.yaml")
    outcome = tuned.sweep(f"tuned={moved}", "dry_run=true")
    assert outcome.status == 0


def test_the_robustness_of_tuned_runs_is_evaluated_with_the_same_word(tuned: Any) -> None:
    assert tuned.sweep("tuned=true", "neuron=gelu").status == 0
    words = [word for word in tuned.words(name="robustness") if not word.startswith("launcher")]
    few = ("of=mini", "tuned=true", "neuron=gelu", "robustness.streamed_examples=4")
    outcome = tuned.sweep(*few, name="robustness")
    assert (outcome.status, outcome.err) == (0, []), words
    assert outcome.out[0].startswith("1 runs: 0 finished earlier, 1 to run")


# --- bad input


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "budget must be a whole number of trials from 1 on, but none is given: budget=8."),
        (("budget=0",), "budget must be a whole number of trials from 1 on, but it is 0: budget=8."),
        (("budget=-3",), "budget must be a whole number of trials from 1 on, but it is -3: budget=8."),
        (("budget=2.5",), "budget must be a whole number of trials from 1 on, but it is 2.5: budget=8."),
        (("budget=many",), "budget must be a whole number of trials from 1 on, but it is many: budget=8."),
        (("budget=2", "sampler=grid"), "sampler 'grid' does not exist; choose one of qmc, random."),
        (("budget=2", "seed=0"), "The sweep 'mini' has the seeds [0] itself; tune with others than [0]."),
        (("budget=2", "wait=false"), "harness.tune takes no wait; it takes" + TAKES),
        (("budget=2", "tuned=true"), "harness.tune takes no tuned; it takes" + TAKES),
    ],
)  # fmt: skip
def test_a_wrong_word_gets_one_sentence_and_nothing_is_begun(place: Any, words: tuple[str, ...], sentence: str) -> None:
    outcome = place.tune(*words)
    assert (outcome.status, outcome.out, outcome.err) == (1, [], [f"Error: {sentence}"])
    assert not place.results.exists()


@pytest.mark.parametrize(
    ("tune", "part"),
    [
        ({"optim.lr": {"low": 0.1, "high": 0.1}}, "tune: the axis optim.lr must have low < high"),
        ({"optim.lr": {"low": 0, "high": 0.1, "log": True}}, "and low > 0 where it is logarithmic"),
        ({"optim.lr": {"low": 0.1}}, "needs two numbers, low and high, but it is {'low': 0.1}."),
        ({"optim.lr": 0.1}, "must be {low: A, high: B, log: true or false} or {choices: [...]}, but it is 0.1."),
        ({"optim.lr": {"choices": []}}, "must list at least one choice"),
        ({"optim.lr": {"lowest": 1}}, "must be {low: A, high: B, log: true or false} or {choices: [...]}"),
        ({"neuron.leek": {"choices": [1]}}, "The axis neuron.leek is a setting of no variant of 'mini'"),
        ({"neuron.leak": {"choices": [0.5]}}, "share no tunable axis, so no tuning would be equal"),
        ({"optim.lr": {"choices": [-1]}}, "lr must be a number of at least 0"),
        ([1], "sweep/mini.yaml: tune must map settings to ranges"),
    ],
)  # fmt: skip
def test_a_wrong_tune_in_the_sweep_file_gets_one_sentence(place: Any, tune: Any, part: str) -> None:
    place.sweep_file("mini", tune=tune)
    outcome = place.tune("budget=1")
    assert outcome.status == 1
    (sentence,) = outcome.err
    assert part in sentence
    assert sentence.endswith(".")
    assert not place.results.exists()


def test_a_study_whose_variants_share_no_axis_is_refused(place: Any) -> None:
    place.sweep_file("mini", grid=NEURONS, tune={"neuron.leak": {"low": 0.1, "high": 0.9}})
    (sentence,) = place.tune("budget=1").err
    assert "share no tunable axis, so no tuning would be equal: neuron.leak is not one of gelu." in sentence


def test_an_axis_set_on_the_command_line_is_not_tuned_and_all_of_them_are_nothing_to_tune(place: Any) -> None:
    place.sweep_file("mini", tune=LR)
    (sentence,) = place.tune("budget=1", "optim.lr=0.01").err
    assert sentence == (
        "Error: Every axis of the tuning of 'mini' is set on the command line: nothing is left to tune."
    )


def test_sweeps_that_train_nothing_are_not_tuned(place: Any) -> None:
    (of_evaluations,) = place.tune("budget=1", name="robustness").err
    assert of_evaluations.startswith("Error: The sweep 'robustness' trains nothing; tune the one that it evaluates,")


def test_a_missing_tuning_is_refused_with_the_command_that_makes_it(place: Any) -> None:
    outcome = place.sweep("tuned=true")
    (sentence,) = outcome.err
    path = place.results / "tuned" / "mini_laptop.yaml"
    assert sentence == (
        f"Error: There is no tuning {path}. Run python -m harness.tune +sweep=mini budget=K scale=laptop first, or "
        "name its file: tuned=PATH."
    )
    assert not place.results.exists()


@pytest.mark.parametrize("content", ["[1, 2]", "sweep: mini", "{", "chosen: 3\n", "\x00"])
def test_a_damaged_tuning_is_refused(place: Any, tmp_path: Path, content: str) -> None:
    (tmp_path / "tuning.yaml").write_text(content)
    outcome = place.sweep(f"tuned={tmp_path / 'tuning.yaml'}")
    (sentence,) = outcome.err
    assert f"The tuning {tmp_path / 'tuning.yaml'} is damaged, or of newer code (" in sentence


def test_a_tuning_of_another_sweep_or_scale_is_refused(tuned: Any) -> None:
    path = tuned.results / "tuned" / "mini_laptop.yaml"
    content = yaml.safe_load(path.read_text())
    for key, other in (("sweep", "lra"), ("scale", "paper")):
        path.write_text(yaml.safe_dump({**content, key: other}))
        (sentence,) = tuned.sweep("tuned=true").err
        assert f"{other!r}" in sentence
        assert "not of 'mini' at 'laptop'" in sentence


def test_runs_may_not_have_the_seeds_that_chose_their_settings(tuned: Any) -> None:
    (sentence,) = tuned.sweep("tuned=true", "seed=0,1000").err
    assert "The tuning chose by the seeds [1000], so the sweep cannot have [1000] as well" in sentence


def test_a_sweep_takes_no_runs_without_a_test(place: Any) -> None:
    (sentence,) = place.sweep("test=false").err
    assert "test=false leaves a sweep nothing to report" in sentence
