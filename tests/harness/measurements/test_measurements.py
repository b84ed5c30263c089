"""Measurements of a neuron alone: nothing is timed that is not right, and what is stored is what was measured."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

import spike_ssm.harness.sweep
import spike_ssm.harness.train
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import Composer, settings_from_json, settings_to_json
from spike_ssm.harness.config.settings import SCALES
from spike_ssm.harness.data import TASKS
from spike_ssm.harness.launch.display import Display
from spike_ssm.harness.launch.local_pool import worker_count
from spike_ssm.harness.launch.time_left import Kind, TimeLeft
from spike_ssm.harness.measurements import MEASUREMENTS
from spike_ssm.harness.measurements.methods import ROUNDED, Subject, solve_spatially, subject_of
from spike_ssm.harness.measurements.pmbc_map import PMBCMapSettings, measure_pmbc_map
from spike_ssm.harness.measurements.speed import SpeedSettings, measure_speed, saved_mib
from spike_ssm.harness.measurements.timing import Contention
from spike_ssm.harness.plan.grid import expand
from spike_ssm.harness.plan.sweep_file import load_sweep
from spike_ssm.harness.state.survey import RunState
from spike_ssm.models.neurons import RefractoryLIFSettings, build_neuron
from spike_ssm.models.neurons.base import Neuron, NeuronSettings
from spike_ssm.models.neurons.brf import BRFSettings
from spike_ssm.models.neurons.drf import DRFSettings
from spike_ssm.models.ops.refractory_lif import Options, Rules, Solution, solve
from spike_ssm.models.ops.surrogate import spike, surrogate_gradient
from spike_ssm.results.errors import UserError
from spike_ssm.results.reading import read_run
from spike_ssm.results.schema import MEASUREMENTS as MEASURED_TASKS
from spike_ssm.results.schema import RUN

CPU = torch.device("cpu")
TINY = ("task.batch=2", "task.rounds=1", "task.channels=3", "task.length=40")
RIVALS = {"brf": 9, "tc_lif": 9, "drf": 3 * (1 + 3 * 8) + 8}  # with the numbers that they train, of three channels
METHODS = ("bptt", "sltt", "sdn", "pmbc", "pmbc_m3", "fused", *RIVALS)
EXACT = ("bptt", "sltt", "pmbc", "fused", "brf", "tc_lif")
PARAMETERS = (0.5, 1.0, 0.5, 0.3)


def swept(composer: Composer, *words: str) -> list[Any]:
    """Settings of the packaged speed sweep, narrowed by words of a command line."""
    command = parse_command_line(words)
    sweep = load_sweep(composer, "speed", str(command.overrides.get("scale", "laptop")))
    return [run.settings for run in expand(composer, command, sweep).runs]


def silent(_: float) -> None:
    """No progress is wanted."""


@pytest.fixture
def measured(composer: Composer, _one_thread: None) -> Callable[[str], dict[str, Any]]:
    """Call with the name of a method: the columns of a tiny speed run."""

    def call(method: str) -> dict[str, Any]:
        (settings,) = swept(composer, f"method={method}", *TINY)
        return measure_speed(settings.task, settings.neuron, seed=0, device=CPU, report=silent)

    return call


@pytest.fixture
def x() -> Tensor:
    return 0.9 * torch.randn(2, 3, 60, generator=torch.Generator().manual_seed(5))


def parameters() -> list[Tensor]:
    """leak, threshold, refractory and decay of 3 channels, all with a gradient."""
    return [torch.full((3,), value, requires_grad=True) for value in PARAMETERS]


# --- what a measurement is


def test_measurements_are_chosen_like_tasks_and_are_no_tasks(composer: Composer) -> None:
    assert set(MEASUREMENTS) == set(MEASURED_TASKS), "the report knows them by these names"
    assert not set(MEASUREMENTS) & set(TASKS)
    assert set(MEASUREMENTS) <= set(composer.options("task"))
    for name, (_, settings) in MEASUREMENTS.items():
        for scale in SCALES:
            found = composer.settings({"task": name, "scale": scale}).task
            assert (type(found), found.name) == (settings, name)


@pytest.mark.parametrize("name", MEASURED_TASKS)
def test_a_yaml_has_the_defaults_of_its_dataclass_except_for_sizes(composer: Composer, name: str) -> None:
    sizes = {"batch", "channels", "rounds"}
    found, expected = vars(composer.settings({"task": name}).task), vars(MEASUREMENTS[name][1]())
    assert {key for key in expected if found[key] != expected[key]} <= sizes


@pytest.mark.parametrize("name", MEASURED_TASKS)
def test_settings_of_a_measurement_come_back_from_json_as_they_were(composer: Composer, name: str) -> None:
    sent = composer.settings({"task": name, "task.length": 7, "seed": 3})
    assert settings_from_json(settings_to_json(sent)) == sent
    assert composer.settings({"task": name, "task.length": 8, "seed": 3}).run_id() != sent.run_id()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", MEASURED_TASKS)
def test_a_run_that_is_timed_has_the_machine_to_itself(composer: Composer, name: str, scale: str) -> None:
    launcher = composer.settings({"task": name, "scale": scale, "launcher": "local"}).launcher
    assert worker_count(launcher, 20) == 1


BAD_SETTINGS = {
    "no rounds": ("speed", "rounds", 0, "task.rounds must be a number of at least 1, but it is 0"),
    "no steps": ("pmbc_map", "length", 0, "task.length must be a number of at least 1"),
    "negative scale": ("speed", "input_scale", -1.0, "task.input_scale must be a number of at least 0"),
    "a leak out of range": ("pmbc_map", "leaks", [0.5, 1.0], r"leak must be in \(0, 1\), but it is 1.0"),
    "no magnitude": ("pmbc_map", "magnitudes", [], "task.magnitudes must list at least one value"),
}


@pytest.mark.parametrize(("name", "key", "value", "sentence"), BAD_SETTINGS.values(), ids=list(BAD_SETTINGS))
def test_a_setting_out_of_range_is_one_sentence(
    composer: Composer, name: str, key: str, value: Any, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        composer.settings({"task": name, f"task.{key}": value})


# --- speed


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_timed_beside_the_loop(measured: Callable[..., Any], method: str) -> None:
    row = measured(method)
    assert set(row) <= set(RUN.names)
    assert min(row[name] for name in ("forward_ms", "train_ms_per_step", "loop_ms_per_step", "saved_mib")) > 0
    assert row["times_loop"] == row["loop_ms_per_step"] / row["train_ms_per_step"]
    assert 0 < row["firing_rate"] < 1
    assert row["peak_memory_mib"] is None, "a process on the CPU tells nothing of one operator"
    assert row["iterations"] == {"pmbc_m3": 3}.get(method, row["iterations"])
    assert (row["iterations"] is None) == (not method.startswith("pmbc"))
    assert row["parameters"] == {"sdn": 3, **RIVALS}.get(method, 6)


@pytest.mark.parametrize("method", EXACT)
def test_the_spikes_of_exact_methods_are_the_loops(measured: Callable[..., Any], method: str) -> None:
    row = measured(method)
    assert (row["spike_mismatch"], row["undetermined"]) == (0, 0)


@pytest.mark.usefixtures("_one_thread")
def test_an_approximation_says_how_far_it_is_off(composer: Composer) -> None:
    (settings,) = swept(composer, "method=pmbc_m3", *TINY, "task.input_mean=0.5", "neuron.leak=0.9")
    row = measure_speed(settings.task, settings.neuron, seed=0, device=CPU, report=silent)
    assert row["undetermined"] > 0.1
    assert 0 < row["spike_mismatch"] < row["undetermined"] + 0.2


def test_a_seed_decides_the_input(measured: Callable[..., Any]) -> None:
    assert measured("fused")["firing_rate"] == measured("fused")["firing_rate"]


def test_progress_is_reported_as_a_share(composer: Composer) -> None:
    shares: list[float] = []
    settings = PMBCMapSettings(batch=1, length=8, iterations=1, leaks=[0.5], decays=[0.5])
    measure_pmbc_map(settings, RefractoryLIFSettings(), seed=0, device=CPU, report=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_neuron_that_no_loop_stands_for_is_refused_in_a_sentence(composer: Composer) -> None:
    dense = composer.settings({"neuron": "gelu"}).neuron
    with pytest.raises(UserError, match=r"task=speed times integrate-and-fire neurons, .* and drf, not neuron=gelu"):
        measure_speed(SpeedSettings(length=8), dense, seed=0, device=CPU, report=silent)


def test_spatial_learning_is_refused_where_there_is_none(composer: Composer) -> None:
    rival = composer.settings({"neuron": "brf"}).neuron
    with pytest.raises(UserError, match=r"task\.through_time=false is for integrate-and-fire neurons, not neuron=brf"):
        measure_speed(SpeedSettings(length=8, through_time=False), rival, seed=0, device=CPU, report=silent)


WRONG = {
    "solved": (RefractoryLIFSettings(), "The spike at b=0, h=0, t=0 is wrong"),
    "serial": (BRFSettings(), "100.000% of the spikes are not the loop's; 0.000% may be"),
    "parallel": (DRFSettings(), f"100.000% of the spikes are not the loop's; {ROUNDED:.3%} may be"),
}


def test_nothing_is_timed_when_a_spike_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def flipped(neuron: Neuron) -> Subject:
        right = subject_of(neuron)
        return right._replace(method=lambda x: (found := right.method(x))._replace(spikes=1 - found.spikes))

    monkeypatch.setattr("spike_ssm.harness.measurements.speed.subject_of", flipped)
    monkeypatch.setattr(
        "spike_ssm.harness.measurements.speed.interleaved_medians", lambda *_: pytest.fail("timed all the same")
    )
    for settings, why in WRONG.values():
        with pytest.raises(AssertionError, match=why):
            measure_speed(SpeedSettings(batch=1, length=8), settings, seed=0, device=CPU, report=silent)


def test_an_sdn_that_errs_more_often_than_it_states_is_refused(composer: Composer) -> None:
    torch.manual_seed(0)
    subject = subject_of(build_neuron(8, composer.settings({"neuron": "sdn"}).neuron))
    x = torch.randn(4, 8, 500)
    subject.check(x, subject.neuron(x))
    for weights in subject.neuron.network.parameters():  # type: ignore[union-attr]
        weights.zero_()
    with pytest.raises(AssertionError, match=r"The SDN states that 0\.\d+% of its spikes are wrong, but"):
        subject.check(x, subject.neuron(x))


def test_spatial_learning_gives_the_loops_spikes_and_the_gradient_of_each_step_alone(x: Tensor) -> None:
    """So the gradient of x at a step is the surrogate there, times what comes in."""
    rules, grad = Rules(), torch.randn(x.shape, generator=torch.Generator().manual_seed(6))
    found = solve(x, *PARAMETERS, Options(rules, "sequential"), return_potential=True)
    leaf = x.clone().requires_grad_()
    spikes = solve_spatially(leaf, *parameters(), rules).spikes
    assert torch.equal(spikes, found.spikes)
    (by_x,) = torch.autograd.grad(spikes, leaf, grad)
    assert found.potential is not None
    local = surrogate_gradient(found.potential - 1, rules.surrogate, rules.surrogate_width)
    torch.testing.assert_close(by_x, grad * local)


@pytest.mark.parametrize("rules", [Rules(), Rules("hard"), Rules("none", raises_threshold=True)], ids=str)
def test_spatial_learning_gives_parameters_the_gradient_of_the_step_they_act_in(x: Tensor, rules: Rules) -> None:
    """The second step written out, with the first one's state as constants."""
    first, second = x[..., 0], x[..., 1]
    spatial, expected = parameters(), parameters()
    leak, threshold, refractory, _ = expected
    s = (first >= threshold).float().detach()
    after = {"soft": first - threshold * s, "hard": first - first * s, "none": first}[rules.reset]
    current = refractory * s
    potential = leak * after + second - current
    written_out = spike(potential, threshold, rules.surrogate, rules.surrogate_width)
    got = solve_spatially(x[..., :2], *spatial, rules).spikes[..., 1]
    assert torch.equal(got, written_out)
    torch.testing.assert_close(
        torch.autograd.grad(got.sum(), spatial[:3]), torch.autograd.grad(written_out.sum(), expected[:3])
    )


