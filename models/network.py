"""Networks built from blocks: so far the sequence classifier.

Encoder, blocks, mean over the real tokens, linear head. Source: arXiv 2410.17268 and S4D's Long Range Arena set-up
(arXiv 2206.11893).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.block import Block, Operations
from models.neurons import Neuron, NeuronSettings, build_neuron
from models.norm import NORMS
from models.ssm import S4D
from models.ssm.s4d import INITIALISATIONS, check_sizes


@dataclass
class ModelSettings:
    """The network around the neurons. `channels` is d_model (H), `state_size` d_state (N).

    spikes_per_direction: a bidirectional SSM's directions go through 2H neurons a layer instead of being summed first.
    initial_firing_rate: training starts from thresholds scaled to it, see `models.calibration`; null: as given.
    """

    layers: int = 6
    channels: int = 256
    state_size: int = 4
    bidirectional: bool = True
    spikes_per_direction: bool = False
    initialisation: str = "lin"
    dt_min: float = 1e-3
    dt_max: float = 1e-1
    norm: str = "batch"
    prenorm: bool = False
    dropout: float = 0.0
    initial_firing_rate: float | None = None

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        for label, allowed in (("norm", NORMS), ("initialisation", INITIALISATIONS)):
            if getattr(self, label) not in allowed:
                raise ValueError(
                    f"{label} {getattr(self, label)!r} does not exist; choose one of {', '.join(allowed)}."
                )
        for label in ("layers", "channels"):
            if getattr(self, label) < 1:
                raise ValueError(f"{label} must be at least 1, but it is {getattr(self, label)}.")
        check_sizes(self.state_size, self.dt_min, self.dt_max)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), but it is {self.dropout}.")
        if self.spikes_per_direction and not self.bidirectional:
            raise ValueError("spikes_per_direction=true must have two directions: set bidirectional=true as well.")
        if self.initial_firing_rate is not None:
            check_firing_rate("initial_firing_rate", self.initial_firing_rate)


def check_firing_rate(label: str, value: float) -> None:
    """Raise ValueError with a sentence unless neurons can be asked to fire at this rate."""
    if not 0 < value < 1:
        raise ValueError(f"{label} must be a fraction of the time steps in (0, 1), but it is {value}.")


def real_tokens(tokens: Tensor, lengths: Tensor) -> Tensor:
    """The mask [B, 1, L] of tokens [B, L] padded on the right: True below each sequence's length, lengths [B]."""
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    return (steps < lengths[:, None])[:, None]


class StreamState(NamedTuple):
    """What a classifier carries from one time step to the next."""

    blocks: list[Any]
    total: Tensor | float  # sum over steps of what the head averages, [B, H]
    steps: int


class Classifier(nn.Module):
    """Token sequences [B, L] -> class scores [B, classes]."""

    def __init__(self, vocabulary: int, classes: int, model: ModelSettings, neuron: NeuronSettings) -> None:
        super().__init__()
        norm = NORMS[model.norm]
        neurons = (2 if model.spikes_per_direction else 1) * model.channels
        self.encoder = nn.Embedding(vocabulary, model.channels)
        self.blocks = nn.ModuleList(
            Block(
                S4D(
                    model.channels,
                    model.state_size,
                    bidirectional=model.bidirectional,
                    initialisation=model.initialisation,
                    dt_min=model.dt_min,
                    dt_max=model.dt_max,
                ),
                build_neuron(neurons, neuron),
                norm(model.channels),
                channels=model.channels,
                prenorm=model.prenorm,
                dropout=model.dropout,
                spikes_per_direction=model.spikes_per_direction,
            )
            for _ in range(model.layers)
        )
        self.final_norm = norm(model.channels) if model.prenorm else None
        self.head = nn.Linear(model.channels, classes)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens [B, L] integer, padded on the right; lengths [B]. Returns scores [B, classes]."""
        mask = real_tokens(tokens, lengths)
        x = self.encoder(tokens).transpose(1, 2)
        for block in self.blocks:
            x = block(x, mask)
        if self.final_norm is not None:
            x = self.final_norm(x, mask)
        return self.head((x * mask).sum(-1) / lengths[:, None])  # type: ignore[no-any-return]

    @torch.no_grad()
    def step(self, tokens: Tensor, state: StreamState | None) -> tuple[Tensor, StreamState]:
        """One time step: tokens [B] -> the scores [B, classes] of the sequence up to here; start with `state=None`.

        What `forward` gives in evaluation mode, up to rounding (which may flip a spike at its threshold). Raises
        ValueError for a network in training mode, a bidirectional one, or a neuron that cannot be streamed.
        """
        if self.training:
            raise ValueError("Only a network in evaluation mode can be streamed; call its .eval() first.")
        state = state or StreamState([None] * len(self.blocks), 0.0, 0)
        x = self.encoder(tokens)
        states = []
        for block, before in zip(self.blocks, state.blocks, strict=True):
            x, after = block.step(x, before)  # type: ignore[operator]
            states.append(after)
        if self.final_norm is not None:
            x = self.final_norm(x[..., None])[..., 0]
        state = StreamState(states, state.total + x, state.steps + 1)
        return self.head(state.total / state.steps), state

    @property
    def neurons(self) -> list[Neuron]:
        """The neurons of all blocks, first block first."""
        return [block.neuron for block in self.blocks]  # type: ignore[misc]

    def operations_per_step(self) -> list[Operations]:
        """Operations of each block for one token."""
        return [block.operations_per_step() for block in self.blocks]  # type: ignore[operator]

    def dense_operations_per_step(self) -> list[Operations]:
        """The same for the network with dense activations."""
        return [block.dense_operations_per_step() for block in self.blocks]  # type: ignore[operator]


def parameter_groups(network: nn.Module, lr: float, ssm_lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for an optimiser, by name: `ssm` (own rate, no decay), `neuron`, `plain` (no decay), `decayed`.

    Weight decay would pull a threshold's logarithm to 0, a leak to 1/2: neurons have none, nor have biases, norms
    and embeddings (S4 practice).
    """
    names: dict[int, str] = {}
    for module in network.modules():
        if isinstance(module, S4D):
            names.update({id(p): "ssm" for p in module.ssm_parameters()})
        elif isinstance(module, Neuron):
            names.update({id(p): "neuron" for p in module.parameters()})
        elif isinstance(module, (nn.Embedding, nn.LayerNorm, nn.BatchNorm1d)):
            names.update({id(p): "plain" for p in module.parameters()})
    groups: dict[str, dict[str, Any]] = {
        "ssm": {"params": [], "lr": ssm_lr, "weight_decay": 0.0},
        "neuron": {"params": [], "lr": lr, "weight_decay": 0.0},
        "plain": {"params": [], "lr": lr, "weight_decay": 0.0},
        "decayed": {"params": [], "lr": lr, "weight_decay": weight_decay},
    }
    for label, parameter in network.named_parameters():
        if parameter.requires_grad:
            default = "plain" if label.endswith("bias") else "decayed"
            groups[names.get(id(parameter), default)]["params"].append(parameter)
    return [{"name": name, **group} for name, group in groups.items() if group["params"]]
