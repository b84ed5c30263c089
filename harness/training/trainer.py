"""One network in training, step by step, and its state as a checkpoint holds it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.splits import Batch, batches, in_document_order
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.system.environment import pick_device
from spike_ssm.harness.system.seeds import epoch_order, seed_torch
from spike_ssm.harness.training.checkpoint import State
from spike_ssm.harness.training.data_parallel import ALONE, Processes
from spike_ssm.harness.training.evaluation import evaluate
from spike_ssm.harness.training.schedule import Schedule
from spike_ssm.harness.training.stopwatch import Stopwatch, memory_mib
from spike_ssm.harness.training.trainer_state import Position, TrainerState, from_checkpoint, to_checkpoint
from spike_ssm.models.activity import collect_firing_rates, input_deviations
from spike_ssm.models.calibration import calibrate_thresholds
from spike_ssm.models.diagnosis import first_not_finite
from spike_ssm.models.network import Inputs, Scored, build_network, parameter_groups
from spike_ssm.results.milestones import Milestones, Standing, Stop, standing


@dataclass(frozen=True)
class Progress:
    """How far a run has come; `done` is the finished share of its training, in [0, 1]."""

    epoch: int  # counted from 1
    epochs: int
    done: float
    loss: float  # running mean of the epoch, nats
    validation_accuracy: float | None  # of the latest finished epoch
    standing: Standing | None = None  # after it


def milestones(data: Dataset) -> Milestones:
    """What a network in training on `data` is measured by, without a look at the test set."""
    rules = data.baselines
    return Milestones(
        rules.majority_accuracy,
        rules.shortcut_accuracy,
        rules.shortcut_perplexity,
        test_examples=len(rules.shortcut_answers),
        validation_examples=len(data.validation),
    )


def firing_rate_penalty(rates: Sequence[Tensor], target: float) -> Tensor | float:
    """Mean of (firing rate - target)^2 over the layers' rates, each []; 0 where no layer spikes."""
    return sum((rate - target).square() for rate in rates) / max(len(rates), 1)


