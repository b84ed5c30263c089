"""A training that was stopped goes on where it was, and ends as if it had not been stopped: bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from spike_ssm.harness.config.compose import settings_to_json
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.facts import Baselines, Facts
from spike_ssm.harness.data.settings import Kind
from spike_ssm.harness.data.splits import Flat, Sequences, Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.run.execute import execute
from spike_ssm.harness.run.job import Job
from spike_ssm.harness.system.root import ROOT
from spike_ssm.harness.system.signals import Interrupted, interruptible
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.trainer import Progress
from spike_ssm.models.network import Network
from spike_ssm.models.ssm import choice
from spike_ssm.results.reading import read_run, read_status, run_path

SettingsOf = Callable[..., Settings]
Run = dict[str, Any]

PENALTY = ("optim.firing_rate_target=0.1", "optim.firing_rate_weight=1")
VARIANTS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "classification": (
        "classification",
        ("model.norm=batch", "model.initial_firing_rate=0.1", "optim.length_pool=2", *PENALTY),
    ),
    "stochastic": ("classification", ("neuron=pspike", "model.norm=layer", "model.prenorm=true")),
    "pairs": ("pairs", ("neuron=pspike", "model.norm=batch", *PENALTY)),
    "language": (
        "language",
        ("model.bidirectional=false", "model.norm=layer", "model.softmax_cutoffs=[3]", "model.softmax_divisor=2"),
    ),
}
"""All with dropout, and all with three steps an epoch, the last of which is smaller, and two batches to evaluate."""


def texts(generator: np.random.Generator, size: int) -> Sequences:
    rows = [generator.integers(1, 6, generator.integers(3, 12)) for _ in range(size)]
    return Sequences(Flat(np.concatenate(rows), np.cumsum([0, *map(len, rows)])))


def dataset(kind: Kind, examples: int = 20) -> Dataset:
    def split(generator: np.random.Generator, size: int) -> Split:
        if kind == "language":
            return Split((texts(generator, size),), np.zeros(size, int), predicts_next=True)
        sides = tuple(texts(generator, size) for _ in range(2 if kind == "pairs" else 1))
        return Split(sides, generator.integers(0, 2, size))

    generator = np.random.default_rng(0)
    train, validation, test = (split(generator, size) for size in (examples, 10, 10))
    facts = Facts(6 if kind == "language" else 2, ["<pad>", *"abcde"])
    answers = () if kind == "language" else [0] * 10
    return Dataset(train, validation, test, kind, facts, Baselines(0.5, {"rule": 0.5}, shortcut_answers=answers))


def variant_of(name: str, tiny: SettingsOf) -> tuple[Settings, Dataset]:
    kind, words = VARIANTS[name]
    more = ("model.layers=2", "model.dropout=0.2", "optim.epochs=2", "optim.batch_size=8", "optim.lr=0.02")
    return tiny(*more, *words), dataset(kind)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest, tiny: SettingsOf) -> tuple[Settings, Dataset]:
    """Each of them."""
    return variant_of(request.param, tiny)


@pytest.fixture
def pairs(tiny: SettingsOf) -> tuple[Settings, Dataset]:
    """One of them."""
    return variant_of("pairs", tiny)


def train(variant: tuple[Settings, Dataset], folder: Path, report: Callable[[Progress], None] = lambda _: None) -> Run:
    """With a checkpoint after every step; what the clock and the machine decide is left out of the outcome."""
    settings, data = variant
    checkpoints = Checkpoints(folder, settings.run_id())
    with interruptible():
        run = run_training(settings, data, Hooks(report), checkpoints=checkpoints, every_s=0)
    for row in run["epochs"]:
        assert row.pop("seconds") > 0
    measured = [name for name in run if name.endswith(("_per_s", "_per_step", "_mib"))]
    assert all(run.pop(name) is None or name for name in measured)
    return run


def weights_in(folder: Path, settings: Settings) -> dict[str, torch.Tensor]:
    """Of the last checkpoint: the network's, the best ones and the optimiser's moments."""
    state = Checkpoints(folder, settings.run_id()).latest()
    assert state is not None
    assert {name.partition(".")[0] for name in state.tensors} == {"network", "best", "step", "exp_avg", "exp_avg_sq"}
    return state.tensors


def assert_same(settings: Settings, one: tuple[Run, Path], other: tuple[Run, Path]) -> None:
    assert one[0] == other[0]
    these, those = (weights_in(folder, settings) for _, folder in (one, other))
    assert set(these) == set(those)
    assert [name for name in these if not torch.equal(these[name], those[name])] == []


@contextmanager
def in_every_forward(act: Callable[[], None]) -> Iterator[None]:
    """Act while the network is at a forward pass, in calibration, training or evaluation."""

    def hook(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(module, Network):
            act()

    handle = register_module_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def signalled_in_forward(last: int) -> Iterator[None]:
    """SIGTERM comes in the forward pass number `last`."""
    numbers = count(1)

    def stop() -> None:
        if next(numbers) == last:
            signal.raise_signal(signal.SIGTERM)

    with in_every_forward(stop):
        yield


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is logged about checkpoints."""
    return [record.getMessage() for record in caplog.records if record.name == "spike_ssm.harness.training.checkpoint"]


