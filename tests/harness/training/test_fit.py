"""Training and evaluation: what is trained on what, in which order, and what is measured of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.system.environment import pick_device
from spike_ssm.harness.system.seeds import epoch_order, seed_torch
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.evaluation import evaluate
from spike_ssm.harness.training.fit import Hooks, run_training
from spike_ssm.harness.training.network_measures import counted
from spike_ssm.harness.training.schedule import learning_rate_factor
from spike_ssm.harness.training.stopwatch import Stopwatch, Stretch
from spike_ssm.harness.training.trainer import Progress, Trainer, firing_rate_penalty
from spike_ssm.models.activity import record_activity
from spike_ssm.models.calibration import TOLERANCE
from spike_ssm.models.operations import Operations, Part
from spike_ssm.models.ssm import choice
from spike_ssm.results.energy import energy_of
from spike_ssm.results.errors import UnpreparedError, UserError
from spike_ssm.results.reading import read_run
from spike_ssm.results.schema import RUN
from spike_ssm.results.store import prepare_folder, write_run

CPU = torch.device("cpu")

SettingsOf = Callable[..., Settings]


def train(settings: Settings, data: Dataset) -> dict[str, Any]:
    return run_training(settings, data)


def trainer_of(settings: Settings, data: Dataset) -> Trainer:
    return Trainer(settings, data, lambda _: None)


# --- the learning rate

schedules = st.integers(0, 50).flatmap(lambda warmup: st.tuples(st.just(warmup), st.integers(warmup + 1, 300)))


@given(schedules)
def test_the_rate_rises_in_equal_steps_to_1_at_the_end_of_the_warm_up(schedule: tuple[int, int]) -> None:
    warmup, total = schedule
    rates = [0.0, *(learning_rate_factor(step, warmup, total) for step in range(warmup))]
    assert np.diff(rates) == pytest.approx(1 / max(warmup, 1))
    assert learning_rate_factor(warmup, warmup, total) == 1


@given(schedules)
def test_after_the_warm_up_the_rate_falls_along_half_a_cosine_to_0(schedule: tuple[int, int]) -> None:
    warmup, total = schedule
    rates = [learning_rate_factor(step, warmup, total) for step in range(warmup, total + 1)]
    assert (np.diff(rates) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert np.array(rates) == pytest.approx(1 - np.array(rates)[::-1], abs=1e-12), "symmetric about one half"
    if len(rates) % 4 == 1:
        assert rates[len(rates) // 4] == pytest.approx(0.5 + math.sqrt(0.5) / 2)


def test_a_trained_run_goes_through_the_whole_schedule(tiny: SettingsOf, data: Dataset) -> None:
    """4 steps an epoch: 6 of warm-up, 6 of cosine; every group keeps its own peak."""
    trainer = trainer_of(tiny("optim.epochs=3", "optim.warmup_epochs=1.5", "optim.lr=0.1", "optim.ssm_lr=0.02"), data)
    groups = {group["name"]: group for group in trainer.optimiser.param_groups}
    assert groups["decayed"]["lr"] == pytest.approx(0.1 / 6)
    assert groups["ssm"]["lr"] == pytest.approx(0.02 / 6)
    for _ in range(3):
        trainer.epoch()
    expected = [0.1 * 5 / 6, 0.1 * 0.75, 0.0]
    assert [row["learning_rate"] for row in trainer.history] == pytest.approx(expected, abs=1e-12)


# --- randomness


@pytest.mark.parametrize(
    "words",
    [(), ("model.initial_firing_rate=0.1", "optim.firing_rate_target=0.1", "optim.firing_rate_weight=1")],
    ids=["plain", "calibrated and regularised"],
)
def test_the_same_settings_give_the_same_numbers_bit_for_bit(
    tiny: SettingsOf, data: Dataset, words: tuple[str, ...]
) -> None:
    settings = tiny("optim.epochs=2", "model.dropout=0.2", *words)
    first = train(settings, data)
    torch.manual_seed(12345)  # what happened before must not matter
    second = train(settings, data)
    timed = {name for name in first if name.startswith(("train_", "test_"))} - {"test_accuracy"} | {"peak_memory_mib"}
    for row in (*first["epochs"], *second["epochs"]):
        del row["seconds"]
    assert {k: v for k, v in first.items() if k not in timed} == {k: v for k, v in second.items() if k not in timed}


def test_another_seed_gives_other_numbers(tiny: SettingsOf, data: Dataset) -> None:
    losses = {train(tiny(f"seed={seed}"), data)["epochs"][0]["train_loss"] for seed in (0, 1)}
    assert len(losses) == 2


NONE = ("neuron.refractory=0", "neuron.refractory_trainable=false", "neuron.threshold_trainable=false")
ALL = ("neuron.decay_trainable=true", "neuron.leak_trainable=true", "neuron.leak=0.9")


def test_variants_of_one_seed_start_from_the_same_weights_but_for_the_neurons_own(
    tiny: SettingsOf, data: Dataset
) -> None:
    none, all_, other = (
        trainer_of(tiny("model.layers=2", *words), data).network.state_dict() for words in (NONE, ALL, ("seed=1",))
    )
    shared = [name for name in none if ".neuron_at." not in name]
    assert len(shared) > 10
    assert shared == [name for name in all_ if ".neuron_at." not in name]
    assert all(torch.equal(none[name], all_[name]) for name in shared)
    assert not torch.equal(none["backbone.encoder.weight"], other["backbone.encoder.weight"])


def test_variants_of_one_seed_see_the_same_batches(tiny: SettingsOf, data: Dataset) -> None:
    def seen(*words: str) -> list[list[list[int]]]:
        trainer = trainer_of(tiny("optim.epochs=2", *words), data)
        batches: list[list[list[int]]] = []
        trainer.network.backbone.encoder.register_forward_hook(lambda _, args, __: batches.append(args[0].tolist()))
        trainer.epoch()
        trainer.epoch()
        return batches

    none = seen(*NONE)
    assert none == seen(*ALL)
    assert none != seen("seed=1")
    epoch = len(none) // 2
    assert none[:epoch] != none[epoch:], "every epoch has an order of its own"


def test_the_noise_of_a_step_does_not_depend_on_what_was_drawn_before_it(tiny: SettingsOf, data: Dataset) -> None:
    """A variant that draws numbers of its own leaves the dropout of the others' steps as it is."""

    def draw(*_: Any) -> None:
        torch.rand(1)

    plain, drawing = (trainer_of(tiny("model.dropout=0.5"), data) for _ in range(2))
    drawing.network.head.register_forward_hook(draw)
    plain.epoch()
    drawing.epoch()
    weights = zip(plain.network.parameters(), drawing.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)