class Trainer:
    """A network in training: one call of `epoch` after the other until `finished`.

    With a `state` of the same settings and data it goes on where that was taken. What a step draws follows from the
    seed, the epoch and the step alone, so that on one kind of CPU, with the same versions and threads, the outcome is
    that of a training without a break, bit for bit. Of several `processes` each has a trainer, and all take every step
    together; the first one's state is all of theirs.
    """

    def __init__(
        self,
        settings: Settings,
        data: Dataset,
        report: Callable[[Progress], None],
        state: State | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.settings = settings
        self.data = data
        self.report = report
        self.processes = processes
        self.device = pick_device(settings.device)
        seed_torch(settings.seed, "initialisation")
        self.network = build_network(
            data.kind, Inputs(data.vocabulary), data.facts.classes, settings.model, settings.neuron
        ).to(self.device)
        self.network.backbone.recomputes = settings.launcher.recompute_activations
        optim = settings.optim
        groups = parameter_groups(
            self.network, optim.lr, optim.ssm_lr, optim.weight_decay,
            dt_lr=optim.dt_lr, neuron_weight_decay=optim.neuron_weight_decay,
        )  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, fused=True)
        self.steps_per_epoch = math.ceil(len(data.train) / optim.batch_size)
        self._schedule = Schedule(self.optimiser, optim, self.steps_per_epoch)
        self.past = TrainerState() if state is None else from_checkpoint(state, self.network, self.optimiser)
        self.watch = Stopwatch(self.device, min(10, self.steps_per_epoch // 2), self.past.stretch)
        if state is None:
            self.past.convolution = processes.from_first(self.network.convolution)
        self.network.convolution = self.past.convolution
        if state is None:
            self.past.parameters_before = self._begin()
        processes.take_weights_of_first(self.network)
        self._schedule.set(self.steps_done)
        self._milestones = milestones(data)

    def _begin(self) -> list[dict[str, float]]:
        """The neurons' parameters before training, per layer; thresholds are calibrated first, where that is wanted."""
        if (firing_rate := self.settings.model.initial_firing_rate) is not None:
            calibrate_thresholds(self.network, *self._first_batch(), firing_rate)
        deviations = input_deviations(self.network, *self._first_batch())
        return [
            {**neuron.parameter_summary(), "input_std": deviation}
            for neuron, deviation in zip(self.network.neurons, deviations, strict=True)
        ]

    def _first_batch(self) -> tuple[Tensor, Tensor]:
        """Inputs and lengths; the network is set to see it as the first step will, in training mode."""
        seed_torch(self.settings.seed, "noise", 0)
        here = next(self.batches(1)).to(self.device)
        self.network.train()
        return here.inputs, here.lengths

    @property
    def position(self) -> Position:
        """The epoch and step that training is at."""
        return self.past.position

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows of `results.schema.EPOCHS`, one per finished epoch."""
        return self.past.history

    @property
    def finished(self) -> bool:
        """Whether all epochs are over, or those after which `stop_if` ends the run."""
        return self.position.epoch > self.settings.optim.epochs or self._stops

    @property
    def _stops(self) -> bool:
        """Follows from `history` alone, so that all processes, and those that go on later, are of one mind."""
        rule = self.settings.stop_if
        return rule is not None and Stop.parse(rule).applies(self.history, self._milestones)

    @property
    def steps_done(self) -> int:
        """Steps done in all epochs."""
        return (self.position.epoch - 1) * self.steps_per_epoch + self.position.step

    @property
    def best(self) -> dict[str, Any]:
        """The row of the epoch of the best validation accuracy, or perplexity; the earliest of equals."""
        if self.data.kind == "language":
            return min(self.history, key=lambda row: row["validation_loss"])
        return max(self.history, key=lambda row: row["validation_accuracy"])

    @property
    def _counts_answers(self) -> bool:
        """Whether training looks for right answers: the likeliest of many words costs as much again as the loss."""
        return self.data.kind != "language"

    def epoch(self, after_step: Callable[[], None] = lambda: None) -> None:
        """Train the rest of the epoch that training is in, and validate: a row more in `history`.

        `after_step` may take the `state`. Raises `Interrupted` when the process is asked to stop, after the step
        or between two batches of the validation; the `state` is whole then, too.
        """
        position, seed = self.position, self.settings.seed
        started = time.perf_counter() - position.seconds
        self.network.train()
        for batch in self.batches(position.epoch, position.step):
            seed_torch(seed, "noise", position.epoch, position.step, *self.processes.stream)
            loss, accuracy = self._step_or_divergence(batch)
            position.step += 1
            position.seen += batch.targets
            position.loss_sum += loss * batch.targets
            position.correct += round(accuracy * batch.targets)
            position.seconds = time.perf_counter() - started
            self._schedule.set(self.steps_done)
            self._report()
            after_step()
            self.processes.stop_together()
        self._validate(started)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Batches of an epoch, from number `start` on."""
        optim, train = self.settings.optim, self.data.train
        if self.data.kind == "language":
            order = in_document_order(train, optim.batch_size)
        else:
            order = epoch_order(self.settings.seed, epoch, len(train))
        return batches(train, optim.batch_size, order, optim.length_pool, start=start)

    def _step_or_divergence(self, batch: Batch) -> tuple[float, float]:
        """One update as in `step`. Raises ValueError, which says where, when something is not a finite number."""
        try:
            loss, accuracy = self.step(batch)
            if not math.isfinite(loss):
                raise ValueError(f"The loss is {loss}.")
        except ValueError as error:
            here = batch.to(self.device)
            where = first_not_finite(self.network, here.inputs, here.lengths)
            found = f" The first values that are not finite are {where}." if where else ""
            raise ValueError(f"{error}{found}") from error
        return loss, accuracy

    def step(self, batch: Batch) -> tuple[float, float]:
        """One update; mean loss and share of right answers (0 if not counted) of the whole batch before it."""
        with self.processes.sharing(batch) as (part, weight):
            here = part.to(self.device)
            self.watch.start()
            scored, penalty = self._forward(here, self._counts_answers)
            self.optimiser.zero_grad(set_to_none=True)
            (weight * scored.loss + penalty / self.processes.count).backward()
        self.processes.add_up_gradients(self.network)
        # A step is not taken where the loss is no number, as a GPU finds out without having to stop for the answer.
        self.optimiser.found_inf = (~scored.loss.detach().isfinite()).float()  # type: ignore[attr-defined]
        self.optimiser.step()
        self.watch.stop(len(batch.examples), int(batch.lengths.sum()))
        right = (scored.predictions.cpu() == part.labels).double().mean() if self._counts_answers else 0.0
        loss, accuracy = self.processes.sum(weight * float(scored.loss.detach()), weight * float(right))
        return loss, accuracy

    def _forward(self, here: Batch, predict: bool) -> tuple[Scored, Tensor | float]:
        """Loss and answers, and the weighted penalty on firing rates, 0 where none is asked for."""
        optim = self.settings.optim
        if optim.firing_rate_target is None:
            return self.network.score(here.inputs, here.lengths, here.labels, predict=predict), 0.0
        with collect_firing_rates(self.network) as rates:
            scored = self.network.score(here.inputs, here.lengths, here.labels, predict=predict)
        return scored, optim.firing_rate_weight * firing_rate_penalty(rates, optim.firing_rate_target)

    def _report(self) -> None:
        position, epochs = self.position, self.settings.optim.epochs
        done = self.steps_done / (epochs * self.steps_per_epoch)
        validation_accuracy = self.history[-1]["validation_accuracy"] if self.history else None
        loss = position.loss_sum / position.seen
        stands = standing(self.history, self._milestones)
        self.report(Progress(position.epoch, epochs, done, loss, validation_accuracy, stands))

    def _validate(self, started: float) -> None:
        """End the epoch. Raises ValueError when the loss is not a finite number: no answer of that network counts."""
        position, optim = self.position, self.settings.optim
        noise = (self.settings.seed, position.epoch)
        self.processes.take_weights_of_first(self.network)  # on a GPU, sums may round differently in each process
        validation = evaluate(
            self.network, self.data.validation, optim.batch_size, self.device, noise=noise, processes=self.processes
        )
        if not math.isfinite(validation.loss):
            raise ValueError(f"The loss of the validation is {validation.loss}.")
        row = {
            "epoch": position.epoch,
            "train_loss": position.loss_sum / position.seen,
            "train_accuracy": position.correct / position.seen if self._counts_answers else None,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy,
            "learning_rate": self.optimiser.param_groups[-1]["lr"],
            "seconds": time.perf_counter() - started,
        }
        self.history.append(row)
        if self.best is row:
            self.past.best_weights = copy.deepcopy(self.network.state_dict())
        self.past.peak_memory_mib = max(self.past.peak_memory_mib, memory_mib(self.device))
        self.past.position = Position(position.epoch + 1)

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are numbers still."""
        return all(bool(parameter.isfinite().all()) for parameter in self.network.parameters())

    def state(self) -> State:
        """Everything that a new trainer needs to go on from here; the tensors are the live ones, not copies."""
        return to_checkpoint(self.past, self.network, self.optimiser)
