"""The states that the fused solver keeps for its backward."""

from __future__ import annotations

from torch import Tensor

STEPS_PER_STATE = {"cpu": 64, "cuda": 16}
"""Device type -> steps between two kept states; the devices that the fused solver has kernels for."""


def states_like(x: Tensor) -> Tensor:
    """Uninitialised states [S, 2, B * H] for x [B, H, L]: one after every `STEPS_PER_STATE` steps and the last."""
    steps = STEPS_PER_STATE.get(x.device.type, STEPS_PER_STATE["cpu"])
    return x.new_empty((x.shape[2] + steps - 1) // steps, 2, x.shape[0] * x.shape[1])