def test_the_loop_carries_gradients_back_through_time_and_reset(x: Tensor) -> None:
    """Of the last spike's gradient, early inputs get a part from the loop and none from spatial learning."""
    subject = subject_of(build_neuron(3, RefractoryLIFSettings(surrogate="sigmoid")))  # nowhere 0
    last = torch.zeros_like(x)
    last[..., -1] = 1
    early = {}
    for name, method in {"loop": subject.loop, "spatial": subject.spatial}.items():
        assert method is not None
        leaf = x.clone().requires_grad_()
        early[name] = torch.autograd.grad(method(leaf).spikes, leaf, last)[0][..., :-1].abs().sum()
    assert early["loop"] > 0
    assert early["spatial"] == 0


def test_memory_that_is_kept_twice_counts_once() -> None:
    x = torch.randn(4, 8, 2**13, requires_grad=True)  # 1 MiB
    none = torch.zeros(())
    assert saved_mib(lambda x: Solution(x * x[:, :], None, none, none), x) == 1
    assert saved_mib(lambda x: Solution(x * x.exp(), None, none, none), x) == 2


def test_the_share_of_others_is_a_share() -> None:
    assert 0 <= Contention().share() <= 1


# --- the map of PMBC


@pytest.fixture(scope="module")
def grid() -> list[dict[str, Any]]:
    settings = PMBCMapSettings(
        batch=2, length=70, iterations=4, leaks=[0.3, 0.9], decays=[0.0, 0.7], magnitudes=[0.0, 0.5],
        input_means=[0.0, 0.4], input_scales=[0.9],
    )  # fmt: skip
    row = measure_pmbc_map(settings, RefractoryLIFSettings(), seed=1, device=CPU, report=silent)
    assert set(row) == {"pmbc_map"}
    entries: list[dict[str, Any]] = row["pmbc_map"]
    return entries


