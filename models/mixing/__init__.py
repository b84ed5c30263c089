"""The mixing of a block's channels, its gate and the residual, as one operator."""

from spike_ssm.models.mixing.operator import gated_mixing, gated_mixing_by_torch

__all__ = ["gated_mixing", "gated_mixing_by_torch"]
