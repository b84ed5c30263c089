"""From a sweep file to its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer
from spike_ssm.harness.data.suites import ALL, LRA
from spike_ssm.harness.plan.grid import Grid, expand, seed_by_seed
from spike_ssm.harness.plan.sweep_file import load_sweep
from spike_ssm.results.errors import UserError

GridOf = Callable[..., Grid]

TWO_AXES = {"neuron.leak": [0.5, 0.9], "size": {"small": {"model.channels": 8}, "large": {"model.channels": 16}}}
RAISED = ["raised_1.5", "raised_2", "raised_3"]
RESETS = ["control_decay0", "control_reset", "control_reset_trainable"]
VARIANTS = ["none", "fixed", "trainable", "trainable_decay", *RESETS, *RAISED]


def grid_of(composer: Composer, name: str, *words: str) -> Grid:
    command = parse_command_line(words)
    return expand(composer, command, load_sweep(composer, name, str(command.overrides.get("scale", "laptop"))))


@pytest.fixture
def grid(place: Any) -> GridOf:
    """Call with words of a command line and changes to the sweep file `mini`."""

    def call(*words: str, **changes: Any) -> Grid:
        place.sweep_file("mini", **changes)
        return grid_of(Composer(place.folder / "config"), "mini", *words)

    return call


@pytest.fixture
def ablation(composer: Composer) -> GridOf:
    """Call with words of a command line: the packaged refractory ablation on ListOps."""
    return lambda *words: grid_of(composer, "ablation_refractory", "task=listops", *words)


def variants(grid: Grid) -> list[str]:
    return [run.plan.variant for run in grid.runs]


# --- the product


def test_a_sweep_is_the_product_of_its_axes_times_its_seeds(grid: GridOf) -> None:
    runs = grid(grid=TWO_AXES, seeds=[0, 1, 2]).runs
    assert len(runs) == 2 * 2 * 3
    found = {(run.settings.neuron.leak, run.settings.model.channels, run.settings.seed) for run in runs}
    assert found == {(leak, channels, seed) for leak in (0.5, 0.9) for channels in (8, 16) for seed in (0, 1, 2)}


def test_a_run_knows_its_point_its_variant_its_seed_and_its_id(grid: GridOf) -> None:
    run = grid(grid={"task": "all", **TWO_AXES}, seeds=[7]).runs[1]
    assert run.plan.axes == {"task": "listops", "neuron.leak": "0.5", "size": "large"}
    assert run.plan.variant == "0.5 / large", "without task and seed"
    assert (run.plan.seed, run.settings.seed) == (7, 7)
    assert run.plan.id == run.settings.run_id()
    assert run.label == "listops · 0.5 / large · seed 7"


def test_all_tasks_are_one_of_each_kind_at_the_sweeps_scale(grid: GridOf) -> None:
    found = grid(grid={"task": "all"})
    assert [run.settings.task.name for run in found.runs] == list(ALL["laptop"])
    assert set(variants(found)) == {"default"}
    published = grid("scale=paper", grid={"task": "all"})
    assert [run.settings.task.name for run in published.runs] == list(LRA)


def test_all_on_the_command_line_widens_the_axis_to_them(grid: GridOf) -> None:
    found = grid("task=all", grid={"task": ["listops"]})
    assert [run.settings.task.name for run in found.runs] == list(ALL["laptop"])


def test_the_base_holds_for_every_run_and_an_axis_wins_over_it(grid: GridOf) -> None:
    runs = grid(base={"neuron.leak": 0.1, "neuron.decay": 0.2}).runs
    assert [(run.settings.neuron.leak, run.settings.neuron.decay) for run in runs] == [(0.5, 0.2), (0.9, 0.2)]


def test_an_exclusion_takes_away_every_point_it_matches(grid: GridOf) -> None:
    assert variants(grid(grid=TWO_AXES, exclude=[{"neuron.leak": 0.9}])) == ["0.5 / small", "0.5 / large"]
    corner = [{"neuron.leak": 0.9, "size": "large"}]
    assert variants(grid(grid=TWO_AXES, exclude=corner)) == ["0.5 / small", "0.5 / large", "0.9 / small"]


def test_an_exclusion_may_list_labels_and_name_seeds(grid: GridOf) -> None:
    both = [{"neuron.leak": [0.5, 0.9], "size": "large"}]
    assert variants(grid(grid=TWO_AXES, exclude=both)) == ["0.5 / small", "0.9 / small"]
    found = grid(grid=TWO_AXES, exclude=[{"neuron.leak": 0.9, "seed": [1, 2]}], seeds=[0, 1, 2])
    seeds = {
        variant: [run.plan.seed for run in found.runs if run.plan.variant == variant] for variant in variants(found)
    }
    assert seeds == {"0.5 / small": [0, 1, 2], "0.5 / large": [0, 1, 2], "0.9 / small": [0], "0.9 / large": [0]}


LATER = [{"task": ["image"], "seed": [1]}, {"neuron.leak": 0.9}]
TASKS_AND_LEAKS = {"task": ["listops", "image"], "neuron.leak": [0.5, 0.9]}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], "listops 0.5 0, listops 0.5 1, image 0.5 0", id="what takes long is left out"),
        pytest.param(["neuron.leak=0.9"], "listops 0.9 0, listops 0.9 1, image 0.9 0", id="a label is asked for"),
        pytest.param(["task=image"], "image 0.5 0", id="a task named alone asks for no more"),
        pytest.param(["seed=0"], "listops 0.5 0, image 0.5 0", id="other seeds"),
        pytest.param(["task=image", "seed=0,1"], "image 0.5 0, image 0.5 1", id="the seed is asked for"),
        pytest.param(
            ["task=image", "neuron.leak=all", "seed=1,0"],
            "image 0.5 1, image 0.5 0, image 0.9 1, image 0.9 0",
            id="all of an axis",
        ),
    ],
)
def test_points_on_request_are_there_once_a_label_of_theirs_is_named(
    grid: GridOf, words: list[str], expected: str
) -> None:
    found = grid(*words, grid=TASKS_AND_LEAKS, on_request=LATER, seeds=[0, 1])
    said = [f"{run.plan.axes['task']} {run.plan.axes['neuron.leak']} {run.plan.seed}" for run in found.runs]
    assert said == expected.split(", ")


def test_an_inclusion_brings_one_point_back(grid: GridOf) -> None:
    found = grid(
        grid=TWO_AXES, exclude=[{"neuron.leak": 0.9}], include=[{"neuron.leak": 0.9, "size": "large"}], seeds=[0, 1]
    )
    assert variants(found)[::2] == ["0.5 / small", "0.5 / large", "0.9 / large"]


def test_points_with_the_same_settings_are_one_run(grid: GridOf) -> None:
    same = {"leak": {"default": {"neuron.leak": 0.5}, "half": {"neuron.leak": 0.5}, "long": {"neuron.leak": 0.9}}}
    assert variants(grid(grid=same)) == ["default", "long"]
    twice = [{"neuron.leak": 0.5, "size": "small"}]
    assert len(grid(grid=TWO_AXES, include=twice).runs) == 4, "an inclusion of what is there"
    assert len(grid("seed=0,0").runs) == 2


def test_a_note_describes_its_label_and_sets_nothing(grid: GridOf) -> None:
    noted = {"leak": {"half": {"note": "Half is kept.", "neuron.leak": 0.5}, "long": {"neuron.leak": 0.9}}}
    assert grid(grid=noted).variant_notes == {"half": "Half is kept."}


def test_the_baseline_is_named_like_its_variant(grid: GridOf) -> None:
    baseline = {"size": "small", "neuron.leak": 0.9}
    found = grid(grid={"task": "all", **TWO_AXES}, baseline=baseline)
    assert found.baseline == "0.9 / small", "in the order of the axes"
    assert found.baseline in variants(found)
    assert grid(baseline=None).baseline is None


def test_a_scale_may_add_axes_exclusions_inclusions_and_seeds(grid: GridOf) -> None:
    gpu = {
        "grid": {"neuron.decay": [0.1, 0.2]},
        "exclude": [{"neuron.leak": 0.9}],
        "include": [{"neuron.leak": 0.9, "neuron.decay": 0.2}],
        "seeds": [3],
    }
    changes = {"scales": {"gpu": gpu}, "baseline": {"neuron.leak": 0.5, "neuron.decay": 0.1}}
    assert variants(grid(**changes)) == ["0.5", "0.9"]
    assert grid(**changes).baseline == "0.5"
    found = grid("scale=gpu", **changes)
    assert variants(found) == ["0.5 / 0.1", "0.5 / 0.2", "0.9 / 0.2"]
    assert {run.plan.seed for run in found.runs} == {3}
    assert found.baseline == "0.5 / 0.1"


# --- narrowing and overriding from the command line


def test_an_axis_is_narrowed_to_one_value_or_a_list(ablation: GridOf) -> None:
    assert variants(ablation("refractory=fixed", "seed=0")) == ["fixed"]
    found = ablation("seed=0,1", "refractory=[none,fixed]")
    assert [(run.plan.variant, run.plan.seed) for run in found.runs] == [
        *(("none", 0), ("none", 1)),
        *(("fixed", 0), ("fixed", 1)),
    ]


def test_narrowing_does_not_change_the_ids_of_what_is_left(ablation: GridOf) -> None:
    whole = {(run.plan.variant, run.plan.seed): run.plan.id for run in ablation().runs}
    (run,) = ablation("seed=2", "refractory=control_reset").runs
    assert run.plan.id == whole["control_reset", 2]


def test_an_axis_of_plain_values_takes_values_that_the_sweep_does_not_list(grid: GridOf) -> None:
    runs = grid("neuron.leak=0.5,0.7").runs
    assert [run.settings.neuron.leak for run in runs] == [0.5, 0.7]
    assert [run.plan.variant for run in runs] == ["0.5", "0.7"]


def test_an_axis_of_labels_takes_only_its_labels(ablation: GridOf) -> None:
    with pytest.raises(UserError, match=r"refractory=0\.3 is not on this sweep's axis"):
        ablation("refractory=0.3")


def test_narrowing_and_exclusions_go_together(grid: GridOf) -> None:
    changes = {"grid": TWO_AXES, "exclude": [{"neuron.leak": 0.9}], "include": [{"neuron.leak": 0.9, "size": "large"}]}
    assert variants(grid("size=small", **changes)) == ["0.5 / small"], "no inclusion of what was narrowed away"
    with pytest.raises(UserError, match="Nothing is left"):
        grid("neuron.leak=0.9", "size=small", **changes)


def test_any_number_of_seeds_may_be_asked_for(ablation: GridOf) -> None:
    assert [run.plan.seed for run in ablation("refractory=none", "seed=10,11").runs] == [10, 11]


def test_what_the_user_sets_wins_over_base_and_scale(grid: GridOf) -> None:
    changes = {"grid": TWO_AXES, "base": {"optim.lr": 0.5}, "baseline": None}
    for run in grid("optim.lr=0.25", "model.layers=3", "optim.epochs=9", "scale=gpu", **changes).runs:
        assert (run.settings.optim.lr, run.settings.model.layers, run.settings.optim.epochs) == (0.25, 3, 9)


# --- the packaged sweeps


def test_the_laptops_refractory_ablation_is_seven_variants_times_five_seeds_on_listops(ablation: GridOf) -> None:
    found = ablation()
    on_request = {"trainable_decay", "control_decay0", "raised_3"}
    assert variants(found) == [variant for variant in VARIANTS for _ in range(5) if variant not in on_request]
    assert found.baseline == "none"
    assert len({run.plan.id for run in found.runs}) == 35


def test_all_of_the_refractory_ablation_is_one_word_away(ablation: GridOf) -> None:
    found = ablation("refractory=all")
    assert variants(found) == [variant for variant in VARIANTS for _ in range(5)]
    assert set(found.variant_notes) == set(VARIANTS), "each says what it is"


@pytest.mark.parametrize("tasks", [[], ["task=all"]])
def test_outside_listops_the_laptops_ablation_has_a_control_and_three_seeds(
    composer: Composer, tasks: list[str]
) -> None:
    runs = grid_of(composer, "ablation_refractory", *tasks).runs
    names = {run.settings.task.name for run in runs}
    assert names == set(ALL["laptop"]) if tasks else len(names) == 3
    for name in names - {"listops"}:
        points = [(run.plan.variant, run.plan.seed) for run in runs if run.settings.task.name == name]
        levels = ["none", "fixed", "trainable", "control_reset"]
        assert points == [(level, seed) for level in levels for seed in (0, 1, 2)]


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_beyond_the_laptop_the_refractory_ablation_has_a_threshold_axis(ablation: GridOf, scale: str) -> None:
    found = ablation(f"scale={scale}")
    assert len({run.plan.id for run in found.runs}) == 60
    assert found.baseline == "none / trainable"
    for run in found.runs:
        assert run.settings.neuron.threshold_trainable == (run.plan.axes["threshold"] == "trainable")


def test_the_variants_of_the_refractory_ablation_are_what_they_are_called(ablation: GridOf) -> None:
    runs = ablation("refractory=all", "seed=0").runs
    neuron = {run.plan.variant: run.settings.neuron for run in runs}
    trained = {name: (n.refractory_trainable, n.decay_trainable) for name, n in neuron.items()}
    assert trained == {
        **dict.fromkeys(VARIANTS, (False, False)),
        **dict.fromkeys(("trainable", "control_reset_trainable"), (True, False)),
        "trainable_decay": (True, True),
    }
    assert neuron["none"].refractory == 0
    assert {neuron[name].refractory for name in (*VARIANTS[1:4], "control_decay0")} == {0.5}
    assert {name: (neuron[name].refractory, neuron[name].threshold) for name in RAISED} == {
        name: (0, float(name.removeprefix("raised_"))) for name in RAISED
    }
    assert {neuron[name].decay for name in RESETS} == {0}, "no memory: a larger reset"
    assert {neuron[name].decay for name in ("fixed", "trainable", "trainable_decay")} == {0.5}
    fixed = neuron["fixed"]
    for name in RESETS[1:]:
        assert neuron[name].refractory == fixed.refractory / (1 - fixed.decay), "all that fixed takes over time"


def test_the_variants_of_the_refractory_ablation_differ_in_nothing_else(ablation: GridOf) -> None:
    varied = {"refractory", "refractory_trainable", "decay", "decay_trainable", "threshold"}
    rest = []
    for run in ablation("refractory=all", "seed=0").runs:
        identity = run.settings.identity()
        identity["neuron"] = {key: value for key, value in identity["neuron"].items() if key not in varied}
        rest.append(identity)
    assert all(identity == rest[0] for identity in rest)


def test_the_names_of_the_sparse_refractory_ablation_say_its_neurons_and_penalties(composer: Composer) -> None:
    magnitude_and_decay = {
        **{"plain": (0.0, False, 0.5), "refractory": (0.5, True, 0.5)},
        **{"reset": (1.0, False, 0.0), "trained_reset": (1.0, True, 0.0)},
    }
    for run in grid_of(composer, "ablation_refractory_sparse", "seed=0").runs:
        neuron, optim = run.settings.neuron, run.settings.optim
        kind, weight = run.plan.variant.rsplit("_", 1)
        assert (neuron.refractory, neuron.refractory_trainable, neuron.decay) == magnitude_and_decay[kind]
        assert optim.firing_rate_weight == float(weight)
        assert optim.firing_rate_target == (None if weight == "0" else 0.05)


RIVALS = ("brf", "tc_lif", "drf")


def test_the_speed_sweep_is_six_methods_and_three_rivals_at_four_lengths_and_one_map(composer: Composer) -> None:
    found = grid_of(composer, "speed")
    axes = [run.plan.axes for run in found.runs]
    assert Counter(each["task"] for each in axes) == {"speed": 36, "pmbc_map": 1}
    assert {each["method"] for each in axes} == {"bptt", "sltt", "sdn", "pmbc", "pmbc_m3", "fused", *RIVALS}
    assert [run.plan.variant for run in found.runs if run.settings.task.name == "pmbc_map"] == ["pmbc / 1024"]
    assert all(run.settings.task.length == int(run.plan.axes["task.length"]) for run in found.runs)
    assert set(variants(found)) == set(found.variant_notes), "each says what it is"


def test_the_methods_of_the_speed_sweep_are_what_they_are_called(composer: Composer) -> None:
    runs = grid_of(composer, "speed", "task=speed", "task.length=64").runs
    settings = {run.plan.axes["method"]: run.settings for run in runs}
    assert {name: settings.pop(name).neuron.name for name in ("sdn", *RIVALS)} == {
        name: name for name in ("sdn", *RIVALS)
    }
    assert {name: each.task.through_time for name, each in settings.items()} == {
        **dict.fromkeys(settings, True),
        "sltt": False,
    }
    neurons = {name: each.neuron for name, each in settings.items()}
    assert {name: (n.solver, n.max_iterations, n.detach_reset) for name, n in neurons.items()} == {
        "bptt": ("sequential", None, False),
        "sltt": ("sequential", None, True),
        "pmbc": ("pmbc", None, True),
        "pmbc_m3": ("pmbc", 3, True),
        "fused": ("fused", None, True),
    }


# --- a user's sweep


def test_a_users_sweep_wins_over_the_packaged_one_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    text = "title: T\nquestion: Q?\nseeds: [4]\ngrid:\n  neuron.threshold: [0.5, 2]\n"
    (tmp_path / "sweep" / "ablation_refractory.yaml").write_text(text)
    runs = grid_of(Composer(tmp_path), "ablation_refractory").runs
    assert [(run.settings.neuron.threshold, run.settings.seed) for run in runs] == [(0.5, 4), (2.0, 4)]


def test_an_axis_may_choose_a_users_group_file(place: Any, grid: GridOf) -> None:
    folder = place.folder / "config" / "optim"
    folder.mkdir()
    (folder / "slow.yaml").write_text("lr: 0.0001\n")
    runs = grid(grid={"optim": ["adamw", "slow"]}).runs
    assert [run.settings.optim.lr for run in runs] == [0.01, 0.0001]


# --- the order of execution


def test_one_seed_of_every_variant_comes_before_a_second_of_any(composer: Composer) -> None:
    """Also where one task has more seeds than another; the plan, and with it the page, keeps its own order."""
    grid = grid_of(composer, "ablation_refractory", "task=listops,bbc_order", "refractory=none,fixed")
    ordered = seed_by_seed(grid.runs)
    assert Counter(run.plan.id for run in ordered) == Counter(run.plan.id for run in grid.runs)
    points = list(dict.fromkeys((run.task, run.plan.variant) for run in grid.runs))
    assert [(run.task, run.plan.variant) for run in ordered[: len(points)]] == points
    seeds = [run.plan.seed for run in ordered]
    assert seeds == sorted(seeds)
    assert [run.plan.seed for run in grid.runs] != seeds
