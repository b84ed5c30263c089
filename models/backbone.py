"""The backbone that all networks share: an encoder of the inputs and a stack of blocks.

Source: arXiv 2410.17268 and S4D's Long Range Arena set-up (arXiv 2206.11893). Steps need no positions added to them:
the SSM's kernels know the distance between two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spike_ssm.models.block import PLACEMENTS, Block
from spike_ssm.models.neurons import NeuronSettings, build_neuron
from spike_ssm.models.norm import NORMS, MaskedBatchNorm, norm_operations
from spike_ssm.models.operations import Operations, linear
from spike_ssm.models.ops.checks import check_lengths
from spike_ssm.models.settings import ModelSettings
from spike_ssm.models.ssm import S4D
from spike_ssm.models.streaming import has_hooks


@dataclass(frozen=True)
class Inputs:
    """Inputs of one time step: one of `vocabulary` tokens or, where that is None, `features` real numbers."""

    vocabulary: int | None
    features: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a size is below 1."""
        for label, size in (("vocabulary", self.vocabulary), ("features", self.features)):
            if size is not None and size < 1:
                raise ValueError(f"{label} must be at least 1, but it is {size}.")


def real_tokens(inputs: Tensor, lengths: Tensor) -> Tensor | None:
    """The mask [n, 1, L] of inputs [n, L, ...] padded on the right: True below each sequence's length, lengths [n].

    None where nothing is padding, which is cheaper everywhere. Lengths on a GPU are not compared, because that would
    make the CPU wait for it: there the result is always a mask, and lengths are not checked. Else one that is not from
    1 to L raises ValueError.
    """
    longest = inputs.shape[1]
    check_lengths(lengths, len(inputs), longest)
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling() and bool((lengths == longest).all()):
        return None
    steps = torch.arange(longest, device=inputs.device)
    return (steps < lengths.to(inputs.device)[:, None])[:, None]


