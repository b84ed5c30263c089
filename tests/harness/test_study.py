"""A registered study in one command: tuned, run, evaluated and reported, and not to be changed on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import spike_ssm.harness.study
from spike_ssm.harness.config.command_line import CommandLine, Flags
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.documents import SWEEPS
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.study_file import Study
from spike_ssm.harness.plan.sweep_file import load_sweep
from spike_ssm.harness.plan.trials import plan
from spike_ssm.results.store import read_manifest
from tests.harness.conftest import MINI, TINY, called

STUDY = {
    "title": "Two neurons.",
    "sweep": "two",
    "budget": 1,
    "robustness": True,
    "questions": ["Is one better?"],
    "answers": "A difference counts when it is shown.",
}
TWO = {
    **{key: MINI[key] for key in ("title", "question")},
    "seeds": [0],
    "base": {"launcher": "debug", **{word.partition("=")[0]: yaml.safe_load(word.partition("=")[2]) for word in TINY}},
    "grid": {"task": ["listops"], "neuron": ["lif_soft", "gelu"]},
    "baseline": {"neuron": "gelu"},
    "tune": {"optim.lr": {"low": 0.001, "high": 0.1, "log": True}},
}


@pytest.fixture
def study(place: Any) -> Any:
    """Calls the command on the study `pair`, or `changes` of it, with further words."""

    def call(*words: str, name: str = "pair", **changes: Any) -> Any:
        folder = place.folder / "config" / "study"
        folder.mkdir(parents=True, exist_ok=True)
        content = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
        (folder / "pair.yaml").write_text(json.dumps(content))
        place.sweep_file("two", TWO)
        paths = (f"paths.results={place.results}", f"paths.reports={place.reports}", f"paths.cache={place.cache}")
        return called(
            spike_ssm.harness.study.main,
            [name, "--config-dir", str(place.folder / "config"), *paths, "estimate=false", *words],
        )

    return call


def test_one_command_tunes_runs_evaluates_and_reports(study: Any, place: Any) -> None:
    outcome = study()
    assert (outcome.status, outcome.err) == (0, [])
    assert outcome.out[:2] == ["Two neurons. Asked:", "  Is one better?"]
    pages = [Path(line) for line in outcome.out if line.endswith(".html")]
    assert [page.name for page in pages] == ["two.html", "robustness_two.html"]
    assert "Tuning" in pages[0].read_text()
    tuning = read_manifest(place.results, "two").tuning
    assert tuning is not None
    assert (tuning.budget, set(tuning.chosen["listops"])) == (1, {"lif_soft", "gelu"})
    assert read_manifest(place.results, "robustness_two").tuning == tuning
    assert len(place.rows()) == 2 + 2 + 2  # trials, runs, evaluations

    again = study()
    assert again.status == 0
    assert len([line for line in again.out if "2 finished earlier, 0 to run" in line]) == 3


def test_a_dry_run_says_what_would_be_run(study: Any, place: Any) -> None:
    outcome = study("dry_run=true")
    assert outcome.status == 0
    assert outcome.out[-1] == "2. Then 2 runs with the chosen settings, and their robustness."
    assert not place.results.exists()


@pytest.mark.parametrize("word", ["optim.lr=0.1", "seed=7", "task=listops", "neuron.leak=0.9", "budget=3"])
def test_what_decides_the_outcome_cannot_be_set(study: Any, place: Any, word: str) -> None:
    outcome = study(word)
    assert outcome.status == 1
    (sentence,) = outcome.err
    assert f"{word} would make it another study than the registered one; scale, launcher, paths" in sentence
    assert not place.results.exists()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"budget": 0}, "budget must be a whole number of trials from 1 on, but it is 0"),
        ({"budget": "many"}, "budget must be a whole number, but it is 'many'."),
        ({"questions": None}, "has no ['questions']; its keys are answers, budget, questions"),
        ({"seeds": [1]}, "has unknown keys ['seeds']; its keys are answers, budget"),
        ({"sweep": "three"}, "There is no sweep 'three'; choose one of"),
    ],
)
def test_a_wrong_study_file_gets_one_sentence(study: Any, place: Any, changes: dict[str, Any], part: str) -> None:
    outcome = study(**changes)
    assert outcome.status == 1
    (sentence,) = outcome.err
    assert part in sentence
    assert not place.results.exists()


def test_a_study_that_does_not_exist_is_refused_with_those_that_do(study: Any) -> None:
    (sentence,) = study(name="other").err
    assert sentence == "Error: There is no study 'other'; choose one of neurons, pair."


def test_runs_that_fail_end_the_study_before_their_robustness(
    study: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TWO["base"], "optim.lr", 1e30)
    monkeypatch.setitem(TWO, "tune", {"optim.weight_decay": {"choices": [0.1]}})
    outcome = study()
    assert outcome.status == 1
    assert len([line for line in outcome.out if "no trial of 1 finished, so it stays untuned" in line]) == 2
    assert len([line for line in outcome.err if line.startswith("Failed: listops")]) == 2
    assert outcome.out[-1] == str(place.reports / "two.html")


@pytest.mark.parametrize("scale", ["laptop", "gpu", "paper"])
@pytest.mark.parametrize("path", sorted((SWEEPS / "study").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_packaged_study_can_be_run_at_every_scale(composer: Composer, path: Path, scale: str) -> None:
    registered = Study.read(composer, path.stem)
    command = CommandLine(registered.sweep, {"scale": scale})
    search = plan(composer, CommandLine(registered.sweep, {"scale": scale}, Flags(budget=registered.budget)))
    runs = expand(composer, command, load_sweep(composer, registered.sweep, scale)).runs
    variants = {(run.settings.task.name, run.plan.variant) for run in runs}
    assert {(trial.task, trial.run.plan.variant) for trial in search.trials} == variants
    assert len(search.trials) == registered.budget * len(variants)
