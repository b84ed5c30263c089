"""A study's runs are registered before they run; what was changed since, and runs of other code, are named."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness.commands.registration import Planned, Registration
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.documents import SWEEPS
from spike_ssm.harness.plan.study_file import Study
from spike_ssm.harness.system.provenance import code_version, sources
from spike_ssm.results.reading import read_run, run_path
from spike_ssm.results.store import read_manifest, write_run
from tests.harness.conftest import TWO

PLAIN: dict[str, Any] = {"budget": None, "robustness": None}
"""Changes of the study `pair` to one that runs `two` and no more."""

LABELS = ["listops · lif_soft · seed 0", "listops · gelu · seed 0"]


def content_of(place: Any) -> dict[str, Any]:
    """What is registered of the study `pair`."""
    content: dict[str, Any] = json.loads((place.folder / "config" / "study" / "registered" / "pair.json").read_text())
    return content


def test_a_registration_lists_the_runs_before_they_run(study: Any, place: Any) -> None:
    outcome = study("register=true", **PLAIN)
    assert (outcome.status, outcome.err) == (0, [])
    assert outcome.out[0] == "two: 2 runs to register."
    assert not place.results.exists()
    (registered,) = content_of(place).values()
    assert list(registered["runs"].values()) == LABELS
    assert (registered["scale"], registered["count"], registered["core_hours"]) == ("laptop", 2, None)
    assert len(registered["date"]) == len("2026-11-30")

    assert study(**PLAIN).status == 0
    assert place.rows().keys() == registered["runs"].keys()


def test_a_registration_says_what_the_runs_are_expected_to_cost(study: Any, place: Any) -> None:
    assert study("register=true", "estimate=true", **PLAIN).status == 0
    assert 0 <= content_of(place)["two"]["core_hours"] < 1


def test_of_a_tuned_study_the_trials_are_registered_too(study: Any, place: Any) -> None:
    assert study("register=true").status == 0
    trials = [f"{label.replace('seed 0', 'seed 1000')} · trial 0" for label in LABELS]
    assert list(content_of(place)["two"]["runs"].values()) == [*trials, *LABELS]
    assert study().status == 0


def test_what_would_be_registered_can_be_looked_at(study: Any, place: Any) -> None:
    outcome = study("register=true", "dry_run=true", **PLAIN)
    assert (outcome.status, outcome.out) == (0, ["two: 2 runs to register."])
    assert not (place.folder / "config" / "study" / "registered").exists()


def test_without_registration_a_study_runs_as_its_files_are(
    study: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert study("register=false", **PLAIN).status == 0
    monkeypatch.setitem(TWO, "seeds", [1])
    assert study(**PLAIN).status == 0
    assert len(place.rows()) == 4
    assert not (place.folder / "config" / "study" / "registered").exists()


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "two more seeds": (
        {"seeds": [0, 1, 2]},
        "6 now: 4 are new (listops · lif_soft · seed 1, listops · lif_soft · seed 2, listops · gelu · seed 1, ...)",
    ),
    "a variant less": (
        {"grid": {"task": ["listops"], "neuron": ["gelu"]}},
        f"1 now: 1 is missing ({LABELS[0]})",
    ),
    "a setting": ({"base": {**TWO["base"], "optim.lr": 0.5}}, f"2 now: 2 are others ({', '.join(LABELS)})"),
    "a label": (
        {"grid": {"task": ["listops"], "neuron": {"lif": {"neuron": "lif_soft"}, "gelu": {"neuron": "gelu"}}}},
        f"2 now: 1 is missing ({LABELS[0]}); 1 is new (listops · lif · seed 0)",
    ),
}
"""A change of the sweep file -> how it is said."""


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("word", ["dry_run=false", "dry_run=true", "register=true"])
def test_a_sweep_that_was_changed_since_is_refused_with_the_difference(
    study: Any, place: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str, word: str
) -> None:
    study("register=true", **PLAIN)
    before = content_of(place)
    for key, value in change.items():
        monkeypatch.setitem(TWO, key, value)
    outcome = study(word, **PLAIN)
    assert outcome.status == 1
    assert outcome.err == [
        f"Error: The study pair was registered with 2 runs of two, which has {said}; put sweep/two.yaml and what it "
        "uses back, or register another study under another name."
    ]
    assert content_of(place) == before
    assert not place.results.exists()


def test_a_default_of_a_neuron_that_was_changed_since_is_refused(
    study: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    neuron = place.folder / "config" / "neuron" / "mine.yaml"
    neuron.parent.mkdir(parents=True)
    neuron.write_text("defaults: [lif_soft_settings]\nleak: 0.5\n")
    monkeypatch.setitem(TWO, "grid", {"task": ["listops"], "neuron": ["mine", "gelu"]})
    study("register=true", **PLAIN)
    assert study("dry_run=true", **PLAIN).status == 0
    neuron.write_text("defaults: [lif_soft_settings]\nleak: 0.6\n")
    (sentence,) = study("dry_run=true", **PLAIN).err
    assert "2 now: 1 is another (listops · mine · seed 0); put" in sentence


def test_a_registered_sweep_that_is_gone_is_refused(study: Any, place: Any) -> None:
    both = {**PLAIN, "sweeps": ["two", "three"], "choice": "The better one."}
    place.sweep_file("three", {**TWO, "seeds": [1]})
    study("register=true", **both)
    (place.folder / "config" / "sweep" / "three.yaml").unlink()
    (sentence,) = study(**both).err
    assert "registered with 2 runs of three, which has 0 now: 2 are missing" in sentence


def test_registering_again_adds_what_was_written_since_and_leaves_the_rest_as_it_is(study: Any, place: Any) -> None:
    both = {**PLAIN, "sweeps": ["two", "three"], "choice": "The better one."}
    first = study("register=true", **both)
    assert first.status == 0
    assert first.out[-1] == "three is still to be written, as sweep/three.yaml and by this rule: The better one."
    path = place.folder / "config" / "study" / "registered" / "pair.json"
    earlier = {"two": {**content_of(place)["two"], "date": "2020-02-02", "core_hours": 7.5}}
    path.write_text(json.dumps(earlier))

    place.sweep_file("three", {**TWO, "seeds": [1]})
    (sentence,) = study(**both).err
    assert "its sweep three is not: register its 2 runs before they run" in sentence
    assert study("register=true", **both).out[0] == "three: 2 runs to register."
    assert list(content_of(place)) == ["two", "three"]
    assert content_of(place)["two"] == earlier["two"]

    before = path.read_bytes()
    again = study("register=true", **both)
    assert (again.status, again.out) == (0, ["Nothing is left to register: two, three stay as they were registered."])
    assert path.read_bytes() == before


def test_a_study_with_a_scale_runs_nothing_that_is_not_registered(study: Any, place: Any) -> None:
    refused = study(scale="laptop", **PLAIN)
    folder = place.folder / "config"
    assert refused.err == [
        "Error: The study pair is one that is registered, and its sweep two is not: register its 2 runs before they "
        f"run, python -m harness.study pair --config-dir {folder} register=true."
    ]
    assert study("register=true", scale="laptop", **PLAIN).status == 0
    assert study(scale="laptop", **PLAIN).status == 0
    assert len(place.rows()) == 2


@pytest.mark.parametrize("changes", [{"scale": "laptop"}, {}], ids=["by its file", "by its registration"])
def test_a_registered_study_has_one_scale(study: Any, changes: dict[str, Any]) -> None:
    study("register=true", **PLAIN, **changes)
    (sentence,) = study("scale=gpu", **PLAIN, **changes).err
    assert sentence.startswith("Error: scale=gpu would make it another study: pair is registered for scale=laptop")
    assert study("scale=laptop", "dry_run=true", **PLAIN, **changes).status == 0


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "pair.json cannot be read ("),
        ("[]", "pair.json cannot be read ("),
        ('{"two": {}}', "pair.json: two has no ['count', 'date', 'runs', 'scale']; its keys are core_hours"),
        (
            '{"two": {"scale": "laptop", "date": "2026-11-30", "count": 3, "runs": {"abc": "x"}}}',
            "pair.json says 3 runs of two and lists 1: put the file back as it was.",
        ),
    ],
)
def test_a_damaged_registration_gets_one_sentence(study: Any, place: Any, content: str, part: str) -> None:
    study("register=true", **PLAIN)
    (place.folder / "config" / "study" / "registered" / "pair.json").write_text(content)
    outcome = study(**PLAIN)
    assert outcome.status == 1
    (sentence,) = outcome.err
    assert part in sentence
    assert not place.results.exists()


def test_a_registration_is_no_study(study: Any) -> None:
    study("register=true", **PLAIN)
    (sentence,) = study(name="other").err
    assert "choose one of neurons, pair, refractoriness." in sentence


def computed_by(place: Any, run_id: str, **changes: str) -> None:
    """Store the run's result as if other code had computed it, a year later."""
    row = read_run(run_path(place.results, run_id))
    environment = {key: value for key, value in json.loads(row["environment"]).items() if key != "sources"}
    environment |= {key: value for key, value in changes.items() if key == "sources"}
    run_path(place.results, run_id).unlink()
    row |= {"environment": json.dumps(environment), "started_at": "2099-01-01T00:00:00+00:00"}
    write_run(place.results, {**row, **{key: value for key, value in changes.items() if key != "sources"}})


