"""One step of the neuron at a time (numba), by the kernels that walk a whole sequence: the same spikes, bit for bit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, kernel
from spike_ssm.models.ops.refractory_lif.fused_cpu import (
    CURRENT,
    LANES,
    MEMBRANE,
    X,
    lanes_of,
    numbers_of,
    one_step,
    tape_of,
)
from spike_ssm.models.ops.refractory_lif.parameters import Rules

_U = np.uintp


@kernel
def step_rows(x, parameters, reset, raises, before, spikes, after):
    """Spikes of one step of rows x, and their states after it, [2, rows], which may be where those before it are."""
    rows = x.size
    for first in range(0, rows, LANES):
        lanes, tape = lanes_of(parameters, first, rows, reset, raises, True), tape_of(4, x.dtype)
        for lane in range(LANES):
            row = min(first + lane, rows - 1)
            tape[X + _U(lane)] = x[row]
            tape[MEMBRANE + _U(lane)] = before[0, row]
            tape[CURRENT + _U(lane)] = before[1, row]
        one_step(tape, lanes, _U(0))
        for lane in range(min(LANES, rows - first)):
            spikes[first + lane] = tape[X + _U(lane)]
            after[0, first + lane] = tape[MEMBRANE + _U(LANES + lane)]
            after[1, first + lane] = tape[CURRENT + _U(LANES + lane)]


@Threaded
def _step_kernel(x, parameters, reset, raises, before, spikes, after, _first, _end):
    step_rows(x, parameters, reset, raises, before, spikes, after)


def step(x: Tensor, parameters: Tensor, rules: Rules, before: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes [B, H] of one step x [B, H], and the state [2, B, H] after it, given that before it.

    parameters [4, H] as `stack_parameters` gives them.
    """
    spikes, after = torch.empty_like(x), torch.empty_like(before)
    flat = [each.numpy(force=True).reshape(-1) for each in (x, spikes)]
    states = [each.numpy(force=True).reshape(2, -1) for each in (before, after)]
    _step_kernel(1, 1, flat[0], parameters.numpy(force=True), *numbers_of(rules)[:2], states[0], flat[1], states[1])
    return spikes, after