@given(st.integers(0, 100), st.integers(1, 100), st.integers(1, 200))
def test_an_epoch_visits_every_example_once_in_an_order_that_only_seed_and_epoch_decide(
    seed: int, epoch: int, examples: int
) -> None:
    order = epoch_order(seed, epoch, examples)
    assert sorted(order) == list(range(examples))
    assert (epoch_order(seed, epoch, examples) == order).all()


def test_streams_and_positions_are_independent() -> None:
    def drawn(*stream: Any) -> float:
        seed_torch(*stream)
        return float(torch.rand(()))

    places = [
        (0, "initialisation"),
        (0, "noise"),
        (1, "noise"),
        (0, "noise", 1),
        (0, "noise", 1, 2),
        (0, "noise", 2, 1),
        (0, "evaluation", 1, 2),
    ]
    assert len({drawn(*place) for place in places}) == len(places)
    assert drawn(0, "noise", 1, 2) == drawn(0, "noise", 1, 2)


# --- evaluation


@pytest.mark.parametrize("words", [(), ("model.norm=layer", "model.prenorm=true"), ("model.bidirectional=false",)])
def test_an_evaluation_covers_every_example_whatever_the_batches_are(
    tiny: SettingsOf, data: Dataset, words: tuple[str, ...]
) -> None:
    """Batches of one have no padding, batches of 7 leave a smaller last one: no padding leaks into the scores."""
    trainer = trainer_of(tiny("model.layers=2", "optim.lr=0.05", *words), data)
    trainer.epoch()
    alone = evaluate(trainer.network, data.test, 1, CPU)
    assert alone.labels.tolist() == data.test.labels.tolist()
    assert len(alone.predictions) == len(alone.scores) == 32
    assert alone.scores.std() > 1e-4, "a network that says the same of everything would prove nothing"
    for batch_size in (7, 16, 32, 100):
        together = evaluate(trainer.network, data.test, batch_size, CPU)
        assert together.labels.tolist() == alone.labels.tolist()
        assert together.predictions.tolist() == alone.predictions.tolist()
        torch.testing.assert_close(together.scores, alone.scores, rtol=1e-4, atol=1e-5)
        assert together.loss == pytest.approx(alone.loss, rel=1e-4)
        assert together.accuracy == alone.accuracy


