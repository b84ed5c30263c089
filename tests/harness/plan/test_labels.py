"""Labels say what was run: nothing that is set elsewhere makes one untrue, and no two variants share a name."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.config.settings import SCALES
from spike_ssm.harness.plan.grid import Grid, expand
from spike_ssm.harness.plan.labels import JOINT, check_labels
from spike_ssm.harness.plan.sweep_file import NOTE, Sweep, axis_of, load_sweep
from spike_ssm.harness.plan.trials import plan
from spike_ssm.results.errors import UserError
from tests.harness.conftest import sweeps_for

Plan = Callable[..., Grid]


@pytest.fixture
def packaged(composer: Composer) -> Plan:
    """Call with the name of a packaged sweep and words of a command line."""

    def call(name: str, *words: str) -> Grid:
        command = parse_command_line(words)
        return expand(composer, command, load_sweep(composer, name, str(command.overrides.get("scale", "laptop"))))

    return call


@pytest.fixture
def grid(place: Any) -> Plan:
    """Call with words of a command line and changes to the sweep file `mini`."""

    def call(*words: str, **changes: Any) -> Grid:
        place.sweep_file("mini", **changes)
        composer = Composer(place.folder / "config")
        return expand(composer, parse_command_line(words), load_sweep(composer, "mini", "laptop"))

    return call


# --- a setting of the command line against an axis

REFUSED = {
    "one value of a labelled axis": ("ablation_reset", ["reset=soft", "neuron.leak=0.9"], "'leak'", "leak=0.9"),
    "a count": ("ablation_pmbc", ["neuron.max_iterations=3"], "'iterations'", "iterations=M3"),
    "a value that no label has": ("ablation_refractory", ["neuron.refractory=3"], "'refractory'", "leave it out"),
    "what some labels leave alone": (
        "ablation_refractory",
        ["neuron.decay=0.3"],
        "'refractory'",
        "refractory=none,fix",
    ),
    "a group": ("ablation_reset", ["neuron=lif_hard"], "'reset'", "reset=hard"),
    "a constant of all labels": ("length", ["task.train=10"], "'length'", "leave it out"),
    "a switch beside it": ("ablation_reset", ["neuron.leak_trainable=true"], "'leak'", "leak=trainable"),
    "an evaluation": ("robustness", ["of=ablation_reset", "neuron.leak=0.9"], "'leak'", "leak=0.9"),
}


@pytest.mark.parametrize(("name", "words", "axis", "advice"), list(REFUSED.values()), ids=list(REFUSED))
def test_a_setting_that_an_axis_varies_is_refused_with_the_axis_and_how_to_narrow_it(
    composer: Composer, name: str, words: list[str], axis: str, advice: str
) -> None:
    command = parse_command_line(words)
    with pytest.raises(UserError, match=re.escape(f"the axis {axis}")) as refused:
        expand(composer, command, load_sweep(composer, name, "laptop", command.flags.of))
    assert advice in str(refused.value)


@pytest.mark.parametrize("scale", SCALES)
def test_so_it_is_for_every_setting_of_every_axis_of_the_packaged_sweeps(composer: Composer, scale: str) -> None:
    for name in sweeps_for(composer, scale):
        sweep = load_sweep(composer, name, scale)
        for axis, values in sweep.grid.items():
            settings = {key for label in axis_of(sweep, axis, values).values() for key in label} - {NOTE, axis}
            for key in settings:
                command = parse_command_line([f"scale={scale}", f"{key}=another"])
                with pytest.raises(UserError, match=re.escape(f"{key}=another is a setting that the axis {axis!r}")):
                    expand(composer, command, sweep)


def test_the_advice_of_the_sentence_is_taken(packaged: Plan) -> None:
    assert {run.settings.neuron.leak for run in packaged("ablation_reset", "reset=soft", "leak=0.9").runs} == {0.9}


def test_a_setting_that_changes_no_label_is_free(packaged: Plan) -> None:
    same = packaged("ablation_reset", "leak=0.9", "neuron.leak=0.9").runs
    assert same == packaged("ablation_reset", "leak=0.9").runs, "all labels say so already"
    left = packaged("ablation_refractory", "refractory=fixed", "neuron.decay=0.3", "task=listops").runs
    assert {run.settings.neuron.decay for run in left} == {0.3}, "the labels that are left do not set it"


def test_tuning_refuses_what_the_sweep_refuses(composer: Composer) -> None:
    with pytest.raises(UserError, match="the axis 'leak'"):
        plan(composer, parse_command_line(["+sweep=ablation_reset", "budget=1", "neuron.leak=0.9"]))


def test_settings_that_make_two_labels_one_run_are_refused_though_no_axis_has_them(place: Any, grid: Plan) -> None:
    folder = place.folder / "config" / "optim"
    folder.mkdir()
    (folder / "slow.yaml").write_text("lr: 0.0001\n")
    axis = {"optim": ["adamw", "slow"]}
    assert len(grid(grid=axis).runs) == 2
    with pytest.raises(UserError, match="the points 'adamw' and 'slow' of sweep 'mini' are one and the same run"):
        grid("optim.lr=0.5", grid=axis)


def test_two_axes_that_set_one_setting_are_refused(grid: Plan) -> None:
    axes = {"neuron.leak": [0.5, 0.9], "kind": {"long": {"neuron.leak": 0.99}, "short": {"neuron.leak": 0.1}}}
    with pytest.raises(UserError, match=r"the axes 'neuron.leak' and 'kind' both set neuron\.leak"):
        grid(grid=axes)
    same = {"a": {"x": {"neuron": "lif_soft", "neuron.leak": 0.5}}, "b": {"y": {"neuron": "lif_soft"}}}
    assert len(grid(grid=same).runs) == 1, "to the same value is no contradiction"


# --- names of variants


def test_variants_whose_joined_labels_would_be_one_name_are_refused(grid: Plan) -> None:
    left = {"a": {"neuron.leak": 0.1}, "a / b": {"neuron.leak": 0.2}}
    right = {"b / c": {"neuron.decay": 0.1}, "c": {"neuron.decay": 0.2}}
    with pytest.raises(UserError, match="the label 'a / b' of the axis 'left'") as refused:
        grid(grid={"left": left, "right": right})
    assert "write 'a/b'" in str(refused.value)
    assert len(grid(grid={"left": left}).runs) == 2, "alone they are told apart"


LABELS = st.lists(st.text(alphabet="a/ .", min_size=1, max_size=5), min_size=1, max_size=4, unique=True)


@given(axes=st.lists(LABELS, min_size=1, max_size=3))
def test_whatever_labels_are_allowed_no_two_points_have_one_name(axes: list[list[str]]) -> None:
    sweep = Sweep("T", "Q?", {}, [0], name="mini")
    grid = {f"axis{number}": {label: {f"key{number}": label} for label in labels} for number, labels in enumerate(axes)}
    try:
        check_labels(sweep, grid)
    except UserError:
        return
    points = list(itertools.product(*axes))
    assert len({JOINT.join(point) for point in points}) == len(points)


@pytest.mark.parametrize(
    "label", ["", " ", "a\nb", "a\x1b[2J", "\u202egnp"], ids=["empty", "blank", "line", "escape", "order"]
)
def test_a_label_that_cannot_be_shown_is_refused(grid: Plan, label: str) -> None:
    with pytest.raises(UserError, match="must be a text that can be printed"):
        grid(grid={"leak": {label: {"neuron.leak": 0.5}}})


def test_labels_that_differ_only_in_type_are_refused(place: Any) -> None:
    place.sweep_file(
        "mini", 'title: T\nquestion: Q?\nseeds: [0]\ngrid: {a: {1: {neuron.leak: 0.1}, "1": {neuron.leak: 0.2}}}'
    )
    composer = Composer(place.folder / "config")
    sweep = load_sweep(composer, "mini", "laptop")
    with pytest.raises(UserError, match="labels that differ only in type"):
        expand(composer, parse_command_line([]), sweep)


@pytest.mark.parametrize("label", ["null", "true", "1e-3", "007", "0.50", "1_000", "inf"])
def test_a_label_is_named_on_the_command_line_as_it_is_written(grid: Plan, label: str) -> None:
    axis = {"leak": {label: {"neuron.leak": 0.25}, "other": {"neuron.leak": 0.5}}}
    for words in ([f"leak={label}"], [f"leak={label},other"], [f"leak=[{label}]"], [f"leak={json.dumps(label)}"]):
        first = grid(*words, grid=axis).runs[0]
        assert (first.plan.variant, first.settings.neuron.leak) == (label, 0.25)


@pytest.mark.parametrize(("key", "label"), [("true", "True"), ("1e-3", "0.001"), ("0.50", "0.5")])
def test_a_label_without_quotes_in_the_file_is_named_like_there_or_as_it_is_shown(
    place: Any, key: str, label: str
) -> None:
    place.sweep_file("mini", f"title: T\nquestion: Q?\nseeds: [0]\ngrid: {{leak: {{{key}: {{neuron.leak: 0.25}}}}}}\n")
    composer = Composer(place.folder / "config")
    sweep = load_sweep(composer, "mini", "laptop")
    for typed in (key, label):
        (run,) = expand(composer, parse_command_line([f"leak={typed}"]), sweep).runs
        assert run.plan.variant == label


def test_values_of_a_plain_axis_are_named_as_yaml_writes_them(grid: Plan) -> None:
    axis = {"neuron.threshold_trainable": [True, False]}
    assert [run.plan.variant for run in grid("neuron.threshold_trainable=true", grid=axis).runs] == ["True"]
    axis = {"neuron.max_iterations": [None, 3]}
    (run,) = grid("neuron.max_iterations=null", "neuron.solver=pmbc", grid=axis).runs
    assert run.settings.neuron.max_iterations is None