def test_a_run_of_other_code_is_named_and_computed_again_once_it_is_moved_away(study: Any, place: Any) -> None:
    study("register=true", **PLAIN)
    assert study(**PLAIN).err == []
    first, other = (run.id for run in read_manifest(place.results, "two").runs)
    computed_by(place, other, sources="0123456789ab", code_version="abcdef")

    before, after = study(**PLAIN).err
    assert before == after
    named = "1 of 2 finished runs of two were computed by other code (abcdef, sources 0123456789ab) than the first ("
    assert before.startswith(f"{named}{code_version()}, sources {sources()}): they do not count")
    place_aside = place.results / "other_code"
    subprocess.run(before.rpartition("away: ")[2], shell=True, check=True)
    assert [path.stem for path in place_aside.iterdir()] == [other]
    assert place.rows().keys() == {first}

    assert study(**PLAIN).err == []
    assert place.rows().keys() == {first, other}


def test_runs_without_sources_are_compared_by_their_commit(study: Any, place: Any) -> None:
    study("register=true", **PLAIN)
    study(**PLAIN)
    other = read_manifest(place.results, "two").runs[1].id
    computed_by(place, other)
    assert study(**PLAIN).err == []
    computed_by(place, other, code_version="abcdef")
    assert "computed by other code (abcdef) than the first" in study(**PLAIN).err[0]