class Backbone(nn.Module):
    """Sequences [n, L] -> their representation [n, H, L]: encoder, blocks and, where norms come first, a last norm.

    Tokens are embedded, real values mapped linearly to H channels. Source of the rest: see the module.

    `recomputes`: only each block's input is kept for the backward, which computes the rest again, to the same numbers:
    a training step takes less memory and more time.
    """

    def __init__(self, inputs: Inputs, model: ModelSettings, neuron: NeuronSettings) -> None:
        super().__init__()
        self.channels = model.channels
        self.encoder: nn.Embedding | nn.Linear
        if inputs.vocabulary is None:
            self.encoder = nn.Linear(inputs.features, model.channels)
        else:
            self.encoder = nn.Embedding(inputs.vocabulary, model.channels)
        self.embedding_dropout = nn.Dropout(model.embedding_dropout)
        self.blocks = nn.ModuleList(_block(model, neuron) for _ in range(model.layers))
        self.final_norm = NORMS[model.norm](model.channels) if model.prenorm and model.final_norm else None
        self.pooling = model.pooling
        self.recomputes = False

    def forward(self, inputs: Tensor, lengths: Tensor, *, last_norm: bool = True) -> tuple[Tensor, Tensor | None]:
        """The representation [n, H, L], where padding comes out as garbage, and the mask of `real_tokens`.

        inputs [n, L] integer tokens, or floats [n, L] of one feature or [n, L, features], padded on the right;
        lengths [n], best on the CPU. last_norm: false for the output of the last block.
        """
        mask = real_tokens(inputs, lengths)
        x = self._encode(inputs)
        for block in self.blocks:
            x = block.recomputed(x, mask) if self.recomputes and self.training else block(x, mask)  # type: ignore[operator]
        return (self.final_norm(x, mask) if last_norm and self.final_norm is not None else x), mask

    def pooled(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """What a head sees of the representation, [n, H]; inputs and lengths as in `forward`.

        That is the mean over the real steps or, where `ModelSettings.pooling` says so, the last of them.
        """
        norm = self.final_norm
        of_one = norm if isinstance(norm, MaskedBatchNorm) and not has_hooks(norm) else None
        x, mask = self(inputs, lengths, last_norm=of_one is None)
        found = _last(x, mask, lengths) if self.pooling == "last" else _mean(x, mask, lengths)
        if of_one is not None:  # it is scaled and shifted at less expense than all steps
            scale, shift = of_one.scale_and_shift(x, mask)
            found = scale * found + shift
        return found

    def encoder_operations(self) -> Operations:
        """Operations of the encoder per token; looking up an embedding takes none."""
        if isinstance(self.encoder, nn.Embedding):
            return Operations()
        return linear(self.encoder.in_features, self.encoder.out_features)

    def norm_operations(self) -> Operations:
        """Operations of the last norm per token; none where there is no last norm."""
        return Operations() if self.final_norm is None else norm_operations(self.final_norm, self.channels)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: list[Any] | None) -> tuple[Tensor, list[Any]]:
        """One time step: inputs [n] or [n, features] -> [n, H] and the next state; start with `state=None`.

        The output is that of `forward` in evaluation mode, up to rounding; on a CPU, where SSMs are scans, spikes are
        the same, bit for bit (elsewhere rounding may flip one at its threshold). The parameters are those of the start.
        Raises ValueError for a network in training mode, a bidirectional one, or a neuron that cannot be streamed.
        """
        if self.training:
            raise ValueError("Only a network in evaluation mode can be streamed; call its .eval() first.")
        x = self._encode(inputs[:, None])[..., 0]
        states = []
        for block, before in zip(self.blocks, state or [None] * len(self.blocks), strict=True):
            x, after = block.step(x, before)  # type: ignore[operator]
            states.append(after)
        if self.final_norm is not None:
            x = self.final_norm(x[..., None])[..., 0]
        return x, states

    def _encode(self, inputs: Tensor) -> Tensor:
        """Encoded inputs: [n, L] or [n, L, features] -> [n, H, L]."""
        one_number_a_step = isinstance(self.encoder, nn.Linear) and inputs.ndim == 2
        encoded: Tensor = self.embedding_dropout(self.encoder(inputs[..., None] if one_number_a_step else inputs))
        return encoded.transpose(1, 2).contiguous()


def _mean(x: Tensor, mask: Tensor | None, lengths: Tensor) -> Tensor:
    """Mean [n, H] of x [n, H, L] over the real steps."""
    return x.mean(-1) if mask is None else (x * mask).sum(-1) / lengths.to(x.device)[:, None]


def _last(x: Tensor, mask: Tensor | None, lengths: Tensor) -> Tensor:
    """The last real step [n, H] of x [n, H, L]."""
    if mask is None:
        return x[..., -1]
    ends = (lengths.to(x.device) - 1)[:, None, None].expand(-1, x.shape[1], 1)
    return x.gather(-1, ends)[..., 0]


def _block(model: ModelSettings, neuron: NeuronSettings) -> Block:
    ssm = S4D(
        model.channels,
        model.state_size,
        bidirectional=model.bidirectional,
        initialisation=model.initialisation,
        dt_min=model.dt_min,
        dt_max=model.dt_max,
        directions_apart=model.spikes_per_direction,
        b_trainable=model.b_trainable,
        convolution=model.convolution,
    )
    channels = dict.fromkeys(PLACEMENTS[model.neuron_placement], model.channels)
    if model.spikes_per_direction:
        channels["after_ssm"] *= 2
    return Block(
        ssm,
        {place: build_neuron(each, neuron) for place, each in channels.items()},
        NORMS[model.norm](model.channels),
        channels=model.channels,
        prenorm=model.prenorm,
        dropout=_dropout(model),
    )


def _dropout(model: ModelSettings) -> dict[str, nn.Module]:
    """The dropouts of a block by place; tied, a channel is dropped at all steps of a sequence or at none."""
    kind = nn.Dropout1d if model.dropout_tied else nn.Dropout
    return {place: kind(model.dropout) for place in model.dropout_places} if model.dropout else {}