def test_accuracy_is_the_share_of_right_answers_and_loss_the_mean_over_examples(
    tiny: SettingsOf, data: Dataset
) -> None:
    network = trainer_of(tiny(), data).network
    found = evaluate(network, data.validation, 10, CPU)
    assert found.accuracy == float((found.predictions == found.labels).double().mean())
    losses = []
    for sequence, label in zip(data.validation.sequences[0], data.validation.labels, strict=True):
        tokens = torch.from_numpy(sequence.astype(np.int64))[None]
        with torch.no_grad():
            scores = network(tokens, torch.tensor([tokens.shape[1]])).log_softmax(-1)
        losses.append(-float(scores[0, int(label)]))
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-4)


def test_an_evaluation_changes_nothing_in_the_network(tiny: SettingsOf, data: Dataset) -> None:
    network = trainer_of(tiny("model.dropout=0.5"), data).network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluations = [evaluate(network, data.test, 16, CPU) for _ in range(2)]
    assert torch.equal(evaluations[0].scores, evaluations[1].scores), "no dropout, no running statistics"
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_stochastic_neurons_draw_the_same_noise_in_every_evaluation_of_a_seed_and_epoch(
    tiny: SettingsOf, data: Dataset
) -> None:
    network = trainer_of(tiny("neuron=pspike"), data).network

    def scores(*noise: int) -> Tensor:
        torch.rand(1)  # what was drawn before must not matter
        return evaluate(network, data.test, 16, CPU, noise=noise).scores  # type: ignore[arg-type]

    assert torch.equal(scores(0, 1), scores(0, 1))
    assert not torch.equal(scores(0, 1), scores(0, 2))
    assert not torch.equal(scores(0, 1), scores(1, 1))


def test_evaluations_do_not_disturb_the_noise_of_training(tiny: SettingsOf, data: Dataset) -> None:
    plain, evaluated = (trainer_of(tiny("neuron=pspike", "optim.epochs=2"), data) for _ in range(2))
    for _ in range(2):
        plain.epoch()
        evaluate(evaluated.network, data.test, 7, CPU)
        evaluated.epoch()
    weights = zip(plain.network.parameters(), evaluated.network.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)


# --- firing rates in training


def test_training_starts_with_the_firing_rate_asked_for_on_its_first_batch(tiny: SettingsOf, data: Dataset) -> None:
    words = ("model.layers=2", "model.channels=32", "optim.length_pool=2")

    def at_the_first_step(*more: str) -> list[float]:
        rates: list[list[float]] = []
        trainer = trainer_of(tiny(*words, *more), data)
        with record_activity(trainer.network) as layers:
            trainer.network.register_forward_hook(lambda *_: rates.append([layer.firing_rate for layer in layers]))
            trainer.epoch()
        return rates[0]

    assert at_the_first_step("model.initial_firing_rate=0.25") == pytest.approx([0.25, 0.25], rel=TOLERANCE)
    assert max(at_the_first_step()) < 0.2


def test_the_thresholds_before_training_are_the_calibrated_ones(tiny: SettingsOf, data: Dataset) -> None:
    settings = tiny("model.layers=2", "model.initial_firing_rate=0.1")
    expected = [neuron.parameter_summary()["threshold"] for neuron in trainer_of(settings, data).network.neurons]
    assert [layer["threshold_before"] for layer in train(settings, data)["layers"]] == expected
    assert 1.0 not in expected


