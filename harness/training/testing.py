"""The tests of a trained network: the weights that count, and the others' score."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.facts import Baselines
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.training.evaluation import Evaluation, evaluate
from spike_ssm.harness.training.network_measures import network_measures
from spike_ssm.harness.training.stopwatch import Stopwatch
from spike_ssm.harness.training.traces import example_input, traces
from spike_ssm.models.activity import record_activity
from spike_ssm.models.network import Network
from spike_ssm.results.schema import SHORTCUT, WRONG

MAX_EXPONENT = 700.0  # of e, in double precision


@dataclass(frozen=True)
class Fitted:
    """A network after its training.

    epochs: `best` (of the best validation) and `last` -> row of `results.schema.EPOCHS`. weights: the same ->
    `state_dict`. parameters_before: the neurons' parameters before training, per layer.
    """

    settings: Settings
    data: Dataset
    device: torch.device
    network: Network
    epochs: Mapping[str, dict[str, Any]]
    weights: Mapping[str, dict[str, Tensor]]
    parameters_before: Sequence[dict[str, float]]

    @property
    def rule(self) -> str:
        """Which of its weights count."""
        return self.settings.optim.tested_weights

    def with_weights(self, which: str) -> Network:
        """A copy of the network, so that a checkpoint taken meanwhile holds the last weights."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(self.weights[which])
        return network

    def score(self, network: Network, watch: Stopwatch | None = None) -> Evaluation:
        """The network's answers to the test set."""
        settings = self.settings
        noise = (settings.seed, 0)
        return evaluate(network, self.data.test, settings.optim.batch_size, self.device, watch, noise=noise)


def test(fitted: Fitted) -> dict[str, Any]:
    """Columns of `results.schema.RUN`: the test of the weights that count, and the others' score."""
    rule, epochs, data, device = fitted.rule, fitted.epochs, fitted.data, fitted.device
    language, network = data.kind == "language", fitted.with_weights(rule)
    watch, sequences = Stopwatch(device, warmup=1), len(data.test) * len(data.test.sequences)
    with record_activity(network, intervals=True) as activity:
        tested = fitted.score(network, watch)
    scores = {
        which: tested if epochs[which] is epochs[rule] else fitted.score(fitted.with_weights(which)) for which in epochs
    }
    return {
        "test_accuracy": tested.accuracy,
        **{f"{which}_test_accuracy": score.accuracy for which, score in scores.items()},
        **(_perplexities(scores, rule) if language else {}),
        "predictions": [] if language else _predictions(tested),
        "groups": [] if language else by_group(tested, data.baselines),
        **{f"test_{name}": value for name, value in watch.rates().items() if name != "ms_per_step"},
        **network_measures(network, activity, fitted.parameters_before, activity[0].tokens / sequences),
        "traces": traces(network, data.test, activity, device, fitted.settings.seed),
        **example_input(data.test, data.facts.symbols),
    }


def by_group(test: Evaluation, baselines: Baselines) -> list[dict[str, Any]]:
    """Rows of `results.schema.GROUPS`: accuracy where the shortcut is right and wrong, and by the task's own groups.

    Empty where the rules give no answers to examples.
    """
    if not baselines.shortcut_answers:
        return []
    labels, shortcut = test.labels.numpy(), np.array(baselines.shortcut_answers)
    right, shortcut_right = test.predictions.numpy() == labels, shortcut == labels
    groupings = {SHORTCUT: np.where(shortcut_right, "right", WRONG)}
    groupings |= {grouping: np.array(groups) for grouping, groups in baselines.groups.items()}
    return [
        {
            "grouping": grouping, "group": str(group), "examples": int((groups == group).sum()),
            "accuracy": float(right[groups == group].mean()),
            "shortcut_accuracy": float(shortcut_right[groups == group].mean()),
        }
        for grouping, groups in groupings.items()
        for group in np.unique(groups)
    ]  # fmt: skip


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
