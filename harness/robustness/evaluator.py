"""A trained network on the test set, as it is and under every corruption at every level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor

from spike_ssm.harness.config.robustness import FULL_PRECISION, RANGES, RobustnessSettings
from spike_ssm.harness.config.settings import Settings
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.splits import Split
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.robustness import corruptions
from spike_ssm.harness.robustness.rounding import StateRounding, rounded_weights
from spike_ssm.harness.robustness.trained import Trained
from spike_ssm.harness.system.environment import pick_device
from spike_ssm.harness.system.seeds import torch_generator
from spike_ssm.harness.training.evaluation import Evaluation, evaluate
from spike_ssm.models.activity import record_activity
from spike_ssm.models.network import Inputs, Network, build_network
from spike_ssm.models.neurons.psn import PSN
from spike_ssm.results.errors import UserError

CALIBRATION_EXAMPLES = 64
"""Validation examples, from the first on, that set the ranges of the states that are rounded."""


@dataclass(frozen=True)
class Measured:
    """Answers on some examples, and the firing rate, mean over layers; None where the neurons do not spike."""

    evaluation: Evaluation
    firing_rate: float | None

    def row(self, corruption: str, level: float) -> dict[str, Any]:
        """An entry of `results.schema.ROBUSTNESS`."""
        accuracy, examples = self.evaluation.accuracy, len(self.evaluation.labels)
        return {
            **_empty(corruption, level),
            "accuracy": accuracy,
            "firing_rate": self.firing_rate,
            "examples": examples,
        }


def evaluate_robustness(
    settings: Settings,
    data: Dataset,
    trained: Trained,
    prepare: Callable[[TaskSettings], Dataset],
    report: Callable[[float], None],
) -> dict[str, Any]:
    """The columns of `results.schema.RUN` that follow from evaluating `trained` under `settings.robustness`.

    prepare: prepares data of other lengths, where the task can make them. report: is told the finished share. Raises
    `UserError` when the network does not have the accuracy on the test set that it had when trained.
    """
    settings = replace(settings, model=replace(settings.model, convolution=trained.convolution))  # to the last bit
    assert settings.robustness is not None
    bench = Bench(settings, settings.robustness, data, trained.weights, prepare)
    clean = bench.clean
    if clean.evaluation.accuracy != trained.test_accuracy:
        raise UserError(
            f"The weights of run {trained.run_id} answer {clean.evaluation.accuracy:.4%} of the test set rightly here, "
            f"but {trained.test_accuracy:.4%} when they were trained: evaluate on the kind of device and with the "
            f"library versions of the training, or remove the result {trained.run_id}.parquet and train the run again."
        )
    levels = settings.robustness.levels()
    rows: list[dict[str, Any]] = []
    for corruption, its_levels in levels.items():
        for level in its_levels:
            rows.append(bench.row(corruption, level))
            report(len(rows) / sum(map(len, levels.values())))
    return {
        "test_accuracy": clean.evaluation.accuracy,
        "firing_rate": clean.firing_rate,
        "parameters": sum(p.numel() for p in bench.network.parameters() if p.requires_grad),
        "robustness": rows,
    }


class Bench:
    """A trained network in evaluation mode with its test set; after each row it is what it was before."""

    def __init__(
        self,
        settings: Settings,
        robustness: RobustnessSettings,
        data: Dataset,
        weights: Mapping[str, Tensor],
        prepare: Callable[[TaskSettings], Dataset],
    ) -> None:
        self._settings = settings
        self._data = data
        self._prepare = prepare
        self._device = pick_device(settings.device)
        inputs_of = Inputs(data.vocabulary)
        network = build_network(data.kind, inputs_of, data.facts.classes, settings.model, settings.neuron)
        self.network: Network = network.to(self._device)
        self.network.load_state_dict(dict(weights))
        with corruptions.encoder_deviation(self.network) as deviation:
            self.clean = self._measure(data.test)
        (self._deviation,) = deviation
        self._few = corruptions.first_examples(data.test, robustness.streamed_examples)
        self._states: StateRounding | None = None

    def row(self, corruption: str, level: float) -> dict[str, Any]:
        """The entry for one level; with nulls and a reason where the corruption has no meaning for this network."""
        if reason := self._reason(corruption, level):
            return {**_empty(corruption, level), "reason": reason}
        return self._at(corruption, level).row(corruption, level)

    def _at(self, corruption: str, level: float) -> Measured:
        test = self._data.test
        if level == RANGES[corruption].neutral:
            return self._measure(self._few) if corruption == "state_bits" else self.clean
        # The same numbers at every level, so that levels differ by nothing else.
        generator = torch_generator(self._settings.seed, "corruption", list(RANGES).index(corruption))
        inside: dict[str, Callable[[], AbstractContextManager[Any]]] = {
            "input_noise": partial(corruptions.input_noise, self.network, level * self._deviation, generator),
            "spike_deletion": partial(corruptions.spike_deletion, self.network, level, generator),
            "spike_insertion": partial(corruptions.spike_insertion, self.network, level, generator),
            "weight_bits": partial(rounded_weights, self.network, level),
            "threshold_jitter": partial(corruptions.threshold_jitter, self.network, level, generator),
        }
        match corruption:
            case "token_corruption":
                return self._measure(corruptions.corrupted_tokens(test, level, self._data.vocabulary, generator))
            case "length":
                return self._measure(self._of_length(level))
            case "state_bits":
                return self._measure(self._few, self._calibrated().streamed(level))
        return self._measure(test, inside[corruption]())

    def _measure(self, split: Split, inside: AbstractContextManager[Any] | None = None) -> Measured:
        settings = self._settings
        with inside or nullcontext(), record_activity(self.network) as activity:
            found = evaluate(self.network, split, settings.optim.batch_size, self._device, noise=(settings.seed, 0))
        spiking = all(neuron.spiking for neuron in self.network.neurons)
        return Measured(found, sum(seen.firing_rate for seen in activity) / len(activity) if spiking else None)

    def _of_length(self, factor: float) -> Split:
        """Other examples of such lengths, or else the first part of each."""
        other = corruptions.other_length(self._settings.task, factor, self._data.train, self._prepare)
        return other if other is not None else corruptions.shortened(self._data.test, factor)

    def _calibrated(self) -> StateRounding:
        """The state rounding that knows the range of every state."""
        if self._states is None:
            self._states = StateRounding(self.network)
            shown = corruptions.first_examples(self._data.validation, CALIBRATION_EXAMPLES)
            self._measure(shown, self._states.streamed(FULL_PRECISION))
        return self._states

    def _reason(self, corruption: str, level: float) -> str | None:
        """Why the corruption at this level has no meaning for this network; None where it has one."""
        neurons, model = self.network.neurons, self._settings.model
        if corruption.startswith("spike") and not all(neuron.spiking for neuron in neurons):
            return "does not spike"
        if corruption == "threshold_jitter" and all(neuron.threshold is None for neuron in neurons):
            return "has no threshold"
        if corruption == "state_bits":
            return "cannot be streamed" if model.spikes_per_direction or not _can_be_streamed(self.network) else None
        if corruption == "length" and level > 1:
            if self._settings.task.at_length(level) is None:
                return "no longer sequences to be had"
            most = min((len(neuron.weight) for neuron in neurons if isinstance(neuron, PSN)), default=None)
            if most is not None and self._of_length(level).lengths.max() > most:
                return "too long for its matrix"
        return None


def _can_be_streamed(network: Network) -> bool:
    try:
        StateRounding(network)
    except ValueError:
        return False
    return True


def _empty(corruption: str, level: float) -> dict[str, Any]:
    nulls = dict.fromkeys(("accuracy", "firing_rate", "examples", "reason"))
    return {"corruption": corruption, "level": level, **nulls}
