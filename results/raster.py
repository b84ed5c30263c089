"""Spikes of one example as the bytes that a result file holds: one bit per channel and step, channel by channel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RASTER_CHANNELS = 32
RASTER_STEPS = 512
"""Most channels of a raster, spread evenly over the layer's, and most steps, the first ones."""


def pack_raster(spikes: npt.NDArray[np.bool_]) -> bytes:
    """The bytes of spikes [channels, steps]."""
    return np.packbits(spikes, axis=1).tobytes()


def unpack_raster(packed: bytes, steps: int) -> npt.NDArray[np.bool_]:
    """Spikes [channels, steps]: the inverse of `pack_raster`, each channel of which begins a new byte."""
    rows = np.frombuffer(packed, np.uint8).reshape(-1, -(-steps // 8))
    return np.unpackbits(rows, axis=1, count=steps).astype(bool)
