"""What corruptions are called, and what their levels are."""

from __future__ import annotations

from dataclasses import dataclass

FULL_PRECISION = 32
"""Bits at which nothing is rounded."""


@dataclass(frozen=True)
class Corruption:
    """What a corruption of `results.schema.ROBUSTNESS` is called, and what its levels are."""

    title: str
    axis: str
    bits: bool = False


CORRUPTIONS = {
    "input_noise": Corruption("Input noise", "s.d. of the noise / s.d. of the encoder's output"),
    "token_corruption": Corruption("Token corruption", "share of tokens or pixels replaced"),
    "length": Corruption("Sequence length", "length / trained length"),
    "spike_deletion": Corruption("Spike deletion", "probability of a spike to get lost"),
    "spike_insertion": Corruption("Spike insertion", "probability of a spike where there was none"),
    "weight_bits": Corruption("Weight bits", "bits", bits=True),
    "state_bits": Corruption("State bits", "bits", bits=True),
    "threshold_jitter": Corruption("Threshold jitter", "s.d. of the logarithm of thresholds"),
}
