"""One step of a causal scan at a time (numba): the numbers of the whole scan, bit for bit.

What has been seen of a chunk is kept, and its states move on when it is full. A product with one of the matrices of
matrices_cpu.py is the same chain of sums for one step as for a whole chunk, where steps to come are 0 and add nothing;
but here channels lie side by side, which are what a step has many of.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, kernel
from spike_ssm.models.ops.simd import fused
from spike_ssm.models.ssm.scan.matrices_cpu import CHUNK, prepared
from spike_ssm.models.ssm.scan.scan_cpu import inputs_of

Model = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""What stays of a scan: the scale and shift of its inputs [2, H], and its matrices, channels last: within
[CHUNK, CHUNK, H] and outward [CHUNK, numbers, H], both by output, inward [CHUNK, numbers, H] and kept [2, N, H]."""


class ScanState(NamedTuple):
    """State between steps: inputs [CHUNK, B, H] of the chunk, states [numbers, B, H] that entered it, and its steps."""

    inputs: np.ndarray
    states: np.ndarray
    place: int
    model: Model


@kernel
def _add_products(a, b, sums):
    """Add products of channels to sums, each rounded once together."""
    for h in range(sums.size):
        sums[h] = fused(a[h], b[h], sums[h])


@kernel
def _move_on(inputs, states, b, inward, kept):
    """Move an example's states on to the next chunk."""
    count = kept.shape[1]
    numbers, _, channels = states.shape
    added = np.zeros((numbers, channels), inputs.dtype)
    for n in range(numbers):
        for k in range(CHUNK):
            _add_products(inputs[k, b], inward[k, n], added[n])
    for n in range(count):
        real = states[n, b]
        _add_products(kept[0, n], real, added[n])
        if numbers > count:
            imaginary = states[count + n, b]
            _add_products(kept[0, n], imaginary, added[count + n])
            _add_products(-kept[1, n], imaginary, added[n])
            _add_products(kept[1, n], real, added[count + n])
    states[:, b] = added


@kernel
def advance(x, place, model, inputs, states, y):
    """Outputs y of one step x, [B, H] both, at a place in its chunk; inputs and states are moved on."""
    affine, within, outward, inward, kept = model
    batch, channels = x.shape
    for b in range(batch):
        entering, output = inputs[place, b], y[b]
        for h in range(channels):
            entering[h] = x[b, h] * affine[0, h] + affine[1, h]
            output[h] = 0
        for k in range(place + 1):
            _add_products(inputs[k, b], within[place, k], output)
        for n in range(states.shape[0]):
            _add_products(states[n, b], outward[place, n], output)
        if place == CHUNK - 1:
            _move_on(inputs, states, b, inward, kept)


@Threaded
def _step_kernel(x, place, model, inputs, states, y, _first, _end):
    advance(x, place, model, inputs, states, y)


def start(x: Tensor, affine: Tensor | None, dt_a: Tensor, weights: Tensor, skip: Tensor) -> ScanState:
    """The state before the first step of x [B, H], with the model of `scan`, of one direction."""
    _, entering_by, _ = inputs_of(x[..., None], affine, None)
    _, (_, planes), _, (inward, outward, within, kept) = prepared(dt_a, weights, skip)
    (channels, count), numbers = dt_a.shape, planes * dt_a.shape[1]
    by_step = (
        within.reshape(channels, CHUNK, CHUNK).transpose(2, 1, 0),
        outward.reshape(channels, -1, CHUNK)[:, :numbers].transpose(2, 1, 0),
        inward.reshape(channels, CHUNK, -1)[..., :numbers].transpose(1, 2, 0),
        kept.reshape(channels, 2, count).transpose(1, 2, 0),
    )
    first, second, third, fourth = map(np.ascontiguousarray, by_step)
    inputs = np.zeros((CHUNK, *x.shape), within.dtype)
    states = np.zeros((numbers, *x.shape), within.dtype)
    return ScanState(inputs, states, 0, (entering_by, first, second, third, fourth))


def step(x: Tensor, state: ScanState) -> tuple[Tensor, ScanState]:
    """Output [B, H] of one step x [B, H], and the state after it."""
    y, inputs, states = torch.empty_like(x), state.inputs.copy(), state.states.copy()
    _step_kernel(1, 1, x.numpy(force=True), state.place, state.model, inputs, states, y.numpy())
    return y, ScanState(inputs, states, (state.place + 1) % CHUNK, state.model)
