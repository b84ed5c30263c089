"""Sweeps that evaluate trained runs: from the command to the page, and every way in which that cannot be."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import spike_ssm.harness.commands.sweep
import spike_ssm.harness.run.execute
import spike_ssm.harness.sweep
import spike_ssm.harness.train
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.robustness import RANGES, RobustnessSettings
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.sweep_file import load_sweep
from spike_ssm.harness.state.run_files import RunFiles
from spike_ssm.harness.training.checkpoint import read_state, write_state
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.weights import read_weights
from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.schema import ROBUSTNESS
from spike_ssm.results.store import read_manifest, write_run

EVALUATING = {"title": "Robust", "question": "How robust?", "of": "mini", "base": {"launcher": "debug"}}
FEW = "input_noise: [0.5]\nspike_deletion: [0.2, 1.0]\nweight_bits: [8, 4]\nlength: [0.5, 2]\nstate_bits: [6]\n"
CODE = "0123456789ab"


@pytest.fixture
def robust(place: Any) -> Any:
    """A place with the sweep `robust`, which evaluates the runs of `mini`, two leaks, under a few corruptions."""
    (place.folder / "config" / "robustness").mkdir(parents=True)
    (place.folder / "config" / "robustness" / "few.yaml").write_text(FEW)
    place.sweep_file("robust", json.dumps({**EVALUATING, "base": {"launcher": "debug", "robustness": "few"}}))
    return place


def error_of(outcome: Any) -> str:
    """The one sentence of a command that ended at once."""
    assert outcome.status == 1
    (line,) = outcome.err
    assert line.startswith("Error: ")
    return str(line)


# --- all is well


def test_the_trained_runs_are_evaluated_and_nothing_of_them_changes(robust: Any) -> None:
    assert robust.sweep().status == 0
    trained = robust.rows()
    files = {
        path: path.read_bytes() for path in robust.results.rglob("*") if path.suffix in (".parquet", ".safetensors")
    }
    assert {path.stem for path in (robust.results / "weights").iterdir()} == set(trained)

    outcome = robust.sweep(name="robust")
    assert (outcome.status, outcome.err) == (0, [])
    assert outcome.out[-1] == str(robust.reports / "robust.html")
    assert all(path.read_bytes() == content for path, content in files.items())
    rows = {run_id: row for run_id, row in robust.rows().items() if run_id not in trained}
    by_leak = {json.loads(row["config"])["neuron"]["leak"]: row for row in trained.values()}
    columns = {ROBUSTNESS.value_type.field(place).name for place in range(ROBUSTNESS.value_type.num_fields)}
    assert len(rows) == 2
    for row in rows.values():
        config = json.loads(row["config"])
        before = by_leak[config["neuron"]["leak"]]
        assert row["test_accuracy"] == before["test_accuracy"]
        assert row["firing_rate"] == before["firing_rate"]
        assert row["shortcut_accuracy"] == before["shortcut_accuracy"]
        assert config.pop("robustness")["weight_bits"] == [8, 4]
        assert config == json.loads(before["config"])
        levels = [(entry["corruption"], entry["level"]) for entry in row["robustness"]]
        assert levels == [
            *(("input_noise", level) for level in (0, 0.5)),
            *(("length", level) for level in (1, 0.5, 2)),
            *(("spike_deletion", level) for level in (0, 0.2, 1)),
            *(("weight_bits", level) for level in (32, 4, 8)),
            *(("state_bits", level) for level in (32, 6)),
        ]
        assert all(set(entry) == columns for entry in row["robustness"])
        assert all(entry["accuracy"] is not None for entry in row["robustness"])
        neutral = [entry for entry in row["robustness"] if entry["level"] == RANGES[entry["corruption"]].neutral]
        assert {entry["accuracy"] for entry in neutral} == {row["test_accuracy"]}
        silenced = next(
            entry for entry in row["robustness"] if entry["level"] == 1 and "deletion" in entry["corruption"]
        )
        assert silenced["firing_rate"] == 0
    assert robust.sweep(name="robust").out[0] == "2 runs: 2 finished earlier, 0 to run (debug, 1 at a time)."


def test_finished_evaluations_need_no_weights_any_more(robust: Any) -> None:
    robust.sweep()
    robust.sweep(name="robust")
    for path in (robust.results / "weights").iterdir():
        path.unlink()
    assert robust.sweep(name="robust").status == 0


def test_the_sweep_that_is_evaluated_may_be_another_one_whose_name_it_then_bears(robust: Any) -> None:
    robust.sweep_file("other", grid={"neuron.threshold": [0.5]})
    assert robust.sweep(name="other").status == 0
    outcome = robust.sweep("of=other", name="robust")
    assert (outcome.status, outcome.err) == (0, [])
    manifest = read_manifest(robust.results, "robust_other")
    assert [run.variant for run in manifest.runs] == ["0.5"]
    assert manifest.title == "Robust: Two leaks"
    assert outcome.out[-1] == str(robust.reports / "robust_other.html")


def test_axes_are_narrowed_and_levels_set_on_the_command_line(robust: Any) -> None:
    robust.sweep("neuron.leak=0.5")
    levels = ("robustness.weight_bits=3,2", "robustness.length=0.5", "robustness.state_bits=[]")
    assert robust.sweep("neuron.leak=0.5", *levels, name="robust").status == 0
    (row,) = (row for row in robust.rows().values() if row["robustness"])
    levels_of = json.loads(row["config"])["robustness"]
    assert (levels_of["weight_bits"], levels_of["length"], levels_of["state_bits"]) == ([3, 2], [0.5], [])


def test_the_packaged_sweep_evaluates_the_runs_of_the_neuron_ablation(composer: Composer) -> None:
    def runs_of(*words: str) -> list[Settings]:
        command = parse_command_line(words)
        assert command.sweep is not None
        sweep = load_sweep(composer, command.sweep, "laptop")
        return [run.settings for run in expand(composer, command, sweep).runs]

    evaluating, training = runs_of("+sweep=robustness"), runs_of("+sweep=ablation_neuron")
    assert [settings.trained().run_id() for settings in evaluating] == [settings.run_id() for settings in training]


@pytest.mark.slow
def test_worker_processes_evaluate_as_this_one_does(robust: Any) -> None:
    robust.sweep()
    assert robust.sweep("launcher=local", "launcher.workers=2", "seed=0", name="robust").status == 0
    assert sum(row["robustness"] is not None for row in robust.rows().values()) == 2


def test_a_single_run_is_evaluated_by_the_command_that_trains_single_runs(
    robust: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in robust.words("robustness=standard", "neuron.leak=0.5")[3:] if "reports" not in word]
    assert spike_ssm.harness.train.main(words) == 1
    command = shlex.split(capsys.readouterr().err.partition("no result: ")[2])
    assert command[:3] == ["python", "-m", "harness.train"]
    assert spike_ssm.harness.train.main(command[3:]) == 0
    assert spike_ssm.harness.train.main(words) == 0
    assert sorted(row["robustness"] is not None for row in robust.rows().values()) == [False, True]


# --- what cannot be evaluated gets one sentence, before anything begins


def test_runs_that_were_not_trained_are_named_with_the_command_that_trains_them(robust: Any) -> None:
    sentence = error_of(robust.sweep("neuron.leak=0.9", "wait=true", name="robust"))
    assert "(listops · 0.9 · seed 0) must be trained first" in sentence
    command = shlex.split(sentence.partition("no result: ")[2])
    assert command[:4] == ["python", "-m", "harness.sweep", "+sweep=mini"]
    assert not any(word.startswith(("wait", "of=", "robustness")) for word in command)
    assert spike_ssm.harness.sweep.main([*command[3:], "estimate=false"]) == 0
    assert robust.sweep("neuron.leak=0.9", name="robust").status == 0


def test_a_dry_run_lists_the_runs_and_refuses_them_like_the_run_itself(robust: Any) -> None:
    outcome = robust.sweep("neuron.leak=0.9", "dry_run=true", name="robust")
    assert outcome.out[-1] == "1 runs, 1 to run, 0 skipped."
    assert "(listops · 0.9 · seed 0) must be trained first" in error_of(outcome)
    assert robust.rows() == {}


def test_of_many_untrained_runs_three_are_named_and_the_others_counted(robust: Any) -> None:
    sentence = error_of(robust.sweep("seed=0,1,2", name="robust"))
    assert sentence.startswith("Error: Runs ")
    assert sentence.count("listops") == 3
    assert "and 3 more must be trained first" in sentence


def test_a_run_that_failed_in_training_is_named(robust: Any) -> None:
    robust.sweep("optim.lr=1e30", "neuron.leak=0.5")
    sentence = error_of(robust.sweep("optim.lr=1e30", "neuron.leak=0.5", name="robust"))
    assert "failed in training" in sentence
    assert sentence.endswith("retry=true")


def test_a_run_without_weights_is_named_with_the_file_to_remove(robust: Any) -> None:
    robust.sweep("neuron.leak=0.5", "keep_weights=false")
    assert not (robust.results / "weights").exists()
    (run_id,) = robust.rows()
    sentence = error_of(robust.sweep("neuron.leak=0.5", name="robust"))
    assert "left no weights (results from before they were kept, or keep_weights=false): remove " in sentence
    assert str(run_path(robust.results, run_id)) in sentence


def test_weights_of_another_code_version_are_refused_by_both_names(
    robust: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    robust.sweep("neuron.leak=0.5")
    (run_id,) = robust.rows()
    path = RunFiles(robust.results, run_id).weights
    owner, state = read_state(path)
    write_state(path, {**owner, "code": CODE}, state)
    sentence = error_of(robust.sweep("neuron.leak=0.5", name="robust"))
    assert f"trained by code {CODE}, but this is {owner['code']}" in sentence
    assert "+sweep=mini" in sentence


def test_damaged_weights_and_those_of_another_run_are_refused(robust: Any) -> None:
    robust.sweep()
    first, second = (RunFiles(robust.results, run_id).weights for run_id in robust.rows())
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    first.write_bytes(content)
    assert "damaged or missing (its checksum is wrong)" in error_of(robust.sweep(name="robust"))
    first.write_bytes(second.read_bytes())
    assert f"are not those of run {first.stem}" in error_of(robust.sweep(name="robust"))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("robustness.token_corruption=0.1,1.5", "token_corruption: a level must be a share of tokens from 0 to 1, but"),
        ("robustness.spike_deletion=-0.1", "spike_deletion: a level must be a probability from 0 to 1, but it is -0.1"),
        ("robustness.length=0", "length: a level must be a factor above 0 and up to 8, but it is 0"),
        ("robustness.weight_bits=1", "weight_bits: a level must be a whole number of bits from 2 to 16, or 32, but"),
        ("robustness.weight_bits=4.5", "weight_bits: a level must be a whole number of bits from 2 to 16, or 32, but"),
        ("robustness.threshold_jitter=9", "a standard deviation of the threshold's logarithm from 0 to 3, but it is 9"),
        ("robustness.input_noise=[0.1,0.1]", "robustness.input_noise: a level is named twice in [0.1, 0.1]"),
        ("robustness.streamed_examples=0", "robustness.streamed_examples must be at least 1, but it is 0"),
        ("robustness.fog=1", "robustness.fog is not a setting; robustness has input_noise, token_corruption, length"),
        ("robustness=hard", "robustness=hard does not exist; choose one of few, standard"),
        ("task=speed", "robustness is of trained classifiers, and task=speed trains none"),
        ("task=bbc_words", "robustness is of trained classifiers, and task=bbc_words trains none"),
        ("of=robust", "of=robust trains no runs; name a sweep that does, such as mini"),
        ("of=nothing", "There is no sweep 'nothing'"),
    ],
)
def test_what_cannot_be_evaluated_gets_one_sentence(robust: Any, word: str, sentence: str) -> None:
    tiny = [each for each in robust.words(word, name="robust") if not each.startswith(("task.", "optim.", "model."))]
    with pytest.raises(UserError) as raised:
        spike_ssm.harness.commands.sweep.run(Composer(robust.folder / "config"), parse_command_line(tiny[2:]))
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not robust.rows()


def test_a_sweep_that_trains_takes_no_corruptions_and_no_other_sweep(robust: Any) -> None:
    assert "+sweep=robustness of=mini" in error_of(robust.sweep("robustness=few"))
    assert "of=robust has no meaning for the sweep 'mini'" in error_of(robust.sweep("of=robust"))


@pytest.mark.parametrize("change", [{"seeds": [0]}, {"base": None}, {"title": 3}])
def test_a_file_of_such_a_sweep_holds_nothing_but_its_four_keys(robust: Any, change: dict[str, Any]) -> None:
    robust.sweep_file("robust", json.dumps({**EVALUATING, **change}))
    assert "it must hold the texts title, question and of and the mapping base" in error_of(robust.sweep(name="robust"))


def test_such_a_sweep_must_say_under_what_it_evaluates(robust: Any) -> None:
    robust.sweep_file("robust", json.dumps(EVALUATING))
    assert "its base does not say under what" in error_of(robust.sweep(name="robust"))


def test_corruptions_without_any_level_are_nothing_to_evaluate() -> None:
    with pytest.raises(ValueError, match="no corruption has a level; the corruptions are input_noise, "):
        RobustnessSettings()


# --- weights


def test_the_weights_kept_are_those_of_the_best_epoch_bit_for_bit(
    robust: Any, tiny: Callable[..., Settings], data: Dataset
) -> None:
    robust.sweep("neuron.leak=0.5", "optim.epochs=3")
    (run_id,) = robust.rows()
    best: dict[str, torch.Tensor] = {}
    run_training(tiny("neuron.leak=0.5", "optim.epochs=3"), data, Hooks(keep=best.update))
    kept = read_weights(robust.results, run_id)
    assert set(kept) == set(best)
    assert all(torch.equal(kept[name], best[name]) for name in best)


def test_weights_are_there_before_the_result_is(robust: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    there = []

    def noting(results: Path, row: dict[str, Any]) -> Path:
        there.append(read_weights(results, row["id"]))
        return write_run(results, row)

    monkeypatch.setattr(spike_ssm.harness.run.execute, "write_run", noting)
    assert robust.sweep().status == 0
    assert len(there) == 2


def test_by_default_classifiers_keep_their_weights_and_language_models_do_not(composer: Composer) -> None:
    assert composer.settings({"task": "listops"}).keeps_weights()
    assert not composer.settings({"task": "bbc_words"}).keeps_weights()
    assert composer.settings({"task": "bbc_words", "keep_weights": True}).keeps_weights()


def test_a_run_whose_weights_cannot_be_written_is_done_all_the_same(
    robust: Any, caplog: pytest.LogCaptureFixture
) -> None:
    robust.results.mkdir(parents=True)
    (robust.results / "weights").write_text("in the way")
    assert robust.sweep("neuron.leak=0.5").status == 0
    assert "cannot be kept" in caplog.text
    (row,) = robust.rows().values()
    assert read_run(run_path(robust.results, row["id"]))["status"] == "done"
