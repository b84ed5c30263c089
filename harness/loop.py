"""Training and evaluating one network: plain functions of settings and data."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.errors import UserError
from harness.metrics import Stopwatch, memory_mib, network_measures
from harness.settings import OptimSettings, Settings
from harness.streams import epoch_order, seed_torch
from harness.tasks import Batch, Dataset, Split, batches
from harness.tasks.splits import in_document_order
from models.activity import collect_firing_rates, record_activity
from models.calibration import calibrate_thresholds
from models.network import IGNORED, Inputs, Network, Scored, build_network, parameter_groups

MAX_EXPONENT = 700.0  # of e, in double precision


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `done` is the finished share of its training, in [0, 1]."""

    epoch: int  # counted from 1
    epochs: int
    done: float
    loss: float  # running mean of the epoch, nats
    validation_accuracy: float | None  # of the latest finished epoch


@dataclass(frozen=True)
class Evaluation:
    """Mean loss and accuracy over a split's targets, and each target's label, prediction and its probability, [n]."""

    loss: float
    accuracy: float
    labels: Tensor
    predictions: Tensor
    scores: Tensor


def pick_device(name: str) -> torch.device:
    """The torch device of `auto`, `cpu` or `cuda`. Raises `UserError` when there is no CUDA device."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device=cuda, but torch sees no CUDA device here. Use device=auto or device=cpu.")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Linear from 0 to 1 over `warmup` steps, then half a cosine down to 0 at `total`; steps count from 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


@torch.no_grad()
def evaluate(
    network: Network,
    split: Split,
    batch_size: int,
    device: torch.device,
    watch: Stopwatch | None = None,
    *,
    noise: tuple[int, int] = (0, 0),
) -> Evaluation:
    """Every example of `split` once, in evaluation mode; the last batch may be smaller.

    noise: seed and position of what stochastic neurons draw, so that an evaluation repeats; the position is the
    epoch, 0 for the test.
    """
    network.eval()
    watch = watch or Stopwatch(device)
    losses, scores, predictions, labels = 0.0, [], [], []
    seed, epoch = noise
    for step, batch in enumerate(batches(split, batch_size)):
        seed_torch(seed, "evaluation", epoch, step)
        here = batch.to(device)
        watch.start()
        scored = network.score(here.inputs, here.lengths, here.labels, predict=True)
        watch.stop(len(batch.examples), int(batch.lengths.sum()))
        losses += float(scored.loss) * scored.count
        scores.append(scored.scores.cpu())
        predictions.append(scored.predictions.cpu())
        labels.append(batch.labels[batch.labels != IGNORED])
    label, prediction = torch.cat(labels), torch.cat(predictions)
    accuracy = float((label == prediction).double().mean())
    return Evaluation(losses / len(label), accuracy, label, prediction, torch.cat(scores))


def firing_rate_penalty(rates: Sequence[Tensor], target: float) -> Tensor | float:
    """Mean of (firing rate - target)^2 over the layers' rates, each []; 0 where no layer spikes."""
    return sum((rate - target).square() for rate in rates) / max(len(rates), 1)