def test_code_that_goes_on_with_the_runs_of_another_is_warned_of(
    study: Any, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study("register=true", **PLAIN)
    study(**PLAIN)
    first, other = (run.id for run in read_manifest(place.results, "two").runs)
    run_path(place.results, other).unlink()
    computed_by(place, first, code_version="abcdef")
    warnings = study("dry_run=true", **PLAIN).err
    assert warnings == [
        f"The first run of two was computed by abcdef, and this code is {code_version()}, sources {sources()}: what is "
        "run now counts as other code, so go back to that code (git checkout) first."
    ]


REGISTERED = sorted((SWEEPS / "study" / "registered").glob("*.json"))


@pytest.mark.parametrize("path", REGISTERED, ids=lambda path: path.stem)
def test_every_packaged_study_is_still_what_was_registered(composer: Composer, path: Path) -> None:
    packaged = Study.read(composer, path.stem)
    registration = Registration.of(composer, path.stem, packaged)
    command = parse_command_line([f"scale={registration.scale}"])
    registration.check([Planned.of(composer, command, packaged, sweep) for sweep in registration.sweeps])


def test_a_packaged_study_is_registered_beside_a_folder_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    shutil.copy(SWEEPS / "sweep" / "study_neurons.yaml", tmp_path / "sweep" / "mine.yaml")
    composer = Composer(tmp_path)
    assert "registered" not in composer.options("study")
    study = Study.read(composer, "refractoriness")
    assert Registration.of(composer, "refractoriness", study).sweeps.keys() <= set(study.sweeps)