def points(entries: list[dict[str, Any]], *names: str) -> list[tuple[float, ...]]:
    return [tuple(entry[name] for name in names) for entry in entries]


def test_the_map_has_every_point_of_the_grid_once(grid: list[dict[str, Any]]) -> None:
    product = itertools.product([0.3, 0.9], [0.0, 0.7], [0.0, 0.5], [0.0, 0.4])
    assert sorted(points(grid, "leak", "decay", "refractory", "input_mean")) == sorted(product)


def test_more_iterations_never_leave_more_undetermined(grid: list[dict[str, Any]]) -> None:
    for entry in grid:
        fractions = entry["undetermined"]
        assert len(fractions) == 4
        assert fractions == sorted(fractions, reverse=True)
        assert all(0 <= fraction <= 1 for fraction in fractions)
    assert max(entry["undetermined"][-1] for entry in grid) > 0, "or there would be nothing to see"


def test_without_a_refractory_current_its_decay_changes_nothing(grid: list[dict[str, Any]]) -> None:
    plain = [entry for entry in grid if entry["refractory"] == 0]
    by_decay = [[{**entry, "decay": None} for entry in plain if entry["decay"] == decay] for decay in (0.0, 0.7)]
    assert by_decay[0] == by_decay[1]


def test_a_point_of_the_map_is_what_the_operator_finds_for_it_alone(grid: list[dict[str, Any]]) -> None:
    (entry,) = [e for e in grid if points([e], "leak", "decay", "refractory", "input_mean") == [(0.9, 0.7, 0.5, 0.4)]]
    settings = PMBCMapSettings(
        batch=2, length=70, iterations=4, leaks=[0.9], decays=[0.7], magnitudes=[0.5], input_means=[0.4]
    )
    alone = measure_pmbc_map(settings, RefractoryLIFSettings(), seed=1, device=CPU, report=silent)["pmbc_map"]
    assert alone == [entry]


