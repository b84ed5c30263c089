"""The CPU's kernels (numba) of the zero-order hold, in double precision whatever the parameters' is.

A number is its real part or, where states are complex, its two parts: the last axis of arrays is 1 or 2 long.
Gradients of complex numbers have that of the real part as real part.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from spike_ssm.models.ops.compiled import WORTH, Threaded, array_of, kernel, parts_of
from spike_ssm.models.ssm.discretisation import gradients_like, outputs_like


@kernel
def _number(parts):
    """The number that one or two parts stand for."""
    return complex(parts[0], parts[1] if parts.size == 2 else 0.0)


@kernel
def _store(number, parts):
    """Store a number's parts, as many as are wanted."""
    parts[0] = number.real
    if parts.size == 2:
        parts[1] = number.imag


@kernel
def _a(log_decay, frequency, h, n):
    """A's number of a state."""
    return complex(-np.exp(np.float64(log_decay[h, n])), frequency[h, n] if frequency.size else 0.0)


@kernel
def _exponentials(z):
    """Numbers e^z and e^z - 1, the latter without cancellation for re z <= 0."""
    size, less, sine, cosine = np.exp(z.real), np.expm1(z.real), np.sin(z.imag / 2), np.cos(z.imag / 2)
    turned = 2 * size * sine * cosine
    return (
        complex(size * (cosine * cosine - sine * sine), turned),
        complex(less - 2 * size * sine * sine, turned),
    )


@kernel
def _slope(z, power, less):
    """Derivative of (e^z - 1) / z by z, from z, e^z and e^z - 1; where these cancel, by its series."""
    if z.real * z.real + z.imag * z.imag > 0.01:
        return (power - less / z) / z
    total, term, factor = complex(0.5, 0.0), complex(1.0, 0.0), 1.0
    for k in range(1, 10):  # z^k (k + 1) / (k + 2)!
        term *= z
        factor /= k
        total += term * (factor / (k + 2))
    return total


@Threaded
def _forward_kernel(log_dt, log_decay, frequency, b, c, dt_a, weights, first, end):
    for h in range(first, end):
        dt = np.exp(np.float64(log_dt[h]))
        for n in range(log_decay.shape[1]):
            a = _a(log_decay, frequency, h, n)
            _, less = _exponentials(dt * a)
            discrete_b = _number(b[h, n]) * (less / a)
            _store(dt * a, dt_a[h, n])
            for direction in range(len(c)):
                _store(_number(c[direction, h, n]) * discrete_b, weights[direction, h, n])


@Threaded
def _backward_kernel(
    by_dt_a, by_weights, log_dt, log_decay, frequency, b, c, by_log_dt, by_log_decay, by_frequency, by_b, by_c,
    first, end,
):  # fmt: skip
    for h in range(first, end):
        dt, by_dt = np.exp(np.float64(log_dt[h])), 0.0
        for n in range(log_decay.shape[1]):
            a, number_b, by_bc = _a(log_decay, frequency, h, n), _number(b[h, n]), complex(0.0, 0.0)
            power, less = _exponentials(dt * a)
            hold = less / a
            for direction in range(len(c)):
                by_weight = _number(by_weights[direction, h, n])
                by_bc += by_weight * np.conj(_number(c[direction, h, n]))
                _store(by_weight * np.conj(number_b * hold), by_c[direction, h, n])
            _store(by_bc * np.conj(hold), by_b[h, n])
            by_hold, by_z = by_bc * np.conj(number_b), _number(by_dt_a[h, n])
            by_a = dt * (by_z + by_hold * np.conj(dt * _slope(dt * a, power, less)))
            by_dt += (by_z * np.conj(a) + by_hold * np.conj(power)).real
            by_log_decay[h, n] = by_a.real * a.real
            if frequency.size:
                by_frequency[h, n] = by_a.imag
        by_log_dt[h] = dt * by_dt


def forward(log_dt: Tensor, log_decay: Tensor, frequency: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Step size times A, and weights; see discretisation.py."""
    outputs = outputs_like(log_dt, log_decay, frequency, b, c)
    parameters = _arrays(log_dt, log_decay, frequency, b, c)
    _forward_kernel(*_groups(c), *parameters, *map(parts_of, outputs))
    return outputs  # type: ignore[no-any-return]


def backward(by_dt_a: Tensor, by_weights: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    """Gradients of the five parameters; see discretisation.py."""
    gradients = gradients_like(by_dt_a, by_weights, *parameters)
    by = parts_of(by_dt_a), parts_of(by_weights)
    _backward_kernel(*_groups(parameters[-1]), *by, *_arrays(*parameters), *_arrays(*gradients))
    return gradients  # type: ignore[no-any-return]


def _arrays(log_dt: Tensor, log_decay: Tensor, frequency: Tensor, b: Tensor, c: Tensor) -> tuple[np.ndarray, ...]:
    """Arrays of the parameters, or of their gradients; pairs are parts already."""
    of_numbers = parts_of if b.dim() == 2 else array_of
    return array_of(log_dt), array_of(log_decay), array_of(frequency), of_numbers(b), of_numbers(c)


def _groups(c: Tensor) -> tuple[int, int]:
    """Channels, and how many one thread has to have to be worth starting."""
    directions, channels, states = c.shape[:3]
    return channels, -(-WORTH // (directions * states))
