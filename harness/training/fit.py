"""Training and testing one network: a plain function of settings and data, which may be stopped and go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.state.lease import LostLease
from spike_ssm.harness.system.signals import Interrupted
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.data_parallel import BY_ITSELF, Processes
from spike_ssm.harness.training.testing import Fitted, perplexity, test
from spike_ssm.harness.training.trainer import Progress, Trainer
from spike_ssm.results.errors import UserError
from spike_ssm.results.milestones import DIVERGED_ERROR

SECONDS_BETWEEN_CHECKPOINTS = 300.0


def _ignore(_: Any) -> None:
    """Hear of something and do nothing."""


@dataclass(frozen=True)
class Hooks:
    """Who is told of a training.

    report: how far it has come, after every step. after_epoch: each epoch's row of `results.schema.EPOCHS`. keep: the
    weights that count, a `state_dict`, when all else is done.
    """

    report: Callable[[Progress], None] = _ignore
    after_epoch: Callable[[dict[str, Any]], None] = _ignore
    keep: Callable[[dict[str, Tensor]], None] = _ignore


def run_training(
    settings: Settings,
    data: Dataset,
    hooks: Hooks = Hooks(),
    *,
    checkpoints: Checkpoints | None = None,
    every_s: float = SECONDS_BETWEEN_CHECKPOINTS,
    together: AbstractContextManager[Processes] = BY_ITSELF,
) -> dict[str, Any]:
    """Train and, unless the settings say `test=false`, test: the columns of `results.schema.RUN` that follow.

    A training that `stop_if` ends early is tested as it is.

    The best weights are of the best validation accuracy, or perplexity, the earliest of equals.

    With `checkpoints` it goes on from the newest one, and leaves one after the first step `every_s` seconds, 0 or
    more, after the last. Raises `Interrupted` when the process is asked to stop inside an `interruptible` block, and
    leaves a checkpoint before.

    Where several processes train `together`, as `harness.run.process_group` lets them, the first one has the
    checkpoints, and tests; the others return nothing.
    """
    with together as processes:
        state = processes.from_first(checkpoints.latest() if checkpoints else None)
        trainer = Trainer(settings, data, hooks.report, state, processes)
        saving = _Saving(trainer, checkpoints, every_s)
        with saving.at_interruption():
            while not trainer.finished:
                _epoch_or_divergence(trainer, saving.when_due, checkpoints)
                hooks.after_epoch(trainer.history[-1])
                saving.when_due()
    if not processes.leads:
        return {}
    fitted = _fitted(trainer)
    with saving.at_interruption():
        found = {**_training_columns(trainer, fitted), **(test(fitted) if settings.test else {})}
        hooks.keep(fitted.weights[fitted.rule])
        return found


def _fitted(trainer: Trainer) -> Fitted:
    epochs = {"best": trainer.best, "last": trainer.history[-1]}
    weights = {"best": trainer.past.best_weights, "last": trainer.network.state_dict()}
    before = trainer.past.parameters_before
    return Fitted(trainer.settings, trainer.data, trainer.device, trainer.network, epochs, weights, before)


class _Saving:
    """Leaves checkpoints of a trainer, if it is to."""

    def __init__(self, trainer: Trainer, checkpoints: Checkpoints | None, every_s: float) -> None:
        self._trainer = trainer
        self._checkpoints = checkpoints
        self._every_s = every_s
        self._last = time.monotonic()

    @contextmanager
    def at_interruption(self) -> Iterator[None]:
        try:
            yield
        except Interrupted:
            with suppress(LostLease):
                self.now()
            raise

    def when_due(self) -> None:
        if time.monotonic() - self._last >= self._every_s:
            self.now()

    def now(self) -> None:
        if self._checkpoints is not None and self._trainer.is_finite:
            self._checkpoints.save(self._trainer.state())
        self._last = time.monotonic()


def _training_columns(trainer: Trainer, fitted: Fitted) -> dict[str, Any]:
    """How training went, and what the weights that count reached in validation."""
    chosen = fitted.epochs[fitted.rule]
    return {
        "tested_weights": fitted.rule,
        "validation_accuracy": chosen["validation_accuracy"],
        "validation_examples": len(trainer.data.validation),
        "validation_perplexity": perplexity(chosen["validation_loss"]) if trainer.data.kind == "language" else None,
        "best_epoch": trainer.best["epoch"],
        "parameters": sum(p.numel() for p in trainer.network.parameters() if p.requires_grad),
        "all_parameters": sum(p.numel() for p in trainer.network.parameters()),
        "peak_memory_mib": trainer.past.peak_memory_mib,
        "convolution": trainer.past.convolution,
        "epochs": trainer.history,
        **{f"train_{name}": value for name, value in trainer.watch.rates().items()},
    }


def _epoch_or_divergence(trainer: Trainer, after_step: Callable[[], None], checkpoints: Checkpoints | None) -> None:
    """One epoch. A network that was fine at the first step and is not any more has diverged: `UserError`."""
    try:
        trainer.epoch(after_step)
    except ValueError as error:
        if trainer.steps_done == 0:
            raise
        optim, position = trainer.settings.optim, trainer.position
        kept = checkpoints.newest() if checkpoints else None
        step = min(position.step + 1, trainer.steps_per_epoch)  # the validation comes after the last one
        raise UserError(
            f"{DIVERGED_ERROR} in epoch {position.epoch}, step {step}: {error} "
            f"Lower optim.lr ({optim.lr}) or optim.ssm_lr ({optim.ssm_lr}), or lengthen optim.warmup_epochs "
            f"({optim.warmup_epochs}). "
            + (f"The last good checkpoint is {kept}." if kept else "There is no checkpoint.")
        ) from error
