"""Training and testing one network: a plain function of settings and data, which may be stopped and go on."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data import Dataset
from spike_ssm.harness.errors import UserError
from spike_ssm.harness.system.signals import Interrupted
from spike_ssm.harness.training.checkpoint import Checkpoints
from spike_ssm.harness.training.data_parallel import BY_ITSELF, Processes
from spike_ssm.harness.training.evaluation import Evaluation, evaluate
from spike_ssm.harness.training.network_measures import Stopwatch, network_measures
from spike_ssm.harness.training.traces import traces
from spike_ssm.harness.training.trainer import Progress, Trainer, pick_device
from spike_ssm.models.activity import record_activity
from spike_ssm.models.network import Network

MAX_EXPONENT = 700.0  # of e, in double precision

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
        found = {**_trained(trainer), **(_test(trainer) if settings.test else {})}
        keep(_weights(trainer, settings.optim.tested_weights))
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
    chosen = _epochs(trainer)[rule]
    return {
        "tested_weights": rule,
        "validation_accuracy": chosen["validation_accuracy"],
        "validation_perplexity": _perplexity(chosen["validation_loss"]) if language else None,
        "best_epoch": trainer.best["epoch"],
        "parameters": sum(p.numel() for p in trainer.network.parameters() if p.requires_grad),
        "peak_memory_mib": trainer.peak_memory_mib,
        "epochs": trainer.history,
        **{f"train_{name}": value for name, value in trainer.watch.rates().items()},
    }


def _epochs(trainer: Trainer) -> dict[str, dict[str, Any]]:
    return {"best": trainer.best, "last": trainer.history[-1]}


def _test(trainer: Trainer) -> dict[str, Any]:
    """The weights that `optim.tested_weights` names on the test set, and the others' score."""
    settings, data, device = trainer.settings, trainer.data, trainer.device
    rule, language = settings.optim.tested_weights, data.kind == "language"
    epochs, network = _epochs(trainer), _with_weights(trainer, rule)
    watch, sequences = Stopwatch(device, warmup=1), len(data.test) * len(data.test.sequences)
    with record_activity(network) as activity:
        test = evaluate(network, data.test, settings.optim.batch_size, device, watch, noise=(settings.seed, 0))
    scores = {which: test if epochs[which] is epochs[rule] else _score(trainer, which) for which in epochs}
    return {
        "test_accuracy": test.accuracy,
        **{f"{which}_test_accuracy": score.accuracy for which, score in scores.items()},
        **(_perplexities(scores, rule) if language else {}),
        "predictions": [] if language else _predictions(test),
        **{f"test_{name}": value for name, value in watch.rates().items() if name != "ms_per_step"},
        **network_measures(network, activity, trainer.parameters_before, activity[0].tokens / sequences),
        "traces": traces(network, data.test, activity, device, settings.seed),
    }


def _with_weights(trainer: Trainer, which: str) -> Network:
    """A copy of the network, so that a checkpoint taken meanwhile holds the last weights."""
    network = copy.deepcopy(trainer.network)
    network.load_state_dict(_weights(trainer, which))
    return network


def _weights(trainer: Trainer, which: str) -> dict[str, Tensor]:
    return trainer.best_weights if which == "best" else trainer.network.state_dict()


def _score(trainer: Trainer, which: str) -> Evaluation:
    settings, network = trainer.settings, _with_weights(trainer, which)
    noise = (settings.seed, 0)
    return evaluate(network, trainer.data.test, settings.optim.batch_size, trainer.device, noise=noise)


def _perplexities(scores: Mapping[str, Evaluation], rule: str) -> dict[str, float]:
    found = {f"{which}_test_perplexity": _perplexity(score.loss) for which, score in scores.items()}
    return {**found, "test_perplexity": found[f"{rule}_test_perplexity"]}


def _perplexity(loss: float) -> float:
    """e to the mean loss a word; infinite where that is too large for a number."""
    return math.exp(loss) if loss < MAX_EXPONENT else math.inf


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


def _predictions(test: Evaluation) -> list[dict[str, Any]]:
    columns = zip(test.labels.tolist(), test.predictions.tolist(), test.scores.tolist(), strict=True)
    return [
        {"example": index, "label": label, "prediction": prediction, "score": score}
        for index, (label, prediction, score) in enumerate(columns)
    ]


__all__ = ["Progress", "Trainer", "evaluate", "pick_device", "run_training"]
