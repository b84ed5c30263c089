"""The command line and the sweep files: what is understood, and one sentence for everything else."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.config import compose
from spike_ssm.harness.config.command_line import THIS_TIME, parse_command_line, words_of
from spike_ssm.harness.config.compose import GROUPS, Composer, set_value, validated
from spike_ssm.harness.config.documents import SWEEPS
from spike_ssm.harness.config.settings import SCALES
from spike_ssm.harness.sweep import main
from spike_ssm.results.errors import UserError

NEURON_KEYS = "threshold, threshold_trainable, threshold_shared"
FIELDS = "base, baseline, controls, exclude, grid, include, on_request, only_at, question, scales, seeds, title, tune"


@pytest.fixture
def refused(place: Any) -> Callable[..., str]:
    """Calls the command; returns its one sentence after making sure that there is nothing else."""

    def call(*words: str, name: str = "mini") -> str:
        outcome = place.sweep(*words, name=name)
        assert outcome.status == 1
        assert outcome.out == []
        (sentence,) = outcome.err
        assert sentence.startswith("Error: ")
        assert sentence.endswith((".", "?"))
        assert not place.results.exists(), "nothing may be begun"
        return sentence

    return call


# --- what is understood


def test_words_are_a_sweep_and_values_with_the_types_people_mean() -> None:
    command = parse_command_line(
        ["+sweep=x", "optim.lr=1e-3", "optim.epochs=3", "retry=true", "paths.cache=null", "paths.results='a b'"]
    )
    assert command.sweep == "x"
    assert command.flags.retry
    assert command.overrides == {
        "optim.lr": 1e-3,
        "optim.epochs": 3,
        "paths.cache": None,
        "paths.results": "a b",
    }


@pytest.mark.parametrize("word", ["seed=0,1", "seed=[0,1]", "seed=choice(0,1)"])
def test_several_values_can_be_given_as_a_list(word: str) -> None:
    assert parse_command_line([word]).overrides == {"seed": [0, 1]}


def test_of_two_values_for_one_key_the_last_wins() -> None:
    assert parse_command_line(["seed=0", "seed=1"]).overrides == {"seed": 1}


@pytest.mark.parametrize(
    "word",
    [
        *(f"{flag}=true" for flag in THIS_TIME if flag not in ("show", "max_hours")),
        *("show=config", "max_hours=0.5", "of=x", "tuned=true"),
    ],
)
def test_what_is_asked_of_the_command_is_no_setting_of_a_run(word: str) -> None:
    command = parse_command_line([word])
    assert (command.overrides, command.given) == ({}, (word.split("=")[0],))


@pytest.mark.parametrize("flag", ["wait", "dry_run", "retry", "collect", "estimate"])
def test_a_flag_that_is_neither_true_nor_false_is_refused(flag: str) -> None:
    with pytest.raises(UserError, match=f"{flag}=maybe is not allowed: it must be true or false"):
        parse_command_line([f"{flag}=maybe"])


@pytest.mark.parametrize("hours", ["0", "-1", "soon", "true", "inf", "nan"])
def test_a_budget_that_is_no_number_of_hours_is_refused(hours: str) -> None:
    with pytest.raises(UserError, match=r"must be a number of hours above 0, such as 0\.5"):
        parse_command_line([f"max_hours={hours}"])


def test_a_budget_without_an_estimate_is_refused() -> None:
    with pytest.raises(UserError, match="max_hours needs the estimate, which estimate=false leaves out"):
        parse_command_line(["max_hours=1", "estimate=false"])


def test_a_repetition_leaves_out_what_was_asked_for_once() -> None:
    command = parse_command_line(["+sweep=x", "seed=0", "retry=true", "wait=false", "of=y", "robustness.length=[2]"])
    assert command.lasting() == ["+sweep=x", "seed=0", "of=y", "robustness.length=[2]"]
    assert command.lasting("+sweep", "of", "robustness") == ["seed=0"]


def test_a_sweep_may_be_named_without_the_plus() -> None:
    assert parse_command_line(["sweep=x"]) == parse_command_line(["+sweep=x"])


def test_a_value_beats_the_files_of_the_groups_wherever_it_stands(composer: Composer) -> None:
    for overrides in ({"optim.epochs": 7, "scale": "gpu"}, {"scale": "gpu", "optim.epochs": 7}):
        assert composer.settings(overrides).optim.epochs == 7
    assert composer.settings({"scale": "gpu"}).optim.epochs == 15, "a value set once is not kept for other runs"


def test_a_whole_number_is_fine_where_a_fraction_may_stand(composer: Composer) -> None:
    lr = composer.settings({"optim.lr": 1}).optim.lr
    assert (lr, type(lr)) == (1.0, float)


@pytest.mark.parametrize(
    "folder", ["plain", "with space, comma", "with=signs (1) [2] {3}", "with ' quote", 'with " quotes']
)
def test_a_users_folder_may_add_group_files_whatever_the_folder_is_called(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder / "optim").mkdir(parents=True)
    (tmp_path / folder / "optim" / "slow.yaml").write_text("lr: 0.0001\n")
    composer = Composer(tmp_path / folder)
    assert composer.options("optim") == ["adamw", "slow"]
    assert composer.settings({"optim": "slow"}).optim.lr == 0.0001
    assert composer.settings({}).optim.lr == 0.01


LACKING = [
    (task, scale)
    for task in compose.TASK_SETTINGS
    for scale in SCALES
    if not (SWEEPS / "setup" / scale / f"{task}.yaml").exists()
]
"""Packaged tasks and measurements, and scales that they do not have."""


@pytest.mark.parametrize(("task", "scale"), LACKING, ids=[f"{task} at {scale}" for task, scale in LACKING])
def test_a_task_without_a_setup_at_the_scale_is_refused_with_the_scales_that_it_has(
    composer: Composer, task: str, scale: str
) -> None:
    has = ", ".join(each for each in SCALES if (task, each) not in LACKING)
    sentence = f"task={task} has no setup at scale={scale}; it has them at {has}. Choose one of these, or write setup/"
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}{scale}/{task}.yaml in a folder of yours"):
        composer.settings({"task": task, "scale": scale})


def test_a_sweep_with_a_task_without_a_setup_at_the_scale_is_one_sentence(refused: Callable[..., str]) -> None:
    assert "task=delayed_recall has no setup at scale=gpu; it has them" in refused("task=delayed_recall", "scale=gpu")


def test_a_setup_of_the_users_gives_a_packaged_task_another_scale_and_changes_nothing_for_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "setup" / "gpu").mkdir(parents=True)
    content = "# @package _global_\nmodel: {layers: 3, bidirectional: false, pooling: last}\n"
    (tmp_path / "setup" / "gpu" / "delayed_recall.yaml").write_text(content)
    choices = {"task": "delayed_recall", "scale": "gpu"}
    assert Composer(tmp_path).settings(choices).model.layers == 3
    with pytest.raises(UserError, match="has no setup at scale=gpu"):
        Composer().settings(choices)


def test_the_packaged_sweeps_stay_there_beside_a_users_folder(place: Any) -> None:
    composer = Composer(place.folder / "config")
    assert {"ablation_refractory", "mini"} <= set(composer.options("sweep"))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" ")).filter(lambda text: "${" not in text),
)
KEYS = st.sampled_from(["neuron.leak", "launcher.account", "seed"])


@given(values=st.dictionaries(KEYS, VALUES | st.lists(VALUES, min_size=1), min_size=1))
def test_values_are_read_from_the_words_that_are_written_of_them(values: dict[str, Any]) -> None:
    read = parse_command_line(words_of(values)).overrides
    assert read == values
    assert repr(read) == repr(values), "with their types"


@given(name=st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1))
def test_a_folder_is_named_as_it_is_unless_it_begins_with_a_quote(name: str) -> None:
    assert parse_command_line(words_of({"paths.results": name})).overrides == {"paths.results": name}
    if name[0] not in "'\"" and name.lower() not in ("null", "true", "false", "none"):
        assert parse_command_line([f"paths.results={name}"]).overrides == {"paths.results": name}


CHANGES: dict[str, dict[str, Any]] = {
    "none": {},
    "numbers and switches": {"neuron.leak": 0.25, "optim.epochs": 3, "model.prenorm": True, "optim.lr": 1},
    "texts for numbers": {"neuron.leak": "0.25", "seed": "3"},
    "a task": {"task": "speed", "task.length": 64, "neuron.solver": "pmbc", "neuron.max_iterations": 3},
    "lists": {"robustness": "standard", "robustness.weight_bits": [8, 4], "robustness.length": []},
    "below a mapping": {"scale": "gpu", "launcher": "slurm", "launcher.resources.gpu.memory_gb": 3},
    "an open mapping": {"launcher.extra.nice": "5", "launcher.extra": {"exclude": "n7"}, "launcher.extra.hold": "y"},
    "references": {"protocol": "pspikessm", "scale": "paper", "optim.lr": 0.5},
    "what refers": {"protocol": "pspikessm", "scale": "paper", "optim.dt_lr": 0.5, "neuron.leak": 0.25},
    "a neuron that refers to its task, which stays": {"neuron": "psn", "model.layers": 2},
    "a neuron that refers to its task": {"neuron": "psn", "task.max_length": 77},
}


@pytest.mark.parametrize("changes", list(CHANGES.values()), ids=list(CHANGES))
def test_settings_are_those_of_a_configuration_on_which_every_value_is_set(
    composer: Composer, changes: dict[str, Any]
) -> None:
    composition = composer._compose({key: value for key, value in changes.items() if key in GROUPS})
    config = pickle.loads(composition._content)
    for key, value in {**composition._resources, **changes}.items():
        if key not in GROUPS:
            set_value(config, key, value)
    assert composer.settings(changes) == validated(config)


def test_a_value_is_checked_once_however_many_runs_have_it(monkeypatch: pytest.MonkeyPatch, composer: Composer) -> None:
    checked = []

    def counted(config: Any, key: str, value: Any) -> None:
        checked.append((key, value))
        set_value(config, key, value)

    monkeypatch.setattr(compose, "set_value", counted)
    monkeypatch.setattr(compose, "validated", lambda _: pytest.fail("composed again"))
    leaks, decays = ([(0.01 + number) / 25 for number in range(20)] for _ in range(2))
    found = {
        composer.settings({"neuron.leak": leak, "neuron.decay": decay}).run_id() for leak in leaks for decay in decays
    }
    assert len(found) == 400
    assert len(checked) <= 40


# --- what is refused on the command line

BAD_WORDS = {
    "unknown key": ("neuron.bogus=1", "neuron.bogus is not a setting", NEURON_KEYS),
    "unknown group": ("nerve.leak=1", "nerve.leak is not a setting; did you mean neuron.leak?"),
    "too deep a key": ("neuron.leak.x=1", "neuron.leak.x is not a setting", "no settings below it"),
    "plus": ("+neuron.bogus=1", "+neuron.bogus=1", "changed but not added", "Write neuron.bogus=VALUE"),
    "two pluses": ("++neuron.leak=0.9", "++neuron.leak=0.9", "changed but not added", "Write neuron.leak=VALUE"),
    "tilde": ("~neuron.leak", "~neuron.leak", "not added or removed"),
    "-m": ("-m", "The option -m is not known", "leave -m out", "+sweep=NAME"),
    "--multirun": ("--multirun", "The option --multirun is not known"),
    "text for a number": ("neuron.leak=high", "neuron.leak=high is not allowed: it must be a number"),
    "fraction for a count": ("optim.epochs=1.5", "optim.epochs=1.5 is not allowed: it must be a whole number"),
    "number for a switch": ("model.prenorm=maybe", "model.prenorm=maybe is not allowed: it must be true or false"),
    "nothing for a number": ("optim.lr=", "optim.lr= is not allowed: it must be a number"),
    "null where a value is needed": ("optim.lr=null", "optim.lr=null is not allowed: it must have a value"),
    "mapping for a number": ("neuron.leak={a:1}", "neuron.leak", "it must be a number"),
    "leak 0": ("neuron.leak=0", "leak must be in (0, 1), but it is 0.0"),
    "leak 1": ("neuron.leak=1", "leak must be in (0, 1), but it is 1.0"),
    "leak nan": ("neuron.leak=nan", "leak must be in (0, 1), but it is nan"),
    "refractory below 0": ("neuron.refractory=-0.1", "refractory must be >= 0, but it is -0.1"),
    "decay 1": ("neuron.decay=1", "decay must be in [0, 1), but it is 1.0"),
    "threshold 0": ("neuron.threshold=0", "threshold must be > 0 and at least 1e-30, but it is 0.0"),
    "threshold infinite": ("neuron.threshold=inf", "threshold must be > 0 and at least 1e-30, but it is inf"),
    "trainable refractory from 0": ("neuron.refractory=0", "must start above 0", "refractory_trainable=false"),
    "learning rate below 0": ("optim.lr=-1", "lr must be a number of at least 0, but it is -1.0"),
    "learning rate nan": ("optim.lr=nan", "lr must be a number of at least 0, but it is nan"),
    "learning rate infinite": ("optim.lr=inf", "lr must be a number of at least 0, but it is inf"),
    "no epochs": ("optim.epochs=0", "epochs must be a number of at least 1, but it is 0"),
    "longer warm-up than training": ("optim.warmup_epochs=2", "warmup_epochs (2.0) must not exceed epochs (1)"),
    "no channels": ("model.channels=0", "channels must be at least 1"),
    "no examples": ("task.train=0", "task.train=0 is not allowed", "from 1 to"),
    "no room between the lengths": ("task.min_length=12", "task.max_length=12 is not allowed", "at least 14"),
    "no workers": ("launcher.workers=0", "workers must be a number of at least 1, but it is 0"),
    "unknown solver": ("neuron.solver=magic", "solver 'magic' does not exist", "auto, sequential, pmbc, fused"),
    "unknown surrogate": ("neuron.surrogate=x", "surrogate 'x' does not exist", "piecewise_quadratic, arctan, sigmoid"),
    "unknown norm": ("model.norm=group", "norm 'group' does not exist", "batch, layer"),
    "unknown launcher": ("launcher=cloud", "launcher=cloud does not exist", "auto, debug, local, slurm"),
    "unknown launcher kind": ("launcher.kind=cloud", "launcher 'cloud' does not exist", "auto, local, slurm, debug"),
    "unknown task": ("task=chess", "task=chess does not exist", "listops"),
    "unknown neuron": ("neuron=squid", "neuron=squid does not exist", "refractory_lif"),
    "unknown scale": ("scale=huge", "scale=huge does not exist", "gpu, laptop, paper"),
    "unknown device": ("device=tpu", "device 'tpu' does not exist", "auto, cpu, cuda"),
    "unknown thing to show": ("show=all", "show 'all' does not exist", "config"),
    "value for a group": ("optim=3", "optim=3 does not exist", "adamw"),
    "mapping for a group": ("optim={lr:3}", "optim=", "does not exist", "adamw"),
    "value for a group that has no files": ("paths=here", "paths is a group of settings", "paths.results"),
    "group put elsewhere": ("task@model=listops", "places a group elsewhere", "Leave out the part from @ on"),
    "name of a group": ("neuron.name=x", "neuron.name cannot be set", "neuron=NAME"),
    "list where one value goes": ("optim.lr=0.1,0.2", "optim.lr is not an axis", "neuron.leak, seed", "one value"),
    "two scales": ("scale=gpu,paper", "scale is not an axis", "one value"),
    "Hydra's ranges": ("seed=range(0,3)", "seed=range(0,3)", "seed=A,B"),
    "no equals sign": ("fast", "'fast' is no key=value", "+sweep=fast", "fast=VALUE"),
    "open quote": ("paths.results='x", "cannot be read: a quote is not closed"),
    "no key": ("=3", "'=3' names no setting", "key=value"),
    "Hydra's own settings": ("hydra.run.dir=x", "hydra.run.dir is not known", "paths.results=FOLDER"),
    "text as seed": ("seed=a", "seeds of sweep 'mini' must be whole numbers from 0 on", "['a']"),
    "seed below 0": ("seed=-1", "must be whole numbers from 0 on", "[-1]"),
    "no seeds": ("seed=[]", "must be whole numbers from 0 on"),
    "a second sweep": ("+sweep=lra", "+sweep=mini and +sweep=lra name two sweeps", "one after the other"),
    "the environment": ("launcher.account=${oc.env:HOME}", "cannot refer to others or to the environment"),
    "a line's end": ("launcher.account='a\nb'", "must be one line"),
    "no cluster": ("launcher=slurm", "lacks SLURM's sbatch or srun", "Use launcher=local"),
}


@pytest.mark.parametrize(("word", "fragments"), [(w, f) for w, *f in BAD_WORDS.values()], ids=list(BAD_WORDS))
def test_a_word_that_makes_no_sense_is_one_sentence_with_what_is_allowed(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str, fragments: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no sbatch, wherever these tests run
    sentence = refused(word)
    assert [fragment for fragment in fragments if fragment not in sentence] == []


def test_a_sweep_that_does_not_exist_is_one_sentence_with_those_that_do(refused: Callable[..., str]) -> None:
    sentence = refused(name="nope")
    assert "There is no sweep 'nope'" in sentence
    assert "memory, mini" in sentence


def test_a_label_that_is_not_on_a_labelled_axis_is_one_sentence_with_the_labels(refused: Callable[..., str]) -> None:
    sentence = refused("refractory=often", name="ablation_refractory")
    assert "refractory=often is not on this sweep's axis" in sentence
    assert "none, fixed, trainable, trainable_decay, control_decay0, control_reset, control_reset_trainable" in sentence


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["seed=0"], ["Name a sweep with +sweep=NAME", "ablation_refractory"]),
        (["+sweep=mini", "--config-dir", "/nowhere"], ["--config-dir /nowhere is not a folder", "sweep/NAME.yaml"]),
    ],
    ids=["no sweep named", "no such folder"],
)
def test_a_call_that_lacks_its_sweep_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], fragments: list[str]
) -> None:
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert [fragment for fragment in fragments if fragment not in err] == []


# --- what is refused in a sweep file

CONTROLS = {
    "of": "forgetting", "axis": "neuron.leak", "reference": "0.9", "effects": ["0.5"], "controls": [], "rates": ["0.9"]
}  # fmt: skip

BAD_FILES: dict[str, tuple[str | dict[str, Any], list[str]]] = {
    "empty axis": ({"grid": {"neuron.leak": []}}, ["the axis 'neuron.leak' is empty", "a list of values"]),
    "axis without values": ({"grid": {"neuron.leak": 0.5}}, ["neuron.leak", "a list of values"]),
    "no axis": ({"grid": {}}, ["`grid` must map at least one axis"]),
    "grid is a list": ({"grid": ["neuron.leak"]}, ["grid must map at least one axis"]),
    "misspelt axis": ({"grid": {"neuron.leek": [0.5]}}, ["neuron.leek is not a setting; did you mean neuron.leak?"]),
    "misspelt setting of a label": (
        {"grid": {"size": {"s": {"model.chanels": 8}}}},
        ["model.chanels is not a setting; did you mean model.channels?"],
    ),
    "label without settings": ({"grid": {"size": {"s": None}}}, ["size.s must map settings to values"]),
    "scale as an axis": ({"grid": {"scale": ["laptop"]}}, ["a sweep has one scale", "scale=gpu"]),
    "seed as an axis": ({"grid": {"seed": [0, 1]}}, ["seeds are not an axis", "seeds: [0, 1, 2]"]),
    "value out of range": ({"grid": {"neuron.leak": [0.5, 2]}}, ["leak must be in (0, 1)", "2.0"]),
    "misspelt top-level key": ({"sede": [0]}, ["unknown keys ['sede']", FIELDS]),
    "no title": ({"title": None}, ["no ['title']", FIELDS]),
    "baseline not on the axis": ({"baseline": {"neuron.leak": 0.7}}, ["baseline's neuron.leak=0.7 is not on the axis"]),
    "baseline of no axis": (
        {"baseline": {"neuron.leek": 0.5}},
        ["baseline's ['neuron.leek'] are not axes", "neuron.leak"],
    ),
    "baseline is a word": ({"baseline": "none"}, ["baseline must map axes to labels", "'none'"]),
    "baseline leaves an axis out": (
        {"grid": {"neuron.leak": [0.5], "neuron.decay": [0.1, 0.2]}, "baseline": {"neuron.leak": 0.5}},
        ["the baseline must name every axis: neuron.leak, neuron.decay"],
    ),
    "seeds are words": ({"seeds": ["a"]}, ["seeds must be a list of whole numbers from 0 on", "['a']"]),
    "seeds are fractions": ({"seeds": [0.5]}, ["seeds must be a list of whole numbers from 0 on"]),
    "seeds are negative": ({"seeds": [-1]}, ["must be whole numbers from 0 on", "[-1]"]),
    "no seeds": ({"seeds": []}, ["must be whole numbers from 0 on"]),
    "seeds is a number": ({"seeds": 3}, ["seeds must be a list of whole numbers", "3"]),
    "exclusion of no axis": ({"exclude": [{"leak": 0.5}]}, ["['leak'] are not all axes", "neuron.leak"]),
    "exclusion of no label": ({"exclude": [{"neuron.leak": 0.7}]}, ["neuron.leak=0.7 is not on the axis", "0.5, 0.9"]),
    "exclusion is a mapping": ({"exclude": {"neuron.leak": 0.5}}, ["exclude must be a list of points"]),
    "everything excluded": ({"exclude": [{"neuron.leak": 0.5}, {"neuron.leak": 0.9}]}, ["Nothing is left of sweep"]),
    "inclusion of no label": ({"include": [{"neuron.leak": 0.7}]}, ["neuron.leak=0.7 is not on the axis"]),
    "inclusion leaves an axis out": (
        {"grid": {"neuron.leak": [0.5], "neuron.decay": [0.1]}, "include": [{"neuron.leak": 0.5}]},
        ["an include must name every axis: neuron.leak, neuron.decay"],
    ),
    "controls of half a sweep": (
        {"controls": {"of": "leaks", "axis": "neuron.leak"}},
        ["controls has no ['controls', 'effects', 'rates', 'reference']", "keys are axis, controls, effects, of"],
    ),
    "controls of no axis": (
        {"controls": {**CONTROLS, "axis": "neuron.leek"}},
        ["controls.axis 'neuron.leek' is not an axis; the axes are neuron.leak."],
    ),
    "controls of no label": (
        {"controls": {**CONTROLS, "controls": ["0.7"]}},
        ["controls.controls: 0.7 is not on the axis 'neuron.leak'; it has 0.5, 0.9."],
    ),
    "controls without an effect": ({"controls": {**CONTROLS, "effects": []}}, ["must name at least one effect"]),
    "controls whose curve leaves the reference out": (
        {"controls": {**CONTROLS, "rates": ["0.5"]}},
        ["its rates must hold the reference"],
    ),
    "base is a list": ({"base": ["neuron"]}, ["base must map settings to values"]),
    "misspelt setting of the base": ({"base": {"optim.rate": 1}}, ["optim.rate is not a setting", "lr, ssm_lr"]),
    "unknown scale": ({"scales": {"huge": {"seeds": [1]}}}, ["scales are laptop, workstation, gpu, paper, not huge"]),
    "for an unknown scale": ({"only_at": ["huge"]}, ["scales are laptop, workstation, gpu, paper, not huge"]),
    "for another scale": (
        {"only_at": ["gpu", "paper"]},
        ["The sweep 'bad' is not for scale=laptop: add scale=gpu or scale=paper."],
    ),
    "unknown key of a scale": (
        {"scales": {"laptop": {"sede": [1]}}},
        ["scales.laptop has unknown keys ['sede']; its keys are exclude, grid, include, on_request, seeds"],
    ),
    "unknown task": ({"grid": {"task": ["chess"]}}, ["task=chess does not exist", "listops"]),
    "invalid YAML": ("grid: {neuron.leak: [0.5\n", ["bad.yaml cannot be read", "line 2"]),
    "a list": ("- 1\n", ["must hold keys and values"]),
    "an empty file": ("", ["no ['grid', 'question', 'seeds', 'title']", FIELDS]),
    "the environment in a title": (
        "title: ${oc.env:HOME}\nquestion: Q?\nseeds: [0]\ngrid: {neuron.leak: [0.5]}\n",
        ["'${oc.env:HOME}' refers to something other than a key of its own", "write the value out"],
    ),
    "the environment by another way": ("title: a\nnew: ${${title}:x}\n", ["'${${title}:x}' refers to something other"]),
    "a setting that refers to the environment later": (
        {"base": {"launcher.account": "\\${oc.env:HOME}"}},
        ["refers to something other than a key of its own"],
    ),
    "an interpolation of nothing": (
        "title: ${nothing}\n",
        ["cannot be read", "refers to ${nothing}, which is no setting"],
    ),
}


@pytest.mark.parametrize(("content", "fragments"), list(BAD_FILES.values()), ids=list(BAD_FILES))
def test_a_sweep_file_that_makes_no_sense_is_one_sentence_with_what_is_allowed(
    place: Any, refused: Callable[..., str], content: str | dict[str, Any], fragments: list[str]
) -> None:
    if isinstance(content, str):
        place.sweep_file("bad", content)
    else:
        place.sweep_file("bad", **content)
    sentence = refused(name="bad")
    assert [fragment for fragment in fragments if fragment not in sentence] == []


@pytest.mark.parametrize("key", ["base", "exclude", "include", "baseline", "scales", "tune", "controls", "only_at"])
def test_a_key_of_a_sweep_file_may_be_left_empty(place: Any, key: str) -> None:
    place.sweep_file("sparse", f"title: T\nquestion: Q?\nseeds: [0]\ngrid: {{neuron.leak: [0.5]}}\n{key}:\n")
    assert place.sweep("dry_run=true", "launcher=debug", name="sparse").status == 0


# --- folders


def test_a_results_folder_that_cannot_be_written_to_is_one_sentence(place: Any, refused: Callable[..., str]) -> None:
    (place.folder / "file").touch()
    sentence = refused(f"paths.results={place.folder}/file/runs")
    assert f"The results folder {place.folder}/file/runs cannot be written to" in sentence
    assert "paths.results=FOLDER" in sentence


def test_the_typed_settings_of_one_run_refuse_an_unknown_key_too(composer: Composer) -> None:
    with pytest.raises(UserError, match=r"optim\.rate is not a setting; optim has lr, ssm_lr"):
        composer.settings({"optim.rate": 1})


def test_a_measurement_has_settings_of_its_own(composer: Composer) -> None:
    assert composer.settings({"task": "speed", "task.rounds": 2}).task.rounds == 2
    with pytest.raises(UserError, match=r"task\.train is not a setting; task has name, batch, length"):
        composer.settings({"task": "speed", "task.train": 10})
