"""One step of the balanced resonate-and-fire neuron for all lanes (numba), and its adjoint; see dynamics.py.

The arithmetic of the step is the reference's, operation for operation, so that both round alike.
"""

from __future__ import annotations

from spike_ssm.models.ops.compiled import kernel
from spike_ssm.models.ops.refractory_lif.fused_cpu import WIDTH
from spike_ssm.models.ops.serial.tape_cpu import (
    BY_FIRST,
    BY_SECOND,
    BY_THIRD,
    DENSITY,
    FIFTH_PARAMETER,
    FIRST,
    FOURTH_PARAMETER,
    GRAD,
    PER_THRESHOLD,
    POTENTIAL,
    SECOND,
    SECOND_PARAMETER,
    SPIKE,
    SUMS,
    THIRD,
    THIRD_PARAMETER,
    THRESHOLD,
    THROUGH_RESET,
    U,
    X,
)

_KEPT, _ROTATION, _DAMPING, _DECAY = SECOND_PARAMETER, THIRD_PARAMETER, FOURTH_PARAMETER, FIFTH_PARAMETER
_BY_THRESHOLD, _BY_KEPT, _BY_ROTATION, _BY_DAMPING, _BY_DECAY = (SUMS + U(k) * WIDTH for k in range(5))


@kernel
def resonate(tape, lanes, now):
    """One step of all lanes; `now` is t * WIDTH."""
    after = now + WIDTH
    for lane in range(WIDTH):
        u, v, q = tape[FIRST + now + lane], tape[SECOND + now + lane], tape[THIRD + now + lane]
        rotation, threshold = lanes[_ROTATION + lane], lanes[THRESHOLD + lane]
        k = lanes[_KEPT + lane] - lanes[_DAMPING + lane] * q
        charged = k * u - rotation * v + tape[X + now + lane]
        potential = charged - threshold * q
        s = tape.dtype.type(potential >= threshold)
        tape[POTENTIAL + now + lane] = potential
        tape[SPIKE + now + lane] = s
        tape[FIRST + after + lane] = charged
        tape[SECOND + after + lane] = rotation * u + k * v
        tape[THIRD + after + lane] = lanes[_DECAY + lane] * q + s


@kernel
def resonate_back(tape, lanes, now):
    """The adjoint of `resonate`: the spike's gradient becomes that of x, and the parameters' are added up."""
    after = now + WIDTH
    for lane in range(WIDTH):
        u, v, q = tape[FIRST + now + lane], tape[SECOND + now + lane], tape[THIRD + now + lane]
        by_v, by_q = tape[BY_SECOND + after + lane], tape[BY_THIRD + after + lane]
        rotation, k = lanes[_ROTATION + lane], lanes[_KEPT + lane] - lanes[_DAMPING + lane] * q
        by_s = tape[GRAD + now + lane] + lanes[THROUGH_RESET + lane] * by_q
        by_potential = by_s * tape[DENSITY + now + lane] * lanes[PER_THRESHOLD + lane]
        by_u = tape[BY_FIRST + after + lane] + by_potential
        by_k = by_u * u + by_v * v
        tape[GRAD + now + lane] = by_u
        tape[BY_FIRST + now + lane] = k * by_u + rotation * by_v
        tape[BY_SECOND + now + lane] = k * by_v - rotation * by_u
        lowered = lanes[THRESHOLD + lane] * by_potential + lanes[_DAMPING + lane] * by_k
        tape[BY_THIRD + now + lane] = lanes[_DECAY + lane] * by_q - lowered
        normalised = tape[POTENTIAL + now + lane] * lanes[PER_THRESHOLD + lane]
        lanes[_BY_THRESHOLD + lane] -= by_potential * (normalised + q)
        lanes[_BY_KEPT + lane] += by_k
        lanes[_BY_ROTATION + lane] += by_v * u - by_u * v
        lanes[_BY_DAMPING + lane] -= by_k * q
        lanes[_BY_DECAY + lane] += by_q * q
