"""One step of a causal scan at a time (numba): the numbers of the whole scan, bit for bit, by its own products.

What has been seen of a chunk is kept; its states move on when it is full. Steps that are yet to come are 0, and add
exactly nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded
from spike_ssm.models.ops.simd_recurrence import ROWS, carry_complex, carry_real
from spike_ssm.models.ssm.scan.matrices_cpu import CHUNK, fill, prepared
from spike_ssm.models.ssm.scan.scan_cpu import inputs_of, multiply_rows, outputs


class ScanState(NamedTuple):
    """State between steps: inputs [H, rows, CHUNK] of the chunk, states [H, B, 2N] that entered it, and its steps.

    rows: the examples, and others up to whole blocks of a product. model: what stays: the scale and shift of inputs
    [2, H], the numbers that a state has, and the matrices of the channels.
    """

    inputs: np.ndarray
    states: np.ndarray
    place: int
    model: tuple[np.ndarray, int, Any]


@Threaded
def _step_kernel(x, affine, place, matrices, planes, inputs, states, y, first, end):
    inward, outward, within, kept = matrices
    batch, rows, numbers, columns = x.shape[0], inputs.shape[1], planes * kept.shape[1] // 2, inward.shape[1] // CHUNK
    z, out = np.zeros(rows * columns, x.dtype), np.empty(rows * CHUNK, x.dtype)
    for h in range(first, end):
        for b in range(batch):
            inputs[h, b, place] = x[b, h] * affine[0, h] + affine[1, h]
            for n in range(numbers):
                z[b * columns + n] = states[h, b, n]
        seen = inputs[h].reshape(rows * CHUNK)
        outputs(seen, z, rows, outward[h], within[h], numbers, out)
        for b in range(batch):
            y[b, h] = out[b * CHUNK + place]
        if place == CHUNK - 1:
            multiply_rows(seen, inward[h], rows, columns, CHUNK, z)
            for b in range(batch):
                if planes == 2:
                    carry_complex(z, b * columns, columns, 1, numbers // 2, kept[h], states[h, b], None, None)
                else:
                    carry_real(z, b * columns, columns, 1, numbers, kept[h], states[h, b], None, None)
            fill(seen, 0)


def start(x: Tensor, affine: Tensor | None, dt_a: Tensor, weights: Tensor, skip: Tensor) -> ScanState:
    """The state before the first step of x [B, H], with the model of `scan`, of one direction."""
    _, entering_by, _ = inputs_of(x[..., None], affine, None)
    *_, powers, matrices = prepared(dt_a, weights, skip)
    rows = -(-len(x) // ROWS) * ROWS
    inputs = np.zeros((x.shape[1], rows, CHUNK), matrices[0].dtype)
    states = np.zeros((x.shape[1], len(x), powers.shape[-1] * 2), matrices[0].dtype)
    return ScanState(inputs, states, 0, (entering_by, 1 + dt_a.is_complex(), matrices))


def step(x: Tensor, state: ScanState) -> tuple[Tensor, ScanState]:
    """Output [B, H] of one step x [B, H], and the state after it."""
    y, inputs, states = torch.empty_like(x), state.inputs.copy(), state.states.copy()
    affine, planes, matrices = state.model
    channels, arrays = x.shape[1], (x.numpy(force=True), affine, state.place, matrices, planes, inputs, states)
    _step_kernel(channels, channels, *arrays, y.numpy())
    return y, ScanState(inputs, states, (state.place + 1) % CHUNK, state.model)
