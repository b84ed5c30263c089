"""What the steps of the serial neurons' CPU kernels work on: a tile of steps of LANES rows, and numbers of each lane.

The tile, its layout in memory and how it is loaded and stored are those of refractory_lif/fused_cpu.py.
"""

from __future__ import annotations

import numpy as np

from spike_ssm.models.ops.compiled import kernel
from spike_ssm.models.ops.refractory_lif.fused_cpu import LANES, PLANE, WIDTH

U = np.uintp  # a negative index would count from the end, which costs a branch

# `tape[plane + t * WIDTH + lane]` holds step t of a tile. Planes of states have one step more, the one after.
X, SPIKE, POTENTIAL, FIRST, SECOND, THIRD = (U(k) * PLANE for k in range(6))
GRAD, DENSITY, BY_FIRST, BY_SECOND, BY_THIRD, RECIPROCAL = (U(k) * PLANE for k in range(6, 12))  # backward only
FORWARD_PLANES, PLANES = 6, 12

# `lanes[what + lane]` holds up to five parameters, then two numbers more, then the gradients that are added up.
THRESHOLD, SECOND_PARAMETER, THIRD_PARAMETER, FOURTH_PARAMETER, FIFTH_PARAMETER = (U(k) * WIDTH for k in range(5))
PER_THRESHOLD, THROUGH_RESET = U(5) * WIDTH, U(6) * WIDTH
SUMS = U(7) * WIDTH
MOST_PARAMETERS = 5


@kernel
def lanes_of(parameters, first, rows, detach):
    """Parameters [P, H] and rules of each lane, from row `first` of `rows` on, and zeros for its sums."""
    lanes = np.zeros((7 + MOST_PARAMETERS) * LANES, parameters.dtype)
    one = parameters.dtype.type(1)
    for lane in range(WIDTH):
        channel = min(first + np.int64(lane), rows - 1) % parameters.shape[1]
        for k in range(parameters.shape[0]):
            lanes[U(k) * WIDTH + lane] = parameters[k, channel]
        lanes[PER_THRESHOLD + lane] = one / lanes[THRESHOLD + lane]
        lanes[THROUGH_RESET + lane] = not detach
    return lanes