def test_the_penalty_is_the_mean_squared_distance_of_the_layers_rates_from_the_target() -> None:
    assert firing_rate_penalty([torch.tensor(0.5), torch.tensor(0.2)], 0.3) == pytest.approx((0.04 + 0.01) / 2)
    assert firing_rate_penalty([], 0.3) == 0


def test_a_penalty_pulls_firing_rates_to_the_target(tiny: SettingsOf, data: Dataset) -> None:
    words = ("model.layers=2", "optim.epochs=6", "optim.lr=0.02")

    def trained(*more: str) -> float:
        return float(train(tiny(*words, *more), data)["firing_rate"])

    low, high = (
        trained(f"optim.firing_rate_target={target}", "optim.firing_rate_weight=100") for target in (0.02, 0.3)
    )
    assert low < 0.6 * trained()
    assert high > 1.3 * trained()


def test_the_training_loss_of_a_row_is_the_cross_entropy_alone(tiny: SettingsOf, data: Dataset) -> None:
    still = ("optim.lr=0", "optim.ssm_lr=0", "optim.weight_decay=0")
    penalty = ("optim.firing_rate_target=0.9", "optim.firing_rate_weight=100")
    plain, penalised = (trainer_of(tiny(*still, *words), data) for words in ((), penalty))
    plain.epoch()
    penalised.epoch()
    assert penalised.history[0]["train_loss"] == plain.history[0]["train_loss"]


def test_a_run_of_neurons_that_do_not_spike_has_no_firing_rates_and_the_energy_of_a_dense_network(
    tiny: SettingsOf, data: Dataset, tmp_path: Path
) -> None:
    penalty = ("optim.firing_rate_target=0.1", "optim.firing_rate_weight=1")
    settings = tiny("neuron=gelu", "model.layers=2", "model.initial_firing_rate=0.1", *penalty)
    row = read_run(write_run(tmp_path, {"id": "x", **train(settings, data)}))
    for place in (row, *row["layers"]):
        assert [place[name] for name in ("firing_rate", "silent", "saturated")] == [None] * 3
    assert [layer["threshold_before"] for layer in row["layers"]] == [None] * 2
    assert all(layer["input_std"] > 0 for layer in row["layers"])
    assert row["energy_nj_per_token"] == row["dense_energy_nj_per_token"] > 0


# --- a whole run


def test_the_tested_weights_are_those_of_the_best_validation_epoch(tiny: SettingsOf, data: Dataset) -> None:
    """Retrace a run whose best epoch is not its last, and stop there."""
    for seed in range(20):
        settings = tiny("optim.epochs=4", "optim.lr=0.05", f"seed={seed}")
        run = train(settings, data)
        validation = [row["validation_accuracy"] for row in run["epochs"]]
        assert run["best_epoch"] == 1 + int(np.argmax(validation)), "the earliest of equals"
        assert run["validation_accuracy"] == max(validation)
        if run["best_epoch"] < 4:
            break
    else:
        pytest.fail("the last epoch was the best in every run")
    trainer = trainer_of(settings, data)
    for _ in range(run["best_epoch"]):
        trainer.epoch()
    test = evaluate(trainer.network, data.test, settings.optim.batch_size, CPU)
    assert [row["score"] for row in run["predictions"]] == test.scores.tolist()
    assert run["test_accuracy"] == run["best_test_accuracy"] == test.accuracy
    while not trainer.finished:
        trainer.epoch()
    last = evaluate(trainer.network, data.test, settings.optim.batch_size, CPU).accuracy
    assert run["last_test_accuracy"] == last
    other = train(tiny("optim.epochs=4", "optim.lr=0.05", f"seed={seed}", "optim.tested_weights=last"), data)
    assert (other["tested_weights"], other["test_accuracy"]) == ("last", last)
    assert other["best_test_accuracy"] == test.accuracy
    assert other["validation_accuracy"] == validation[-1]


