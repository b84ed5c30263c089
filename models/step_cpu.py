"""One step of a whole block on a CPU (numba), for streaming: norm, scan, neuron, mixing, gate and residual at once.

The parts' own kernels compute it, so the spikes are those of the whole sequence, bit for bit; what is saved is all that
Python and torch do between them, which takes several times as long.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.mixing.mixing_cpu import gate, joined_of, multiply_rows
from spike_ssm.models.ops.compiled import Threaded
from spike_ssm.models.ops.refractory_lif.fused_cpu import numbers_of
from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ops.refractory_lif.step_cpu import step_rows
from spike_ssm.models.ops.simd import BLOCK
from spike_ssm.models.ops.simd_recurrence import ROWS
from spike_ssm.models.ssm.scan.matrices_cpu import CHUNK
from spike_ssm.models.ssm.scan.step_cpu import ScanState, advance


class BlockState(NamedTuple):
    """State of a block between steps: of its scan and, flat, of its neurons, [2, B * H]; and the spikes [B, H] it sent.

    model: what stays: the scale and shift [2, H] of what leaves, the neurons' parameters [4, H] and rules, and bias and
    weight of the mixing.
    """

    scan: ScanState
    neurons: np.ndarray
    spikes: Tensor
    model: tuple[Any, ...]

    def step(self, x: Tensor) -> tuple[Tensor, BlockState]:
        """Output [B, H] of one step x [B, H], and the state after it."""
        y, spikes, scan = torch.empty_like(x), torch.empty_like(x), self.scan
        inputs, states, neurons = scan.inputs.copy(), scan.states.copy(), self.neurons.copy()
        moved = inputs, states, neurons, spikes.numpy(), y.numpy()
        _step_kernel(1, 1, x.numpy(force=True), scan.place, scan.model, *self.model, *moved)
        after = ScanState(inputs, states, (scan.place + 1) % CHUNK, scan.model)
        return y, BlockState(after, neurons, spikes, self.model)


@Threaded
def _step_kernel(
    x, place, model, leaving, parameters, reset, raises, joined, inputs, states, neurons, spikes, y,
    _first, _end,
):  # fmt: skip
    batch, channels = x.shape
    (terms, pitch), rows = joined.shape, (batch + ROWS - 1) // ROWS * ROWS
    drive, sent, z = np.empty_like(x), np.zeros((rows, terms), x.dtype), np.empty((rows, pitch), x.dtype)
    advance(x, place, model, inputs, states, drive)
    step_rows(drive.reshape(-1), parameters, reset, raises, neurons, spikes.reshape(-1), neurons)
    for b in range(batch):
        sent[b, 0] = 1
        for h in range(channels):
            sent[b, 1 + h] = spikes[b, h]
    flat, flat_z = joined.reshape(-1), z.reshape(-1)
    multiply_rows(sent.reshape(-1), 0, terms, rows, terms, flat, pitch, pitch - BLOCK, 0, flat_z, pitch)
    gate(z[:batch], channels)
    for b in range(batch):
        for h in range(channels):
            y[b, h] = (z[b, h] + x[b, h]) * leaving[0, h] + leaving[1, h]


def start(
    x: Tensor, scan: ScanState, parameters: Tensor, rules: Rules, weight: Tensor, bias: Tensor, leaving: Tensor | None
) -> BlockState:
    """The state before the first step of x [B, H]: of a scan and of neurons with these parameters [4, H]."""
    if leaving is None:
        leaving = torch.stack((torch.ones_like(x[0]), torch.zeros_like(x[0])))
    arrays = [each.numpy(force=True) for each in (leaving, parameters, joined_of(weight, bias))]
    model = (*arrays[:2], *numbers_of(rules)[:2], arrays[2])
    return BlockState(scan, np.zeros((2, x.numel()), arrays[1].dtype), torch.zeros_like(x), model)
