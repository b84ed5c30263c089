"""The mixing of a block's channels, its gate and the residual, as one operator."""

from spike_ssm.models.mixing.operator import gated, gated_mixing, mixed

__all__ = ["gated", "gated_mixing", "mixed"]
