"""The tests of a trained network: the weights that count, and the others' score."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spike_ssm.harness.training.evaluation import Evaluation, evaluate
from spike_ssm.harness.training.network_measures import network_measures
from spike_ssm.harness.training.stopwatch import Stopwatch
from spike_ssm.harness.training.traces import traces
from spike_ssm.harness.training.trainer import Trainer
from spike_ssm.models.activity import record_activity
from spike_ssm.models.network import Network

MAX_EXPONENT = 700.0  # of e, in double precision


def chosen_epochs(trainer: Trainer) -> dict[str, dict[str, Any]]:
    """Rows of `results.schema.EPOCHS`: of the epoch with the best validation, and of the last one."""
    return {"best": trainer.best, "last": trainer.history[-1]}


def test(trainer: Trainer) -> dict[str, Any]:
    """The weights that `optim.tested_weights` names on the test set, and the others' score."""
    settings, data, device = trainer.settings, trainer.data, trainer.device
    rule, language = settings.optim.tested_weights, data.kind == "language"
    epochs, network = chosen_epochs(trainer), _with_weights(trainer, rule)
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
    network.load_state_dict(chosen_weights(trainer, which))
    return network


def chosen_weights(trainer: Trainer, which: str) -> dict[str, Tensor]:
    """The `state_dict` after the `best` or the `last` epoch."""
    return trainer.best_weights if which == "best" else trainer.network.state_dict()


def _score(trainer: Trainer, which: str) -> Evaluation:
    settings, network = trainer.settings, _with_weights(trainer, which)
    noise = (settings.seed, 0)
    return evaluate(network, trainer.data.test, settings.optim.batch_size, trainer.device, noise=noise)


def _perplexities(scores: Mapping[str, Evaluation], rule: str) -> dict[str, float]:
    found = {f"{which}_test_perplexity": perplexity(score.loss) for which, score in scores.items()}
    return {**found, "test_perplexity": found[f"{rule}_test_perplexity"]}


def perplexity(loss: float) -> float:
    """e to the mean loss a word; infinite where that is too large for a number."""
    return math.exp(loss) if loss < MAX_EXPONENT else math.inf


def _predictions(test: Evaluation) -> list[dict[str, Any]]:
    columns = zip(test.labels.tolist(), test.predictions.tolist(), test.scores.tolist(), strict=True)
    return [
        {"example": index, "label": label, "prediction": prediction, "score": score}
        for index, (label, prediction, score) in enumerate(columns)
    ]
