"""One step of the two-compartment LIF neuron for all lanes (numba), and its adjoint; see dynamics.py.

The arithmetic of the step is the reference's, operation for operation, so that both round alike.
"""

from __future__ import annotations

from spike_ssm.models.ops.compiled import kernel
from spike_ssm.models.ops.refractory_lif.fused_cpu import WIDTH
from spike_ssm.models.ops.serial.tape_cpu import (
    BY_FIRST,
    BY_SECOND,
    DENSITY,
    FIRST,
    FOURTH_PARAMETER,
    GRAD,
    PER_THRESHOLD,
    POTENTIAL,
    SECOND,
    SECOND_PARAMETER,
    SPIKE,
    SUMS,
    THIRD_PARAMETER,
    THRESHOLD,
    THROUGH_RESET,
    U,
    X,
)

_DENDRITE, _SOMA, _TAKEN = SECOND_PARAMETER, THIRD_PARAMETER, FOURTH_PARAMETER
_BY_THRESHOLD, _BY_DENDRITE, _BY_SOMA, _BY_TAKEN = (SUMS + U(k) * WIDTH for k in range(4))


@kernel
def charge(tape, lanes, now):
    """One step of all lanes; `now` is t * WIDTH."""
    after = now + WIDTH
    for lane in range(WIDTH):
        b, threshold = tape[SECOND + now + lane], lanes[THRESHOLD + lane]
        charged = tape[FIRST + now + lane] - lanes[_DENDRITE + lane] * b + tape[X + now + lane]
        potential = b + lanes[_SOMA + lane] * charged
        s = tape.dtype.type(potential >= threshold)
        tape[POTENTIAL + now + lane] = potential
        tape[SPIKE + now + lane] = s
        tape[FIRST + after + lane] = charged - lanes[_TAKEN + lane] * s
        tape[SECOND + after + lane] = potential - threshold * s


@kernel
def charge_back(tape, lanes, now):
    """The adjoint of `charge`: the spike's gradient becomes that of x, and the parameters' are added up."""
    after = now + WIDTH
    for lane in range(WIDTH):
        b, s, potential = tape[SECOND + now + lane], tape[SPIKE + now + lane], tape[POTENTIAL + now + lane]
        charged = tape[FIRST + now + lane] - lanes[_DENDRITE + lane] * b + tape[X + now + lane]
        by_a, by_b = tape[BY_FIRST + after + lane], tape[BY_SECOND + after + lane]
        taken_off = lanes[_TAKEN + lane] * by_a + lanes[THRESHOLD + lane] * by_b
        by_s = tape[GRAD + now + lane] - lanes[THROUGH_RESET + lane] * taken_off
        by_potential = by_s * tape[DENSITY + now + lane] * lanes[PER_THRESHOLD + lane]
        by_soma = by_b + by_potential
        by_charged = by_a + lanes[_SOMA + lane] * by_soma
        tape[GRAD + now + lane] = by_charged
        tape[BY_FIRST + now + lane] = by_charged
        tape[BY_SECOND + now + lane] = by_soma - lanes[_DENDRITE + lane] * by_charged
        lanes[_BY_THRESHOLD + lane] -= by_potential * (potential * lanes[PER_THRESHOLD + lane]) + by_b * s
        lanes[_BY_DENDRITE + lane] -= by_charged * b
        lanes[_BY_SOMA + lane] += by_soma * charged
        lanes[_BY_TAKEN + lane] -= by_a * s
