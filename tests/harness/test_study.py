"""A registered study in one command: tuned, run, evaluated and reported, and not to be changed on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness.config.command_line import CommandLine, Flags
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.documents import SWEEPS
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.study_file import Study
from spike_ssm.harness.plan.sweep_file import load_sweep
from spike_ssm.harness.plan.trials import plan
from spike_ssm.results.store import read_manifest
from tests.harness.conftest import TWO


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
        ({"questions": None}, "has no ['questions']; its keys are answers, budget, choice, exclusion, questions"),
        ({"seeds": [1]}, "has unknown keys ['seeds']; its keys are answers, budget"),
        ({"sweep": "two"}, "has unknown keys ['sweep']; its keys are answers, budget"),
        ({"sweeps": "two"}, "sweeps must be a list of texts, but it is 'two'."),
        ({"sweeps": []}, "sweeps must name one sweep or more, each once, but it is []."),
        ({"sweeps": ["two", "two"]}, "sweeps must name one sweep or more, each once, but it is ['two', 'two']."),
        ({"sweeps": ["three"]}, "There is no sweep 'three'; choose one of"),
        ({"sweeps": ["three"], "choice": "The best."}, "There is no sweep 'three'; choose one of"),
        ({"sweeps": ["two", "three"]}, "There is no sweep 'three'; choose one of"),
        ({"scale": "desk"}, "scale must be one of laptop, workstation, gpu, paper, but it is 'desk'."),
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
    assert sentence == "Error: There is no study 'other'; choose one of neurons, pair, refractoriness."


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


def test_without_a_budget_nothing_is_tuned(study: Any, place: Any) -> None:
    outcome = study(budget=None, robustness=None)
    assert (outcome.status, outcome.err) == (0, [])
    assert [line.split(":")[0] for line in outcome.out if line[:2] in ("1.", "2.")] == ["1. Running"]
    assert read_manifest(place.results, "two").tuning is None
    assert len(place.rows()) == 2


def test_a_dry_run_without_a_budget_lists_the_runs(study: Any, place: Any) -> None:
    outcome = study("dry_run=true", budget=None)
    assert outcome.status == 0
    assert len([line for line in outcome.out if line.endswith("(to run)")]) == 2
    assert outcome.out[-1] == "2. Then their robustness."
    assert not place.results.exists()


def test_sweeps_run_in_their_order_also_after_one_with_runs_that_failed(study: Any, place: Any) -> None:
    place.sweep_file("broken", {**TWO, "base": {**TWO["base"], "optim.lr": 1e30}})
    outcome = study(sweeps=["broken", "two"], budget=None)
    assert outcome.status == 1
    pages = [Path(line).name for line in outcome.out if line.endswith(".html")]
    assert pages == ["broken.html", "two.html", "robustness_two.html"]


def test_a_sweep_that_is_still_to_be_written_is_named_with_its_rule(study: Any, place: Any) -> None:
    unwritten = {"sweeps": ["two", "three"], "choice": "The better one, on images.", "budget": None, "robustness": None}
    sentence = "three is still to be written, as sweep/three.yaml and by this rule: The better one, on images."

    looked = study("dry_run=true", **unwritten)
    assert (looked.status, looked.out[-1]) == (0, sentence)

    begun = study(**unwritten)
    assert (begun.status, begun.out[-1]) == (1, sentence)
    assert len(place.rows()) == 2

    place.sweep_file("three", {**TWO, "seeds": [1]})
    done = study(**unwritten)
    assert done.status == 0
    assert len(place.rows()) == 4
    assert sentence not in done.out


def scales_of(name: str) -> tuple[str, ...]:
    """Scales at which the packaged study `name` can be run."""
    own = Study.read(Composer(), name).scale
    return (own,) if own else ("laptop", "gpu", "paper")


PACKAGED = [(path.stem, scale) for path in sorted((SWEEPS / "study").glob("*.yaml")) for scale in scales_of(path.stem)]


@pytest.mark.parametrize(("name", "scale"), PACKAGED)
def test_every_packaged_study_can_be_run_at_every_scale(composer: Composer, name: str, scale: str) -> None:
    packaged = Study.read(composer, name)
    for each in (each for each in packaged.sweeps if each == packaged.sweeps[0] or each in composer.options("sweep")):
        runs = expand(composer, CommandLine(each, {"scale": scale}), load_sweep(composer, each, scale)).runs
        variants = {(run.settings.task.name, run.plan.variant) for run in runs}
        assert len(runs) >= len(variants) > 1
        if packaged.budget:
            search = plan(composer, CommandLine(each, {"scale": scale}, Flags(budget=packaged.budget)))
            assert {(trial.task, trial.run.plan.variant) for trial in search.trials} == variants
            assert len(search.trials) == packaged.budget * len(variants)