def test_a_run_says_what_its_row_promises(tiny: SettingsOf, data: Dataset, tmp_path: Path) -> None:
    settings = tiny("model.layers=2", "optim.epochs=2", "neuron.leak=0.8", "neuron.leak_trainable=true")
    run = train(settings, data)
    assert set(run) <= set(RUN.names)
    row = read_run(write_run(tmp_path, {"id": "x", **run}))
    predictions = row["predictions"]
    assert [each["example"] for each in predictions] == list(range(32))
    assert [each["label"] for each in predictions] == data.test.labels.tolist()
    assert np.mean([each["prediction"] == each["label"] for each in predictions]) == row["test_accuracy"]
    assert all(0.1 <= each["score"] <= 1 for each in predictions), "the largest of ten"
    assert [each["epoch"] for each in row["epochs"]] == [1, 2]
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds"):
        assert all(each[name] >= 0 for each in row["epochs"])
    assert [layer["layer"] for layer in row["layers"]] == [0, 1]
    for layer in row["layers"]:
        assert all(0 <= layer[name] <= 1 for name in ("firing_rate", "silent", "saturated"))
        assert layer["input_std"] > 0
        assert layer["leak_before"] == pytest.approx(0.8, abs=1e-6)
        assert layer["leak_after"] != layer["leak_before"]
        assert layer["decay_after"] == layer["decay_before"] == pytest.approx(0.5)
    assert row["firing_rate"] == pytest.approx(np.mean([layer["firing_rate"] for layer in row["layers"]]))
    assert row["firing_rate"] > 0
    assert 0 < row["energy_nj_per_token"] < row["dense_energy_nj_per_token"]
    assert row["energy_nj_per_token"] == pytest.approx(energy_of(row["operations"]))
    assert row["projection_energy_nj_per_token"] == pytest.approx(energy_of(row["operations"], "projection"))
    rates = {layer["layer"]: layer["firing_rate"] for layer in row["layers"]}
    for part in row["operations"]:
        if part["part"] == "projection":
            assert part["accumulates"] == pytest.approx(2 * 8 + 2 * 8 * 8 * rates[part["layer"]])
    assert row["undetermined"] == 0
    trained = [p for p in trainer_of(settings, data).network.parameters() if p.requires_grad]
    assert row["parameters"] == sum(p.numel() for p in trained)
    for name in ("train_samples_per_s", "train_tokens_per_s", "train_ms_per_step", "test_tokens_per_s"):
        assert row[name] > 0
    assert row["peak_memory_mib"] > 10


def test_a_runs_row_says_how_its_ssm_was_computed(
    tiny: SettingsOf, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "MOST_NUMBERS", {})
    for way, stated in (("auto", "fft_or_product"), ("scan", "scan"), ("scan_or_product", "scan_or_product")):
        run = train(tiny(f"model.convolution={way}", "test=false"), data)
        assert read_run(write_run(prepare_folder(tmp_path / way), {"id": "x", **run}))["convolution"] == stated


def test_a_run_reports_its_progress_up_to_1(tiny: SettingsOf, data: Dataset) -> None:
    reports: list[Progress] = []
    run_training(tiny("optim.epochs=2"), data, Hooks(reports.append))
    assert [report.done for report in reports] == pytest.approx([step / 8 for step in range(1, 9)])
    assert {(report.epoch, report.epochs) for report in reports} == {(1, 2), (2, 2)}
    assert reports[3].validation_accuracy is None, "none before the first epoch is over"
    assert reports[4].validation_accuracy is not None


def test_training_learns(tiny: SettingsOf, data: Dataset) -> None:
    losses = [row["train_loss"] for row in train(tiny("optim.epochs=12", "optim.lr=0.02"), data)["epochs"]]
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("words", [(), ("neuron.threshold_trainable=false", "neuron.refractory_trainable=false")])
def test_training_that_diverges_says_so_and_names_the_learning_rates(
    tiny: SettingsOf, data: Dataset, words: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match=r"Training diverged in epoch 1, step \d+: .* Lower optim\.lr \(1e\+30\)"):
        train(tiny("optim.lr=1e30", *words), data)


