"""Training and testing one network: a plain function of settings and data, which may be stopped and go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.system.environment import pick_device
from spike_ssm.harness.system.signals import Interrupted
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.data_parallel import BY_ITSELF, Processes
from spike_ssm.harness.training.evaluation import evaluate
from spike_ssm.harness.training.testing import chosen_epochs, chosen_weights, perplexity, test
from spike_ssm.harness.training.trainer import Progress, Trainer
from spike_ssm.results.errors import UserError

SECONDS_BETWEEN_CHECKPOINTS = 300.0


def run_training(
    settings: Settings,
    data: Dataset,
    report: Callable[[Progress], None],
    *,
    checkpoints: Checkpoints | None = None,
    every_s: float = SECONDS_BETWEEN_CHECKPOINTS,
    after_epoch: Callable[[dict[str, Any]], None] = lambda _: None,
    together: AbstractContextManager[Processes] = BY_ITSELF,
    keep: Callable[[dict[str, Tensor]], None] = lambda _: None,
) -> dict[str, Any]:
    """Train and, unless the settings say `test=false`, test.

    The best weights are of the best validation accuracy, or perplexity, the earliest of equals.

    With `checkpoints` it goes on from the newest one, and leaves one after the first step `every_s` seconds, 0 or
    more, after the last. `after_epoch` is given each epoch's row of `results.schema.EPOCHS`, `keep` the weights, a
    `state_dict`, when all else is done. Returns the columns of `results.schema.RUN` that follow from training. Raises
    `Interrupted` when the process is asked to stop inside an `interruptible` block, and leaves a checkpoint before.

    Where several processes train `together`, as `harness.run.process_group` lets them, the first one has the
    checkpoints, and tests; the others return nothing.
    """
    with together as processes:
        state = processes.from_first(checkpoints.latest() if checkpoints else None)
        trainer = Trainer(settings, data, report, state, processes)
        saving = _Saving(trainer, checkpoints, every_s)
        with saving.at_interruption():
            while not trainer.finished:
                _epoch_or_divergence(trainer, saving.when_due, checkpoints)
                after_epoch(trainer.history[-1])
                saving.when_due()
    if not processes.leads:
        return {}
    with saving.at_interruption():
        found = {**_trained(trainer), **(test(trainer) if settings.test else {})}
        keep(chosen_weights(trainer, settings.optim.tested_weights))
        return found


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
            self.now()
            raise

    def when_due(self) -> None:
        if time.monotonic() - self._last >= self._every_s:
            self.now()

    def now(self) -> None:
        if self._checkpoints is not None and self._trainer.is_finite:
            self._checkpoints.save(self._trainer.state())
        self._last = time.monotonic()


def _trained(trainer: Trainer) -> dict[str, Any]:
    """How training had been, and what the weights that `optim.tested_weights` names reached in validation."""
    rule, language = trainer.settings.optim.tested_weights, trainer.data.kind == "language"
    chosen = chosen_epochs(trainer)[rule]
    return {
        "tested_weights": rule,
        "validation_accuracy": chosen["validation_accuracy"],
        "validation_perplexity": perplexity(chosen["validation_loss"]) if language else None,
        "best_epoch": trainer.best["epoch"],
        "parameters": sum(p.numel() for p in trainer.network.parameters() if p.requires_grad),
        "peak_memory_mib": trainer.peak_memory_mib,
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
        raise UserError(
            f"Training diverged in epoch {position.epoch}, step {position.step + 1}: {error} "
            f"Lower optim.lr ({optim.lr}) or optim.ssm_lr ({optim.ssm_lr}), or lengthen optim.warmup_epochs "
            f"({optim.warmup_epochs}). "
            + (f"The last good checkpoint is {kept}." if kept else "There is no checkpoint.")
        ) from error


__all__ = ["Progress", "Trainer", "evaluate", "pick_device", "run_training"]
