"""The CPU's kernels (numba) of S4D kernels of few steps: all powers of a channel, in double precision, in the cache."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from spike_ssm.models.ops.compiled import WORTH, Threaded, array_of, parts_of
from spike_ssm.models.ssm.scan.matrices_cpu import chain_weighted, fill, join, part, powers_of


@Threaded
def _forward_kernel(dt_a, weights, kernels, first, end):
    directions, _, length = kernels.shape
    _, states, planes = dt_a.shape
    exponents, weight, powers = np.empty((2, states)), np.empty((2, states)), np.empty((length, 2, states))
    for h in range(first, end):
        part(dt_a[h], exponents)
        powers_of(exponents, powers)
        for direction in range(directions):
            part(weights[direction, h], weight)
            for t in range(length):
                total = 0.0
                for n in range(states):
                    total += weight[0, n] * powers[t, 0, n] - weight[1, n] * powers[t, 1, n]
                kernels[direction, h, t] = planes * total  # one of each conjugate pair stands for both


@Threaded
def _backward_kernel(grad, dt_a, weights, by_dt_a, by_weights, first, end):
    directions, _, length = grad.shape
    _, states, planes = dt_a.shape
    exponents, weight, powers = np.empty((2, states)), np.empty((2, states)), np.empty((length, 2, states))
    by_lag, zeros = np.empty(states), np.zeros(states)
    for h in range(first, end):
        part(dt_a[h], exponents)
        powers_of(exponents, powers)
        by_exponents = np.zeros((1, 2, states))
        for direction in range(directions):
            part(weights[direction, h], weight)
            by_weight = np.zeros((1, 2, states))
            for t in range(length):
                fill(by_lag, grad[direction, h, t])
                chain_weighted(powers[t], t, planes, weight, by_lag, zeros, by_exponents[0], by_weight[0])
            join(by_weight, by_weights[direction, h])
        join(by_exponents, by_dt_a[h])


def forward(dt_a: Tensor, weights: Tensor, length: int) -> Tensor:
    """Kernels [directions, H, L]; see kernel.py."""
    kernels = weights.real.new_empty((*weights.shape[:2], length))
    _forward_kernel(*_groups(weights, length), parts_of(dt_a), parts_of(weights), kernels.numpy())
    return kernels


def backward(grad: Tensor, dt_a: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of dt_a and weights; see kernel.py."""
    found = dt_a.new_empty(dt_a.shape), weights.new_empty(weights.shape)
    given = array_of(grad), parts_of(dt_a), parts_of(weights)
    _backward_kernel(*_groups(weights, grad.shape[-1]), *given, *map(parts_of, found))
    return found


def _groups(weights: Tensor, length: int) -> tuple[int, int]:
    """Channels, and how many one thread has to have to be worth starting."""
    directions, channels, states = weights.shape
    return channels, -(-WORTH // (directions * states * length))