def test_a_loss_that_is_no_number_names_the_step_the_layer_and_the_last_good_checkpoint(
    tiny: SettingsOf, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falls_ill(*arguments: Any) -> Trainer:
        trainer = Trainer(*arguments)
        trainer.network.blocks[1].ssm.register_forward_hook(
            lambda _module, _inputs, y: y * (math.nan if trainer.position.step == 3 else 1.0)
        )
        return trainer

    monkeypatch.setattr("spike_ssm.harness.training.fit.Trainer", falls_ill)
    checkpoints = Checkpoints(tmp_path, "run")
    with pytest.raises(UserError) as refusal:
        run_training(tiny("neuron=gelu", "model.layers=2"), data, checkpoints=checkpoints, every_s=0)
    sentence = str(refusal.value)
    assert "step 4: The loss is nan." in sentence
    assert "The first values that are not finite are the output of backbone.blocks.1.ssm." in sentence
    assert f"The last good checkpoint is {tmp_path}" in sentence
    kept = Checkpoints(tmp_path, "run").latest()
    assert kept is not None
    assert kept.values["position"]["step"] == 3


@pytest.mark.fault(
    "The loss of a validation is no number.",
    "The run has failed, with a sentence that says so; such an epoch is never the best one.",
)
def test_a_validation_whose_loss_is_no_number_is_never_the_best_one(
    tiny: SettingsOf, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falls_ill(*arguments: Any) -> Trainer:
        trainer = Trainer(*arguments)
        trainer.network.blocks[0].ssm.register_forward_hook(
            lambda _module, _inputs, y: y * (1.0 if trainer.network.training else math.nan)
        )
        return trainer

    monkeypatch.setattr("spike_ssm.harness.training.fit.Trainer", falls_ill)
    with pytest.raises(UserError, match=r"diverged in epoch 1, step 4: The loss of the validation is nan\."):
        run_training(tiny("neuron=gelu"), data)


def test_a_cuda_device_is_asked_for_in_vain_where_there_is_none() -> None:
    assert pick_device("cpu", gpus=1) == CPU
    if torch.cuda.is_available():
        assert pick_device("cuda").type == pick_device("auto").type == "cuda"
        return
    assert pick_device("auto") == CPU
    for name, gpus, asked in (("cuda", 0, "device=cuda"), ("auto", 1, "launcher.gpus=1")):
        with pytest.raises(UnpreparedError, match=f"^{asked}, but torch .* sees no CUDA device .* Use device=cpu"):
            pick_device(name, gpus)


# --- measures


def test_operations_are_counted_at_each_layers_firing_rate() -> None:
    parts = [Part("projection", layer, Operations(10, 4, 20)) for layer in (0, 1)] + [Part("head", None, Operations(7))]
    rows = counted(parts, [0.25, 0.5])
    assert [(row["layer"], row["multiply_accumulates"], row["accumulates"]) for row in rows] == [
        (0, 10, 9),
        (1, 10, 14),
        (None, 7, 0),
    ]


def test_a_stopwatch_leaves_the_warm_up_out() -> None:
    watch = Stopwatch(CPU, warmup=1)
    for examples, tokens in ((100, 1000), (2, 30), (4, 50)):
        watch.start()
        time.sleep(0.02)
        watch.stop(examples, tokens)
    rates = watch.rates()
    assert rates["ms_per_step"] is not None
    assert rates["ms_per_step"] >= 20
    seconds = 2 * rates["ms_per_step"] / 1000
    assert rates["samples_per_s"] == pytest.approx(6 / seconds)
    assert rates["tokens_per_s"] == pytest.approx(80 / seconds)


def test_a_stopwatch_may_go_on_from_an_earlier_stretch() -> None:
    watch = Stopwatch(CPU, stretch=Stretch(steps=1, examples=2, tokens=30, seconds=10.0))
    watch.start()
    watch.stop(4, 50)
    rates = watch.rates()
    assert rates["tokens_per_s"] == pytest.approx(80 / watch.stretch.seconds)
    assert rates["ms_per_step"] == pytest.approx(1000 * watch.stretch.seconds / 2)
    assert watch.stretch.seconds > 10


def test_a_stopwatch_that_never_ran_has_no_rates() -> None:
    watch = Stopwatch(CPU, warmup=1)
    watch.start()
    watch.stop(1, 1)
    assert watch.rates() == {"samples_per_s": None, "tokens_per_s": None, "ms_per_step": None}
