"""A run's identity: what decides the outcome is part of it, how and where it is executed is not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer, settings_from_json, settings_to_json
from spike_ssm.harness.config.robustness import RobustnessSettings
from spike_ssm.harness.config.settings import (
    SCALES,
    LauncherSettings,
    OptimSettings,
    PathSettings,
    ScaleSettings,
    Settings,
)
from spike_ssm.harness.data.tasks.listops import ListOpsSettings
from spike_ssm.models.network import ModelSettings
from spike_ssm.models.neurons import RefractoryLIFSettings
from spike_ssm.results.errors import UserError

DECIDING = {"task": ListOpsSettings, "neuron": RefractoryLIFSettings, "model": ModelSettings, "optim": OptimSettings}
ELSEWHERE = {"launcher": LauncherSettings, "paths": PathSettings}
OTHER_WORDS: dict[str, Any] = {
    "pooling": "last",
    "surrogate": "sigmoid",
    "solver": "sequential",
    "resolve": "silent",
    "reset": "none",
    "initialisation": "inv",
    "neuron_placement": "around_ssm",
    "tested_weights": "last",
    "norm": "layer",
    "softmax_cutoffs": [100],
    "convolution": "scan",
    "kind": "debug",
    "results": "elsewhere",
    "reports": "elsewhere",
    "cache": "elsewhere",
    "partition": "fast",
    "account": "mine",
    "qos": "long",
    "constraint": "h200",
    "extra": {"exclude": "node7"},
    "resources": {"gpu": {"gpus": 2}},
}


def keys(groups: dict[str, type]) -> list[str]:
    """Every setting of `groups`, dotted; a name stands for its group and is not set by itself."""
    return [f"{group}.{each.name}" for group, kind in groups.items() for each in fields(kind) if each.name != "name"]


def other_value(key: str, value: Any) -> Any:
    """An allowed value of setting `key` that is not `value`."""
    leaf = key.rpartition(".")[2]
    if leaf in OTHER_WORDS:
        return OTHER_WORDS[leaf]
    match value:
        case bool():
            return not value
        case None:
            return 3
        case int():
            return value + 2  # the state size must stay even
        case [*places]:
            return [*places, "after_block"]
        case _:
            return value * 0.9 or 0.1


def changed(run: Settings, key: str) -> Settings:
    """`run` with another value of `key`."""
    group, leaf = key.split(".")
    part = getattr(run, group)
    return replace(run, **{group: replace(part, **{leaf: other_value(key, getattr(part, leaf))})})


@pytest.fixture
def run(tiny: Callable[..., Settings]) -> Settings:
    """Where a default allows no other value by itself, another one."""
    firing = ("optim.firing_rate_target=0.1", "optim.firing_rate_weight=2", "model.initial_firing_rate=0.2")
    return tiny("model.dropout=0.1", "neuron.decay=0.4", "launcher.gpus=1", *firing)


# --- identity


SAME_NUMBERS = ["model.convolution"]
"""Settings of how numbers are computed, which stay the same up to rounding."""


@pytest.mark.parametrize("key", sorted({*keys(DECIDING)} - {"task.released", *SAME_NUMBERS}))
def test_another_value_of_what_decides_the_outcome_is_another_run(run: Settings, key: str) -> None:
    assert changed(run, key).run_id() != run.run_id()


def test_released_data_make_another_run(run: Settings) -> None:
    """They take no other settings, so that they are compared with the defaults."""
    generated, released = (replace(run, task=ListOpsSettings(released=released)) for released in (False, True))
    assert generated.run_id() != released.run_id()


@pytest.mark.parametrize("key", [*keys(ELSEWHERE), *SAME_NUMBERS])
def test_how_and_where_a_run_is_executed_does_not_make_another_run(run: Settings, key: str) -> None:
    other = changed(run, key)
    assert other != run
    assert other.run_id() == run.run_id()


@pytest.mark.parametrize(
    "change",
    [
        *({"device": "cpu"},),
        {"keep_weights": False},
    ],
)
def test_what_is_asked_of_the_command_does_not_make_another_run(run: Settings, change: dict[str, Any]) -> None:
    assert replace(run, **change).run_id() == run.run_id()


def test_the_seed_and_the_name_of_the_scale_make_another_run_but_its_note_does_not(run: Settings) -> None:
    assert replace(run, seed=1).run_id() != run.run_id()
    assert replace(run, scale=ScaleSettings("gpu", run.scale.note)).run_id() != run.run_id()
    assert replace(run, scale=ScaleSettings(run.scale.name, "Another sentence.")).run_id() == run.run_id()


def test_corruptions_make_another_run_which_knows_the_run_that_it_evaluates(run: Settings) -> None:
    evaluating = replace(run, robustness=RobustnessSettings(weight_bits=[4]))
    other = replace(run, robustness=RobustnessSettings(weight_bits=[8]))
    assert len({run.run_id(), evaluating.run_id(), other.run_id()}) == 3
    assert evaluating.trained() == run
    assert "robustness" not in run.identity(), "runs without keep the ids that they had"


def test_a_training_that_may_end_early_is_another_run(run: Settings) -> None:
    longer = replace(run, optim=replace(run.optim, epochs=4))
    rules = (None, "at_chance@1", "at_chance@2", "diverged")
    assert len({replace(longer, stop_if=rule).run_id() for rule in rules}) == len(rules)
    assert "stop_if" not in run.identity(), "runs without keep the ids that they had"


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("stop_if=asleep@1",), "give at_chance@EPOCH, below_shortcut@EPOCH or diverged"),
        (("stop_if=at_chance@4",), "runs of task=listops have 4 epochs (optim.epochs), and the epoch must come before"),
        (("task=wikitext103", "stop_if=at_chance@1"), "knows no chance; give below_shortcut@EPOCH"),
        (("task=speed", "stop_if=diverged"), "task=speed trains no network"),
    ],
)
def test_a_rule_that_could_stop_nothing_is_refused(composer: Composer, words: tuple[str, ...], fragment: str) -> None:
    with pytest.raises(UserError, match=re.escape(fragment)):
        composer.settings(parse_command_line(["optim.epochs=4", *words]).overrides)


def test_a_setting_that_came_later_is_no_part_of_an_id_at_its_default(run: Settings) -> None:
    """So that runs from before it have the ids that they had."""
    parts = (run.model, run.optim)
    later = {each.name for part in parts for each in fields(part) if "later" in each.metadata}
    assert {"final_norm", "dropout_places", "dt_lr", "neuron_weight_decay"} <= later
    assert not later & {*run.identity()["model"], *run.identity()["optim"]}
    changed = replace(run, model=replace(run.model, final_norm=False), optim=replace(run.optim, dt_lr=0.01))
    assert changed.identity()["model"]["final_norm"] is False
    assert changed.identity()["optim"]["dt_lr"] == 0.01


def test_what_the_same_settings_give_anew_is_another_run(run: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run.run_id()
    assert "revision" not in run.identity()["task"]
    monkeypatch.setattr(type(run.task), "revision", 1)
    assert run.identity()["task"]["revision"] == 1
    assert run.run_id() != before
    monkeypatch.undo()
    monkeypatch.setattr(type(run.neuron), "revision", 2)
    assert run.identity()["neuron"]["revision"] == 2
    assert run.run_id() != before


def test_every_setting_is_known_to_these_tests() -> None:
    """A new field of `Settings` has to be sorted into one kind or the other, above."""
    single = {
        "scale",
        "seed",
        "device",
        "tracker",
        "keep_weights",
        "test",
        "stop_if",
    }
    assert {each.name for each in fields(Settings)} == {*DECIDING, *ELSEWHERE, *single, "robustness"}


def test_a_run_that_leaves_the_test_set_alone_is_another_run(tiny: Callable[..., Settings]) -> None:
    assert tiny("test=false").run_id() != tiny("test=true").run_id() == tiny().run_id()
    assert "test" not in tiny().identity(), "so that ids from before there was the setting stay"
    with pytest.raises(UserError, match="robustness is measured on the test set, which test=false leaves alone"):
        tiny("test=false", "robustness=standard")


def test_an_id_is_12_hexadecimal_digits_and_does_not_depend_on_order_or_spelling(
    tiny: Callable[..., Settings],
) -> None:
    one, other = tiny("neuron.threshold=1", "optim.lr=1e-2"), tiny("optim.lr=0.01", "neuron.threshold=1.0")
    assert one.run_id() == other.run_id()
    assert len(one.run_id()) == 12
    assert int(one.run_id(), 16) >= 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"firing_rate_weight": 1.0}, "must be set together"),
        ({"firing_rate_target": 0.1}, "must be set together"),
        ({"firing_rate_target": 1.1, "firing_rate_weight": 1.0}, r"must be in \[0, 1\] or null, but it is 1\.1"),
        ({"firing_rate_target": 0.1, "firing_rate_weight": -1.0}, "firing_rate_weight must be a number of at least 0"),
    ],
)
def test_a_firing_rate_penalty_that_makes_no_sense_gets_a_sentence(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        OptimSettings(**changes)  # type: ignore[arg-type]


# --- the way to a worker and back

positive = st.floats(1e-6, 1e6)
words = st.text("abz XYZ0189/.,:;·é-_'\"", max_size=20)
names = st.text("abzXYZ0189_", min_size=1, max_size=20)
runs = st.builds(
    Settings,
    scale=st.builds(ScaleSettings, st.sampled_from(SCALES), words),
    task=st.builds(ListOpsSettings, train=st.integers(1, 10**7), data_seed=st.integers(0, 2**63 - 1)),
    neuron=st.builds(
        RefractoryLIFSettings,
        leak=st.floats(0, 1, exclude_min=True, exclude_max=True),
        threshold=positive,
        refractory=positive,
        max_iterations=st.none() | st.integers(1, 100),
    ),
    model=st.builds(ModelSettings, channels=st.integers(1, 1024), prenorm=st.booleans(), dt_max=st.floats(0.01, 1)),
    optim=st.builds(OptimSettings, lr=positive, weight_decay=st.floats(0, 1), batch_size=st.integers(1, 512)),
    seed=st.integers(0, 2**31),
    robustness=st.none() | st.builds(RobustnessSettings, weight_bits=st.just([4.0]), length=st.just([0.5, 2.0])),
    launcher=st.builds(LauncherSettings, workers=st.none() | st.integers(1, 64), account=st.none() | names),
    paths=st.builds(PathSettings, results=words, cache=st.none() | words),
    device=st.sampled_from(["auto", "cpu", "cuda"]),
    keep_weights=st.none() | st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(sent=runs)
def test_settings_come_back_from_json_as_they_were(sent: Settings) -> None:
    received = settings_from_json(settings_to_json(sent))
    assert received == sent
    assert type(received.neuron) is RefractoryLIFSettings
    assert received.run_id() == sent.run_id()


# --- the published hyperparameters


def test_the_paper_scale_has_the_published_listops_hyperparameters(composer: Composer) -> None:
    """Also in sum: 120,000 steps, 12,000 of them warm-up."""
    paper = composer.settings({"scale": "paper", "task": "listops"})
    model, optim = paper.model, paper.optim
    assert (model.layers, model.channels, model.state_size) == (6, 256, 4)
    assert (model.norm, model.prenorm, model.bidirectional) == ("batch", False, True)
    assert (optim.lr, optim.weight_decay, optim.batch_size, optim.epochs) == (0.01, 0.05, 32, 40)
    assert (paper.task.train, paper.task.validation, paper.task.test) == (96_000, 2_000, 2_000)
    assert (paper.task.min_length, paper.task.max_length) == (500, 2_000)
    steps_per_epoch = math.ceil(paper.task.train / optim.batch_size)
    assert steps_per_epoch * optim.epochs == 120_000
    assert round(steps_per_epoch * optim.warmup_epochs) == 12_000


def test_the_defaults_are_the_laptop_scale_and_only_the_paper_scale_claims_published_figures(
    composer: Composer,
) -> None:
    notes = {name: composer.settings({"scale": name}).scale for name in SCALES}
    assert composer.settings({}).scale == notes["laptop"]
    assert [name for name, scale in notes.items() if "published figures" in scale.note.lower()] == ["paper"]


def test_the_neuron_yaml_has_the_defaults_of_its_dataclass(composer: Composer) -> None:
    assert composer.settings({}).neuron == RefractoryLIFSettings()
