"""The settings of the network around the neurons."""

from __future__ import annotations

from dataclasses import dataclass, field

from spike_ssm.models.block import DROPOUT_PLACES, PLACEMENTS
from spike_ssm.models.identity import LATER, SAME_NUMBERS
from spike_ssm.models.norm import NORMS
from spike_ssm.models.ssm.choice import check_way
from spike_ssm.models.ssm.s4d import INITIALISATIONS, check_sizes

POOLINGS = ("mean", "last")


@dataclass
class ModelSettings:
    """The network around the neurons. `channels` is d_model (H), `state_size` d_state (N).

    neuron_placement: which neurons a block has beside the one after the SSM, see `models.block.PLACEMENTS`.
    spikes_per_direction: a bidirectional SSM's directions go through 2H neurons per layer, not summed first.
    initial_firing_rate: training starts from thresholds scaled to it, see `models.calibration`; null: as given.
    softmax_cutoffs, softmax_divisor: how a language model's words are grouped, see `models.heads.WordSoftmax`.
    norm: `none` leaves norms out; final_norm: whether a norm follows the last block where norms come first.
    b_trainable: false: the SSM's B stays 1.
    dropout acts at `dropout_places`, see `models.block.DROPOUT_PLACES`; tied: on all steps of a channel alike.
    embedding_dropout, softmax_dropout: on the encoder's output, and on what the softmax over words sees.
    pooling: what a classifier's head sees of the steps, one of `POOLINGS`: their mean, or the last.
    convolution: how the SSM is computed, see `models.ssm.choice.WAYS`.
    """

    layers: int = 6
    channels: int = 256
    state_size: int = 4
    bidirectional: bool = True
    neuron_placement: str = "after_ssm"
    spikes_per_direction: bool = False
    initialisation: str = "lin"
    dt_min: float = 1e-3
    dt_max: float = 1e-1
    norm: str = "batch"
    prenorm: bool = False
    dropout: float = 0.0
    initial_firing_rate: float | None = None
    softmax_cutoffs: list[int] = field(default_factory=lambda: [20_000, 40_000, 200_000])
    softmax_divisor: float = 4.0
    final_norm: bool = field(default=True, metadata=LATER)
    b_trainable: bool = field(default=True, metadata=LATER)
    dropout_places: list[str] = field(default_factory=lambda: ["after_neuron"], metadata=LATER)
    dropout_tied: bool = field(default=False, metadata=LATER)
    embedding_dropout: float = field(default=0.0, metadata=LATER)
    softmax_dropout: float = field(default=0.0, metadata=LATER)
    pooling: str = field(default="mean", metadata=LATER)
    convolution: str = field(default="auto", metadata=SAME_NUMBERS)

    def __post_init__(self) -> None:
        """Raise ValueError with a sentence when a value is out of range."""
        choices = (
            ("norm", NORMS),
            ("pooling", POOLINGS),
            ("initialisation", INITIALISATIONS),
            ("neuron_placement", PLACEMENTS),
        )
        for label, allowed in choices:
            if getattr(self, label) not in allowed:
                raise ValueError(
                    f"{label} {getattr(self, label)!r} does not exist; choose one of {', '.join(allowed)}."
                )
        for label in ("layers", "channels", "softmax_divisor"):
            if not getattr(self, label) >= 1:
                raise ValueError(f"{label} must be at least 1, but it is {getattr(self, label)}.")
        check_sizes(self.state_size, self.dt_min, self.dt_max)
        check_way(self.convolution)
        for label in ("dropout", "embedding_dropout", "softmax_dropout"):
            if not 0 <= getattr(self, label) < 1:
                raise ValueError(f"{label} must be in [0, 1), but it is {getattr(self, label)}.")
        if not set(self.dropout_places) <= set(DROPOUT_PLACES) or not self.dropout_places:
            raise ValueError(
                f"dropout_places must be some of {', '.join(DROPOUT_PLACES)}, but they are {self.dropout_places}."
            )
        if self.spikes_per_direction and not self.bidirectional:
            raise ValueError("spikes_per_direction=true must have two directions: set bidirectional=true as well.")
        if self.initial_firing_rate is not None:
            check_firing_rate("initial_firing_rate", self.initial_firing_rate)
        if any(low >= high for low, high in zip([0, *self.softmax_cutoffs], self.softmax_cutoffs, strict=False)):
            raise ValueError(f"softmax_cutoffs must be above 0 and rise, but they are {self.softmax_cutoffs}.")


def check_firing_rate(label: str, value: float) -> None:
    """Raise ValueError with a sentence unless neurons can be asked to fire at this rate."""
    if not 0 < value < 1:
        raise ValueError(f"{label} must be a fraction of the time steps in (0, 1), but it is {value}.")
