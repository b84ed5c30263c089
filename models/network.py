"""The networks: a backbone and a head for each kind of task, all trained and evaluated through `score`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from spike_ssm.models.backbone import Backbone, Inputs, real_tokens
from spike_ssm.models.block import Block
from spike_ssm.models.heads import PairHead, WordSoftmax
from spike_ssm.models.neurons import Neuron, NeuronSettings
from spike_ssm.models.operations import Operations, Part, linear
from spike_ssm.models.settings import ModelSettings, check_firing_rate
from spike_ssm.models.ssm import S4D

KINDS = ("classification", "pairs", "language")
IGNORED = -100
"""Label of a step whose next word is not to be predicted: padding, or context only."""


@dataclass(frozen=True)
class Scored:
    """A batch's mean cross entropy over its `count` targets, [], nats, differentiable; 0 where there is no target.

    predictions and scores: the answer to each target and its probability, [count], detached; [0] if not asked for.
    """

    loss: Tensor
    predictions: Tensor
    scores: Tensor
    count: int


class Network(nn.Module):
    """A backbone and a head. Its inputs are as `Backbone.forward` takes them."""

    def __init__(self, inputs: Inputs, model: ModelSettings, neuron: NeuronSettings) -> None:
        super().__init__()
        self.backbone = Backbone(inputs, model, neuron)

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Class scores [B, classes] of inputs [n, L] with lengths [n]; a language model's hidden states [B, L, H]."""

    def score(self, inputs: Tensor, lengths: Tensor, labels: Tensor, *, predict: bool = True) -> Scored:
        """The loss on labels [B] of the class scores that `forward` gives and, if `predict`, the answers."""
        logits = self(inputs, lengths)
        loss = cross_entropy(logits, labels)
        if not predict:
            return Scored(loss, *_nothing(loss), len(labels))
        scores, predictions = logits.detach().softmax(-1).max(-1)
        return Scored(loss, predictions, scores, len(labels))

    @abstractmethod
    def step(self, inputs: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """One time step of `forward` in evaluation mode, as of the sequence up to here; start with `state=None`.

        Raises ValueError where that is impossible, see `Backbone.step`.
        """

    @property
    def blocks(self) -> list[Block]:
        """The blocks, first one first."""
        return list(self.backbone.blocks)  # type: ignore[arg-type]

    @property
    def convolution(self) -> str:
        """How the SSMs are computed where the parameters are, one of `models.ssm.choice.WAYS` but `auto`.

        It may be set, so that they are computed alike on another machine.
        """
        ssm = self.blocks[0].ssm
        return ssm.way(ssm.d.device)

    @convolution.setter
    def convolution(self, way: str) -> None:
        for block in self.blocks:
            block.ssm.convolution = way

    @property
    def neurons(self) -> list[Neuron]:
        """Neurons of all blocks in order of computing; the n-th, from 0 on, makes up layer n of what is recorded."""
        return [neuron for block in self.blocks for neuron in block.neurons.values()]

    @abstractmethod
    def _head_operations(self, length: float) -> Operations:
        """Operations of the head per token, in sequences of `length` tokens."""

    def operations_per_step(self, length: float, *, dense: bool = False) -> list[Part]:
        """Operations of every part per token, in sequences of `length` tokens.

        dense: with dense activations instead of neurons.
        """
        places = [(block, place) for block in self.blocks for place in block.neurons]
        inside = [
            Part(name, layer, operations)
            for layer, (block, here) in enumerate(places)
            for (place, name), operations in block.operations_per_step(dense=dense).items()
            if place == here
        ]
        first = Part("encoder", None, self.backbone.encoder_operations())
        last = [Part("norm", None, self.backbone.norm_operations()), Part("head", None, self._head_operations(length))]
        return [first, *inside, *last]


class StreamState(NamedTuple):
    """State that a classifier carries from one time step to the next."""

    backbone: list[Any] | None
    total: Tensor | float  # sum over steps of what the head averages, [B, H]
    steps: int


class Classifier(Network):
    """Sequences [B, L] -> class scores [B, classes]: the mean over the real steps, or the last, and a linear head."""

    def __init__(self, inputs: Inputs, classes: int, model: ModelSettings, neuron: NeuronSettings) -> None:
        super().__init__(inputs, model, neuron)
        self.head = nn.Linear(model.channels, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Class scores [B, classes] of inputs [B, L] with lengths [B]."""
        return self.head(self.backbone.pooled(inputs, lengths))  # type: ignore[no-any-return]

    def _head_operations(self, length: float) -> Operations:
        h, classes = self.head.in_features, self.head.out_features
        scores = linear(h, classes, 1 / length)
        means = 0 if self.backbone.pooling == "last" else h
        return scores._replace(accumulates=scores.accumulates + means)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: StreamState | None) -> tuple[Tensor, StreamState]:
        """One time step of each sequence, inputs [B] -> the scores [B, classes] of the sequences up to here."""
        state = state or StreamState(None, 0.0, 0)
        x, backbone = self.backbone.step(inputs, state.backbone)
        state = StreamState(backbone, state.total + x, state.steps + 1)
        return self.head(x if self.backbone.pooling == "last" else state.total / state.steps), state


class PairClassifier(Network):
    """Pairs of sequences [2B, L], the first of each pair before the second of each -> class scores [B, classes].

    Both sequences go through the same backbone; `PairHead` compares what is pooled of each.
    """

    def __init__(self, inputs: Inputs, classes: int, model: ModelSettings, neuron: NeuronSettings) -> None:
        super().__init__(inputs, model, neuron)
        self.head = PairHead(model.channels, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Class scores [B, classes] of inputs [2B, L] with lengths [2B].

        Raises ValueError for an odd number of sequences.
        """
        if len(inputs) % 2:
            raise ValueError(f"Pairs are made of an even number of sequences, but there are {len(inputs)}.")
        return self.head(*self.backbone.pooled(inputs, lengths).chunk(2))  # type: ignore[no-any-return]

    def _head_operations(self, length: float) -> Operations:
        once, h = self.head.operations(), self.head.channels
        share = 1 / (2 * length)  # of a pair that a token is
        means = 0 if self.backbone.pooling == "last" else h
        return Operations(share * once.multiply_accumulates, share * once.accumulates + means)

    def step(self, inputs: Tensor, state: Any | None) -> tuple[Tensor, Any]:  # noqa: ARG002 (it takes no step)
        """Raise ValueError: nothing can be said of a pair before both sequences have ended."""
        raise ValueError("A classifier of pairs cannot be streamed; give the whole sequences.")


class LanguageModel(Network):
    """Texts [B, L] -> hidden states [B, L, H], from each of which `words` gives the probabilities of the next word.

    Causal: raises ValueError when the SSM or a neuron looks ahead. A batch norm's statistics of a training batch still
    span all its steps; a layer norm's do not.
    """

    def __init__(self, inputs: Inputs, model: ModelSettings, neuron: NeuronSettings) -> None:
        if inputs.vocabulary is None:
            raise ValueError("A language model reads and predicts words: its inputs must have a vocabulary.")
        if model.bidirectional:
            raise ValueError("A language model must not see the words it predicts: set model.bidirectional=false.")
        super().__init__(inputs, model, neuron)
        self._refuse_neurons_that_look_ahead()
        self.words = WordSoftmax(inputs.vocabulary, model)

    def _refuse_neurons_that_look_ahead(self) -> None:
        """Raise ValueError if a neuron looks ahead: those are the neurons that cannot be streamed."""
        for neuron in self.neurons:
            try:
                neuron.step(torch.zeros(1, neuron.channels), None)
            except ValueError as error:
                raise ValueError(f"A language model must not see the words it predicts. {error}") from error

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states [B, L, H] of inputs [B, L] with lengths [B], garbage beyond each text's length."""
        x, _ = self.backbone(inputs, lengths)
        return x.transpose(1, 2)  # type: ignore[no-any-return]

    def score(self, inputs: Tensor, lengths: Tensor, labels: Tensor, *, predict: bool = True) -> Scored:
        """The loss on labels [B, L], the next words or `IGNORED`, and, if `predict`, the answers.

        The targets are the labels that are not ignored, row by row. Answers may take the probabilities of all words,
        which the loss alone spares an adaptive softmax.
        """
        asked = labels != IGNORED
        hidden, targets = self(inputs, lengths)[asked], labels[asked]
        loss = -self.words(hidden, targets).sum() / max(len(targets), 1)
        answers = self.words.most_probable(hidden) if predict else _nothing(loss)
        return Scored(loss, *answers, len(targets))

    def _head_operations(self, length: float) -> Operations:  # noqa: ARG002 (every token is followed by one)
        return self.words.operations()

    def step(self, inputs: Tensor, state: list[Any] | None) -> tuple[Tensor, list[Any]]:
        """One time step of each text, inputs [B] -> the hidden states [B, H] after it."""
        return self.backbone.step(inputs, state)


def _nothing(like: Tensor) -> tuple[Tensor, Tensor]:
    """Empty predictions and probabilities, [0] each."""
    return like.new_empty(0, dtype=torch.int64), like.new_empty(0)


def build_network(kind: str, inputs: Inputs, classes: int, model: ModelSettings, neuron: NeuronSettings) -> Network:
    """The network for this kind of task, one of `KINDS`; a language model's classes are the words of `inputs`.

    Raises ValueError for another kind.
    """
    match kind:
        case "classification":
            return Classifier(inputs, classes, model, neuron)
        case "pairs":
            return PairClassifier(inputs, classes, model, neuron)
        case "language":
            return LanguageModel(inputs, model, neuron)
    raise ValueError(f"There is no network for tasks of the kind {kind!r}; choose one of {', '.join(KINDS)}.")


def parameter_groups(
    network: nn.Module,
    lr: float,
    ssm_lr: float,
    weight_decay: float,
    *,
    dt_lr: float | None = None,
    neuron_weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser, by name: `ssm`, `dt`, `neuron`, `plain` (no decay) and `decayed`.

    A and B have a rate of their own and dt another, the same where `dt_lr` is None; neither decays. Weight decay pulls
    a threshold's logarithm to 0, a leak to 1/2: neurons have none unless asked, biases, norms and embeddings none (S4
    practice).
    """
    names: dict[int, str] = {}
    for module in network.modules():
        if isinstance(module, S4D):
            names[id(module.log_dt)] = "dt"
            names.update({id(p): "ssm" for p in module.ssm_parameters()})
        elif isinstance(module, Neuron):
            names.update({id(p): "neuron" for p in module.parameters()})
        elif isinstance(module, (nn.Embedding, nn.LayerNorm, nn.BatchNorm1d)):
            names.update({id(p): "plain" for p in module.parameters()})
    groups: dict[str, dict[str, Any]] = {
        "ssm": {"params": [], "lr": ssm_lr, "weight_decay": 0.0},
        "dt": {"params": [], "lr": ssm_lr if dt_lr is None else dt_lr, "weight_decay": 0.0},
        "neuron": {"params": [], "lr": lr, "weight_decay": neuron_weight_decay},
        "plain": {"params": [], "lr": lr, "weight_decay": 0.0},
        "decayed": {"params": [], "lr": lr, "weight_decay": weight_decay},
    }
    for label, parameter in network.named_parameters():
        if parameter.requires_grad:
            default = "plain" if label.endswith("bias") else "decayed"
            groups[names.get(id(parameter), default)]["params"].append(parameter)
    return [{"name": name, **group} for name, group in groups.items() if group["params"]]


__all__ = [
    "IGNORED",
    "KINDS",
    "Backbone",
    "Classifier",
    "Inputs",
    "LanguageModel",
    "ModelSettings",
    "Network",
    "PairClassifier",
    "Scored",
    "StreamState",
    "build_network",
    "check_firing_rate",
    "parameter_groups",
    "real_tokens",
]