class Trainer:
    """A network in training: one call of `epoch` after the other."""

    def __init__(self, settings: Settings, data: Dataset, report: Callable[[Progress], None]) -> None:
        self.settings = settings
        self.data = data
        self.report = report
        self.device = pick_device(settings.device)
        seed_torch(settings.seed, "initialisation")
        self.network = build_network(
            data.kind, Inputs(data.vocabulary), data.facts.classes, settings.model, settings.neuron
        ).to(self.device)
        optim = settings.optim
        self.optimiser = torch.optim.AdamW(parameter_groups(self.network, optim.lr, optim.ssm_lr, optim.weight_decay))
        self.steps_per_epoch = math.ceil(len(data.train) / optim.batch_size)
        self.schedule = _schedule(self.optimiser, optim, self.steps_per_epoch)
        self.watch = Stopwatch(self.device, warmup=min(10, self.steps_per_epoch // 2))
        self.validation_accuracy: float | None = None
        if settings.model.initial_firing_rate is not None:
            self._calibrate(settings.model.initial_firing_rate)

    def _calibrate(self, firing_rate: float) -> None:
        """Set the initial thresholds on the first training batch, in training mode: as the first step will see it."""
        seed_torch(self.settings.seed, "noise", 0)
        here = next(self._batches(1)).to(self.device)
        self.network.train()
        calibrate_thresholds(self.network, here.inputs, here.lengths, firing_rate)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        optim, train = self.settings.optim, self.data.train
        if self.data.kind == "language":
            order = in_document_order(train, optim.batch_size)
        else:
            order = epoch_order(self.settings.seed, epoch, len(train))
        return batches(train, optim.batch_size, order, optim.length_pool)

    def epoch(self, epoch: int) -> dict[str, float | None]:
        """Train one epoch (counted from 1) and validate; returns its row of `results.schema.EPOCHS`."""
        started = time.perf_counter()
        optim, seed = self.settings.optim, self.settings.seed
        self.network.train()
        loss_sum, correct, seen = 0.0, 0, 0
        counts_answers = self.data.kind != "language"  # the likeliest of many words costs as much again as the loss
        for step, batch in enumerate(self._batches(epoch)):
            seed_torch(seed, "noise", epoch, step)
            scored = self._step(batch, predict=counts_answers)
            seen += scored.count
            loss_sum += float(scored.loss.detach()) * scored.count
            if counts_answers:
                correct += int((scored.predictions.cpu() == batch.labels).sum())
            self._report(epoch, step, loss_sum / seen)
        validation = evaluate(self.network, self.data.validation, optim.batch_size, self.device, noise=(seed, epoch))
        self.validation_accuracy = validation.accuracy
        return {
            "epoch": epoch,
            "train_loss": loss_sum / seen,
            "train_accuracy": correct / seen if counts_answers else None,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy,
            "learning_rate": self.optimiser.param_groups[-1]["lr"],
            "seconds": time.perf_counter() - started,
        }

    def _step(self, batch: Batch, *, predict: bool) -> Scored:
        """One update; loss and answers of the batch before it."""
        here = batch.to(self.device)
        self.watch.start()
        scored, penalty = self._forward(here, predict)
        self.optimiser.zero_grad(set_to_none=True)
        (scored.loss + penalty).backward()
        self.optimiser.step()
        self.schedule.step()
        self.watch.stop(len(batch.examples), int(batch.lengths.sum()))
        return scored

    def _forward(self, here: Batch, predict: bool) -> tuple[Scored, Tensor | float]:
        """Loss and answers, and the weighted penalty on firing rates, 0 where none is asked for."""
        optim = self.settings.optim
        if optim.firing_rate_target is None:
            return self.network.score(here.inputs, here.lengths, here.labels, predict=predict), 0.0
        with collect_firing_rates(self.network) as rates:
            scored = self.network.score(here.inputs, here.lengths, here.labels, predict=predict)
        return scored, optim.firing_rate_weight * firing_rate_penalty(rates, optim.firing_rate_target)

    def _report(self, epoch: int, step: int, loss: float) -> None:
        epochs = self.settings.optim.epochs
        done = (epoch - 1 + (step + 1) / self.steps_per_epoch) / epochs
        self.report(Progress(epoch, epochs, done, loss, self.validation_accuracy))


def _schedule(
    optimiser: torch.optim.Optimizer, optim: OptimSettings, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LambdaLR:
    warmup, total = round(optim.warmup_epochs * steps_per_epoch), optim.epochs * steps_per_epoch
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, warmup, total))


def run_training(settings: Settings, data: Dataset, report: Callable[[Progress], None]) -> dict[str, Any]:
    """Train, take the weights of the best validation accuracy, or perplexity (the earliest of equals), test them.

    Returns the columns of `results.schema.RUN` that follow from training.
    """
    trainer = Trainer(settings, data, report)
    network, device = trainer.network, trainer.device
    before = [neuron.parameter_summary() for neuron in network.neurons]
    language = data.kind == "language"
    epochs: list[dict[str, Any]] = []
    best_weights: dict[str, Tensor] = {}
    peak_memory = 0.0
    for epoch in range(1, settings.optim.epochs + 1):
        epochs.append(_epoch_or_divergence(trainer, epoch))
        peak_memory = max(peak_memory, memory_mib(device))
        best = max(epochs, key=lambda row: -row["validation_loss"] if language else row["validation_accuracy"])
        if best is epochs[-1]:
            best_weights = copy.deepcopy(network.state_dict())
    network.load_state_dict(best_weights)
    watch = Stopwatch(device, warmup=1)
    with record_activity(network) as activity:
        test = evaluate(network, data.test, settings.optim.batch_size, device, watch, noise=(settings.seed, 0))
    return {
        "test_accuracy": test.accuracy,
        "validation_accuracy": best["validation_accuracy"],
        **({"test_perplexity": _perplexity(test.loss)} if language else {}),
        **({"validation_perplexity": _perplexity(best["validation_loss"])} if language else {}),
        "best_epoch": best["epoch"],
        "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "peak_memory_mib": peak_memory,
        "epochs": epochs,
        "predictions": [] if language else _predictions(test),
        **{f"train_{name}": value for name, value in trainer.watch.rates().items()},
        **{f"test_{name}": value for name, value in watch.rates().items() if name != "ms_per_step"},
        **network_measures(network, activity, before),
    }


def _perplexity(loss: float) -> float:
    """e to the mean loss a word; infinite where that is too large for a number."""
    return math.exp(loss) if loss < MAX_EXPONENT else math.inf


def _epoch_or_divergence(trainer: Trainer, epoch: int) -> dict[str, float | None]:
    """The epoch's row. A network that was fine at the first step and is not any more has diverged: `UserError`."""
    try:
        return trainer.epoch(epoch)
    except ValueError as error:
        if trainer.schedule.last_epoch == 0:  # counts steps
            raise
        optim = trainer.settings.optim
        raise UserError(
            f"Training diverged in epoch {epoch}: {error} Lower optim.lr ({optim.lr}) or optim.ssm_lr "
            f"({optim.ssm_lr}), or lengthen optim.warmup_epochs ({optim.warmup_epochs})."
        ) from error


def _predictions(test: Evaluation) -> list[dict[str, Any]]:
    columns = zip(test.labels.tolist(), test.predictions.tolist(), test.scores.tolist(), strict=True)
    return [
        {"example": index, "label": label, "prediction": prediction, "score": score}
        for index, (label, prediction, score) in enumerate(columns)
    ]