def stop_now(progress: Progress) -> None:
    signal.raise_signal(signal.SIGUSR2)


def test_a_run_that_is_stopped_after_every_single_step_ends_as_one_that_never_was(
    variant: tuple[Settings, Dataset], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = train(variant, whole)
    for _ in range(6):
        with pytest.raises(Interrupted):
            train(variant, parts, stop_now)
    forwards: list[None] = []
    with in_every_forward(lambda: forwards.append(None)):
        found = train(variant, parts)
    left = 2 + 2 * times_tested(variant[0], expected) + 1
    assert len(forwards) == left, "only a validation, the tests and the traces were left to do: no step"
    assert_same(variant[0], (found, parts), (expected, whole))


def times_tested(settings: Settings, run: dict[str, Any]) -> int:
    """Of the best weights and, where those are not the same, of the last ones."""
    return 1 if run["best_epoch"] == settings.optim.epochs else 2


@pytest.mark.slow
def test_wherever_a_run_is_stopped_it_ends_as_one_that_never_was(
    variant: tuple[Settings, Dataset], tmp_path: Path
) -> None:
    """Before the first step, in any step, in any batch of a validation or the test, or in the traces."""
    whole = tmp_path / "whole"
    expected = train(variant, whole)
    for place in count(1):
        parts = tmp_path / str(place)
        with suppress(Interrupted), signalled_in_forward(place):
            train(variant, parts)
            break
        assert_same(variant[0], (train(variant, parts), parts), (expected, whole))
    calibrations = variant[0].model.initial_firing_rate is not None
    assert place == calibrations + 1 + 2 * (3 + 2) + 2 * times_tested(variant[0], expected) + 1 + 1


def test_a_run_that_ends_early_does_so_wherever_it_was_stopped_before(tiny: SettingsOf, tmp_path: Path) -> None:
    """Nothing can be learned from ten examples with labels drawn at random."""
    settings, data = variant_of("stochastic", tiny)
    variant = replace(settings, stop_if="at_chance@1"), data
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = train(variant, whole)
    assert [row["epoch"] for row in expected["epochs"]] == [1]
    assert expected["test_accuracy"] is not None
    for _ in range(3):
        with pytest.raises(Interrupted):
            train(variant, parts, stop_now)
    assert_same(variant[0], (train(variant, parts), parts), (expected, whole))


def preferring(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """All processors are taken to prefer the scan up to so many numbers in a channel's states."""
    monkeypatch.setattr(choice, "MOST_NUMBERS", dict.fromkeys(("DEFAULT", "AVX2", "AVX512"), (most, most)))
    monkeypatch.setattr(choice, "FEW", 0)  # texts so short would be products


@pytest.mark.parametrize(("before", "after", "way"), [(1000, 0, "scan_or_product"), (0, 1000, "fft_or_product")])
def test_a_run_goes_on_in_the_way_of_its_checkpoint_on_a_processor_that_prefers_another(
    before: int, after: int, way: str, tiny: SettingsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tiny("optim.epochs=2", "optim.batch_size=4")  # and so they would in larger batches
    variant = few, dataset("classification")
    preferring(monkeypatch, before)
    expected = train(variant, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(variant, tmp_path / "parts", stop_now)
    preferring(monkeypatch, after)
    found = train(variant, tmp_path / "parts")
    assert found["convolution"] == way
    assert_same(few, (found, tmp_path / "parts"), (expected, tmp_path / "whole"))
    anew = train(variant, tmp_path / "anew")
    assert anew["convolution"] != way
    these, those = (weights_in(tmp_path / folder, few) for folder in ("whole", "anew"))
    assert any(not torch.equal(these[name], those[name]) for name in these), "in another way they round differently"


def test_a_run_is_the_same_with_checkpoints_and_without(pairs: tuple[Settings, Dataset], tmp_path: Path) -> None:
    run = train(pairs, tmp_path)
    plain = run_training(*pairs)
    for row in plain["epochs"]:
        del row["seconds"]
    assert run == {name: plain[name] for name in run}


def stop_in_the_second_epoch(progress: Progress) -> None:
    if progress.epoch == 2:
        stop_now(progress)


def test_progress_goes_on_where_it_was(pairs: tuple[Settings, Dataset], tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        before.append(progress)
        stop_in_the_second_epoch(progress)

    before: list[Progress] = []
    after: list[Progress] = []
    whole: list[Progress] = []
    with pytest.raises(Interrupted):
        train(pairs, tmp_path / "parts", stop)
    train(pairs, tmp_path / "parts", after.append)
    train(pairs, tmp_path / "whole", whole.append)
    assert len(after) == 2
    assert before + after == whole


def test_throughput_is_that_of_the_steps_before_and_after_the_stop(
    pairs: tuple[Settings, Dataset], tmp_path: Path
) -> None:
    """But for the first step of each process, which is its warm-up."""

    def measured() -> dict[str, Any]:
        state = Checkpoints(tmp_path, pairs[0].run_id()).latest()
        assert state is not None
        stretch: dict[str, Any] = state.values["stretch"]
        return stretch

    with pytest.raises(Interrupted):
        train(pairs, tmp_path, stop_in_the_second_epoch)
    before = measured()
    train(pairs, tmp_path)
    after = measured()
    assert (before["steps"], after["steps"]) == (4 - 1, 4 - 1 + 2 - 1)
    assert after["seconds"] > before["seconds"] > 0


def test_a_damaged_checkpoint_costs_a_step_and_nothing_else(
    pairs: tuple[Settings, Dataset], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = train(pairs, tmp_path / "whole")
    parts = tmp_path / "parts"
    with pytest.raises(Interrupted), signalled_in_forward(5):
        train(pairs, parts)
    newest = max(parts.iterdir())
    os.truncate(newest, newest.stat().st_size // 2)
    found = train(pairs, parts)
    (complaint,) = complaints(caplog)
    assert str(newest) in complaint
    assert_same(pairs[0], (found, parts), (expected, tmp_path / "whole"))


def test_a_run_that_can_write_no_checkpoint_ends_all_the_same(
    pairs: tuple[Settings, Dataset], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert train(pairs, tmp_path / "file" / "folder") == train(pairs, tmp_path / "whole")
    assert len(complaints(caplog)) == 1


@pytest.mark.parametrize(("every_s", "files"), [(3600, 0), (0, 2)])
def test_checkpoints_are_left_every_so_many_seconds(
    pairs: tuple[Settings, Dataset], tmp_path: Path, every_s: float, files: int
) -> None:
    checkpoints = Checkpoints(tmp_path, pairs[0].run_id())
    run_training(*pairs, checkpoints=checkpoints, every_s=every_s)
    assert len(list(tmp_path.iterdir())) == files


def test_an_interrupted_run_is_no_failed_run(tiny: SettingsOf, cache: Path, tmp_path: Path) -> None:
    settings = tiny(f"paths.cache={cache}")
    job = Job(settings.run_id(), settings, tmp_path, machine_shared=False)
    with pytest.raises(Interrupted), interruptible(), signalled_in_forward(2):
        execute(job, "here")
    assert not run_path(tmp_path, job.run_id).exists()
    assert execute(job, "here"), "nobody holds it"
    assert read_status(tmp_path, job.run_id) == ("done", None)


def test_a_stopped_runs_duration_is_that_of_all_its_slices(tiny: SettingsOf, cache: Path, tmp_path: Path) -> None:
    settings = tiny(f"paths.cache={cache}")
    job = Job(settings.run_id(), settings, tmp_path, machine_shared=False)
    slices = []
    for _ in range(2):
        begun = time.perf_counter()
        with pytest.raises(Interrupted), interruptible(), signalled_in_forward(2):
            execute(job, "here")
        slices.append(time_in_checkpoint(job))
        assert slices[-1] - sum(slices[:-1]) <= time.perf_counter() - begun, "what was between is not counted"
    assert execute(job, "here")
    assert read_run(run_path(tmp_path, job.run_id))["duration_s"] > slices[1] > slices[0] > 0


def time_in_checkpoint(job: Job) -> float:
    checkpoints = Checkpoints(job.files.checkpoints, job.run_id)
    before = checkpoints.seconds()
    checkpoints.latest()
    return checkpoints.seconds() - before


@pytest.mark.fault(
    "A training process gets SIGUSR2, SIGTERM or kill -9.",
    "Another goes on from its checkpoint; the result is bit for bit that of an uninterrupted run.",
)
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM", "SIGKILL"])
def test_another_process_goes_on_where_a_stopped_or_killed_one_was(
    name: str, tiny: SettingsOf, data: Dataset, cache: Path, tmp_path: Path
) -> None:
    settings = tiny("optim.epochs=2", "model.dropout=0.2", "model.initial_firing_rate=0.1")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = [settings_to_json(settings), str(parts), str(cache), name, "6"]
    stopped = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("stop_itself.py")), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if name == "SIGKILL":
        assert stopped.returncode == -signal.SIGKILL
    else:
        assert f"Interrupted: Asked to stop by {name}." in stopped.stderr
    reports: list[Progress] = []
    found = train((settings, data), parts, reports.append)
    assert len(reports) == 8 - 6 + (name == "SIGKILL"), "the step at which it was killed is done again"
    assert_same(settings, (found, parts), (train((settings, data), whole), whole))
