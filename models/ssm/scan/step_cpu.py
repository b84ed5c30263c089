"""One step of a causal scan at a time (numba): the numbers of the whole scan, bit for bit, by its own products.

What has been seen of a chunk is kept; its states move on when it is full. Steps that are yet to come are 0, and add
exactly nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, kernel
from spike_ssm.models.ops.simd_recurrence import ROWS, carry_complex, carry_real
from spike_ssm.models.ssm.scan.matrices_cpu import CHUNK, fill, prepared
from spike_ssm.models.ssm.scan.scan_cpu import inputs_of, multiply_rows, outputs


class ScanState(NamedTuple):
    """State between steps: inputs [H, B, CHUNK] of the chunk, states [H, B, 2N] that entered it, and its steps.

    model: what stays: the scale and shift of inputs [2, H], the numbers that a state has, the channels' matrices.
    """

    inputs: np.ndarray
    states: np.ndarray
    place: int
    model: tuple[np.ndarray, int, Any]


@kernel
def advance(x, affine, place, matrices, planes, inputs, states, y):
    """Outputs y of one step x, [B, H] both, at a place in its chunk; inputs and states are moved on."""
    inward, outward, within, kept = matrices
    (batch, channels), numbers, columns = x.shape, planes * kept.shape[1] // 2, inward.shape[1] // CHUNK
    rows = (batch + ROWS - 1) // ROWS * ROWS
    seen, z, out = np.zeros(rows * CHUNK, x.dtype), np.zeros(rows * columns, x.dtype), np.empty(rows * CHUNK, x.dtype)
    for h in range(channels):
        for b in range(batch):
            inputs[h, b, place] = x[b, h] * affine[0, h] + affine[1, h]
            for t in range(CHUNK):
                seen[b * CHUNK + t] = inputs[h, b, t]
            for n in range(numbers):
                z[b * columns + n] = states[h, b, n]
        outputs(seen, z, rows, outward[h], within[h], numbers, out)
        for b in range(batch):
            y[b, h] = out[b * CHUNK + place]
        if place == CHUNK - 1:
            multiply_rows(seen, inward[h], rows, columns, CHUNK, z)
            for b in range(batch):
                fill(inputs[h, b], 0)
                if planes == 2:
                    carry_complex(z, b * columns, columns, 1, numbers // 2, kept[h], states[h, b], None, None)
                else:
                    carry_real(z, b * columns, columns, 1, numbers, kept[h], states[h, b], None, None)


@Threaded
def _step_kernel(x, affine, place, matrices, planes, inputs, states, y, _first, _end):
    advance(x, affine, place, matrices, planes, inputs, states, y)


def start(x: Tensor, affine: Tensor | None, dt_a: Tensor, weights: Tensor, skip: Tensor) -> ScanState:
    """The state before the first step of x [B, H], with the model of `scan`, of one direction."""
    _, entering_by, _ = inputs_of(x[..., None], affine, None)
    *_, powers, matrices = prepared(dt_a, weights, skip)
    inputs = np.zeros((x.shape[1], len(x), CHUNK), matrices[0].dtype)
    states = np.zeros((x.shape[1], len(x), powers.shape[-1] * 2), matrices[0].dtype)
    return ScanState(inputs, states, 0, (entering_by, 1 + dt_a.is_complex(), matrices))


def step(x: Tensor, state: ScanState) -> tuple[Tensor, ScanState]:
    """Output [B, H] of one step x [B, H], and the state after it."""
    y, inputs, states = torch.empty_like(x), state.inputs.copy(), state.states.copy()
    affine, planes, matrices = state.model
    _step_kernel(1, 1, x.numpy(force=True), affine, state.place, matrices, planes, inputs, states, y.numpy())
    return y, ScanState(inputs, states, (state.place + 1) % CHUNK, state.model)
