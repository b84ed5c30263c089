"""Heads on a backbone besides the linear layer: the head for pairs and the softmax over words."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from spike_ssm.models.operations import Operations, linear
from spike_ssm.models.settings import ModelSettings

_PIECE = 1024
"""Most hidden states whose probabilities of all words are held at a time."""


class PairHead(nn.Module):
    """Two representations a, b [B, H] -> class scores [B, classes].

    An MLP over [a, b, a - b, a * b] with one hidden layer of H ReLUs: the Retrieval head of the S4 code base, which
    has it from Nyströmformer's (arXiv 2102.03902).
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels, self.classes = channels, classes
        self.mlp = nn.Sequential(nn.Linear(4 * channels, channels), nn.ReLU(), nn.Linear(channels, classes))

    def operations(self) -> Operations:
        """Operations per pair: the MLP's, and a difference and a product of each channel."""
        h = self.channels
        hidden, scores = linear(4 * h, h), linear(h, self.classes)
        return Operations(
            hidden.multiply_accumulates + scores.multiply_accumulates + h,
            hidden.accumulates + scores.accumulates + h,
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Class scores [B, classes] of pairs a, b [B, H]."""
        return self.mlp(torch.cat((a, b, a - b, a * b), -1))  # type: ignore[no-any-return]


class WordSoftmax(nn.Module):
    """Hidden states [n, H] -> log-probabilities of words; word 0 is to be the commonest, the last the rarest.

    An adaptive softmax (Grave et al. 2017, arXiv 1609.04309): the words below the first of `softmax_cutoffs` have
    outputs of their own; the words between two cutoffs form a cluster, computed only when it is asked for. Cluster
    i = 1, 2, ... sees H / `softmax_divisor` ** i channels: 4, the default and that of the S4 code base on WikiText-103,
    makes rare words cheap; 1 gives them all channels. The default cutoffs are those usual for WikiText-103's 267,735
    words. Cutoffs that a smaller vocabulary does not reach are left out; without any it is an ordinary softmax.
    The weights are not shared with the embedding.

    Raises ValueError when a cluster would be left without channels.
    """

    def __init__(self, words: int, model: ModelSettings) -> None:
        super().__init__()
        cutoffs = [cutoff for cutoff in model.softmax_cutoffs if cutoff < words]
        if model.channels // model.softmax_divisor ** len(cutoffs) < 1:
            raise ValueError(
                f"The rarest of {words} words would see less than one of the {model.channels} channels: lower "
                f"model.softmax_divisor={model.softmax_divisor:g} or give fewer model.softmax_cutoffs, which are "
                f"{model.softmax_cutoffs}."
            )
        self.dropout = nn.Dropout(model.softmax_dropout)
        self.output: nn.AdaptiveLogSoftmaxWithLoss | nn.Linear
        if cutoffs:
            self.output = nn.AdaptiveLogSoftmaxWithLoss(model.channels, words, cutoffs, model.softmax_divisor)
        else:
            self.output = nn.Linear(model.channels, words)

    def forward(self, hidden: Tensor, words: Tensor) -> Tensor:
        """Log-probability [n], nats, of one word per hidden state: hidden [n, H], words [n]."""
        hidden = self.dropout(hidden)
        if isinstance(self.output, nn.Linear):
            return -cross_entropy(self.output(hidden), words, reduction="none")
        log_probability: Tensor = self.output(hidden, words).output
        return log_probability

    def log_prob(self, hidden: Tensor) -> Tensor:
        """Log-probabilities [n, words], nats, of all words; hidden [n, H]."""
        if isinstance(self.output, nn.Linear):
            return log_softmax(self.output(hidden), -1)
        return self.output.log_prob(hidden)

    def operations(self) -> Operations:
        """Operations per token of the probabilities of all words."""
        if isinstance(self.output, nn.Linear):
            return linear(self.output.in_features, self.output.out_features)
        layers = [module for module in self.output.modules() if isinstance(module, nn.Linear)]
        return Operations(
            sum(layer.in_features * layer.out_features for layer in layers),
            sum(layer.out_features for layer in layers if layer.bias is not None),
        )

    @torch.no_grad()
    def most_probable(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The most probable word of each hidden state [n, H] and its probability, both [n]."""
        best = torch.cat([self._most_probable(piece) for piece in hidden.split(_PIECE)])
        return best, self(hidden, best).exp()

    def _most_probable(self, hidden: Tensor) -> Tensor:
        return self.output(hidden).argmax(-1) if isinstance(self.output, nn.Linear) else self.output.predict(hidden)