def test_the_map_is_of_the_refractory_neuron_only(composer: Composer) -> None:
    other: NeuronSettings = composer.settings({"neuron": "lif_hard"}).neuron
    with pytest.raises(UserError, match="task=pmbc_map maps neuron=refractory_lif, not neuron=lif_hard"):
        measure_pmbc_map(PMBCMapSettings(length=8), other, seed=0, device=CPU, report=silent)


# --- as a run


@pytest.mark.usefixtures("_one_thread")
def test_train_executes_a_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["task=speed", *TINY, f"paths.results={tmp_path}"]
    assert spike_ssm.harness.train.main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert "test accuracy" not in " ".join(out)
    row = read_run(Path(out[-1]))
    assert (row["status"], row["task"], row["neuron"]) == ("done", "speed", "refractory_lif")
    assert json.loads(row["config"])["task"]["length"] == 40
    nothing = ("test_accuracy", "validation_accuracy", "shortcut_accuracy", "majority_accuracy", "epochs", "layers")
    assert [row[name] for name in (*nothing, "predictions", "pmbc_map")] == [None] * 8


@pytest.mark.usefixtures("_one_thread")
def test_a_sweep_of_measurements_ends_with_a_page_that_shows_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = {
        "title": "Speed", "question": "How fast?", "seeds": [0],
        "base": {"launcher": "debug", "task.batch": 2, "task.length": 40},
        "grid": {
            "task": ["speed", "pmbc_map"],
            "method": {name: {"neuron.solver": name} for name in ("pmbc", "fused")},
        },
        "exclude": [{"task": "pmbc_map", "method": "fused"}],
    }  # fmt: skip
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text(json.dumps(sweep))
    words = ["--config-dir", str(tmp_path), "+sweep=mine", f"paths.results={tmp_path}/runs"]
    assert spike_ssm.harness.sweep.main([*words, f"paths.reports={tmp_path}/html"]) == 0
    page = Path(capsys.readouterr().out.splitlines()[-1]).read_text()
    assert "Speed of a training iteration" in page
    assert "Where PMBC settles soon" in page
    assert "Test accuracy" not in page


def test_what_people_see_of_a_finished_measurement_is_no_accuracy() -> None:
    console = Console(file=io.StringIO(), width=200)
    with Display(
        {"a": "speed · fused"}, TimeLeft({"a": Kind("speed", "fused")}, workers=1), console=console
    ) as display:
        display({"a": RunState("done")})
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown == "[1/1] speed · fused: done\n"
    assert "accuracy" not in shown
