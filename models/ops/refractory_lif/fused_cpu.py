"""The fused solver's CPU kernels (numba).

Rows (one per example and channel) are independent, their recurrences are serial. So LANES rows advance side by side,
a SIMD lane each: a tile of TILE steps is transposed into the L1 cache, walked, and transposed back. The arithmetic of
the forward pass is the reference's, operation for operation, so that both round alike.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spike_ssm.models.ops.compiled import Threaded, groups_of, kernel
from spike_ssm.models.ops.refractory_lif.parameters import RESETS, Rules
from spike_ssm.models.ops.refractory_lif.states import STEPS_PER_STATE, states_like
from spike_ssm.models.ops.simd import BLOCK, load_transposed, prefetch, store_transposed
from spike_ssm.models.ops.surrogate import SURROGATES, TALL, WIDE

LANES, TILE = BLOCK, STEPS_PER_STATE["cpu"]

_PIECEWISE_QUADRATIC, _ARCTAN, _SIGMOID, _RECTANGULAR, _FAST_SIGMOID, _DOUBLE_GAUSSIAN = range(len(SURROGATES))
_SOFT, _NONE, _HARD = range(len(RESETS))

# What vectorises and what does not was found by looking at the machine code. Indices are unsigned (a negative one
# would count from the end, which costs a branch), scratch arrays are flat with constant distances (else LLVM cannot
# tell that they do not overlap), rules are numbers 0 or 1, and one step for all lanes is one function.
_U = np.uintp
WIDTH = _U(LANES)
PLANE = _U((TILE + 1) * LANES)

# `tape[plane + t * WIDTH + lane]` holds step t of a tile. The state's planes have one step more, the one after.
X, _POTENTIAL, MEMBRANE, CURRENT = (_U(k) * PLANE for k in range(4))  # x becomes the spike
_GRAD, _DENSITY, _BY_MEMBRANE, _BY_CURRENT, _RECIPROCAL = (_U(k) * PLANE for k in range(4, 9))  # backward only

# `lanes[what + lane]` holds the four parameters, then the rules, then what the backward adds up.
_LEAK, _THRESHOLD, _REFRACTORY, _DECAY = (_U(k) * WIDTH for k in range(4))
_SOFT_RESET, _HARD_RESET, _LOWERS, _RAISES, _THROUGH_RESET, _PER_THRESHOLD = (_U(k) * WIDTH for k in range(4, 10))
_BY_LEAK, _BY_Z, _BY_RESET, _BY_REFRACTORY, _BY_DECAY = (_U(k) * WIDTH for k in range(10, 15))


@kernel(inline="always")
def _prefetch_next(array, first, start, t):
    """Prefetch, at step t of a tile, one cache line of the tile from step `start` on; all steps together fetch it all.

    Its rows are too many streams for the hardware to foresee, and asking for all at once would have to wait. (With
    float64, whose lines hold half as many numbers, every other line.)
    """
    per_row = TILE // LANES
    row = min(first + t // per_row, array.shape[0] - 1)
    column = min(max(start + t % per_row * LANES, 0), array.shape[1] - 1)
    prefetch(array, row, column)  # type: ignore[call-arg]  # numba itself passes the first


@kernel(inline="always")
def _in_blocks(array, first, steps):
    """Number of the steps that can be moved in blocks: none where rows are missing."""
    return steps - steps % LANES if first + LANES <= array.shape[0] else 0


@kernel
def load(source, tape, plane, first, start, steps):
    """Load `steps` steps from `start` on, of LANES rows from `first` on; lanes past the last row repeat it."""
    whole = _in_blocks(source, first, steps)
    for t in range(0, whole, LANES):
        load_transposed(source, first, start + t, tape, plane + _U(t * LANES), WIDTH)  # type: ignore[call-arg]
    for lane in range(LANES):
        row = min(first + lane, source.shape[0] - 1)
        for t in range(whole, steps):
            tape[plane + _U(t * LANES + lane)] = source[row, start + t]


@kernel
def store(tape, plane, target, first, start, steps):
    """Store what `load` loads, from a plane of the tape; lanes past the last row are left out."""
    whole = _in_blocks(target, first, steps)
    for t in range(0, whole, LANES):
        store_transposed(tape, plane + _U(t * LANES), WIDTH, target, first, start + t)  # type: ignore[call-arg]
    for lane in range(min(LANES, target.shape[0] - first)):
        for t in range(whole, steps):
            target[first + lane, start + t] = tape[plane + _U(t * LANES + lane)]


@kernel
def lanes_of(parameters, first, rows, reset, raises, detach):
    """Parameters and rules of each lane, and zeros for its sums, flat [15 * LANES]."""
    lanes = np.zeros(15 * LANES, parameters.dtype)
    one = parameters.dtype.type(1)
    for lane in range(WIDTH):
        channel = min(first + np.int64(lane), rows - 1) % parameters.shape[1]
        for k in range(4):
            lanes[_U(k) * WIDTH + lane] = parameters[k, channel]
        lanes[_SOFT_RESET + lane] = lanes[_THRESHOLD + lane] if reset == _SOFT else 0
        lanes[_HARD_RESET + lane] = reset == _HARD
        lanes[_LOWERS + lane] = not raises
        lanes[_RAISES + lane] = raises
        lanes[_THROUGH_RESET + lane] = not detach
        lanes[_PER_THRESHOLD + lane] = one / lanes[_THRESHOLD + lane]
    return lanes


@kernel
def tape_of(planes, dtype):
    """Tape with zeros in its first step only: clearing all of it takes as long as walking a short sequence."""
    tape = np.empty(planes * int(PLANE), dtype)
    for plane in range(planes):
        for lane in range(WIDTH):
            tape[_U(plane) * PLANE + lane] = 0
    return tape


@kernel
def one_step(tape, lanes, now):
    """One step of all lanes; `now` is t * WIDTH."""
    after = now + WIDTH
    for lane in range(WIDTH):
        before, eta = tape[MEMBRANE + now + lane], tape[CURRENT + now + lane]
        u = lanes[_LEAK + lane] * before + tape[X + now + lane] - lanes[_LOWERS + lane] * eta
        w = u - lanes[_RAISES + lane] * eta
        s = tape.dtype.type(w >= lanes[_THRESHOLD + lane])
        tape[_POTENTIAL + now + lane] = w
        tape[X + now + lane] = s
        tape[MEMBRANE + after + lane] = u - (lanes[_SOFT_RESET + lane] + lanes[_HARD_RESET + lane] * u) * s
        tape[CURRENT + after + lane] = lanes[_DECAY + lane] * eta + lanes[_REFRACTORY + lane] * s


@kernel(inline="always")
def _walk(tape, lanes, steps, one, other, first, following):
    """Walk all steps of a tile, while the tiles of two arrays from step `following` on are fetched."""
    for t in range(steps):
        _prefetch_next(one, first, following, t)
        _prefetch_next(other, first, following, t)
        one_step(tape, lanes, _U(t) * WIDTH)


@kernel(inline="always")
def _walk_both(tapes, lanes, steps, one, other, firsts, following):
    """Walk two groups at once: each step waits for the one before, so a processor walks two in the time of one."""
    for t in range(steps):
        _prefetch_next(one, firsts[0], following, t)
        _prefetch_next(one, firsts[1], following, t)
        _prefetch_next(other, firsts[0], following, t)
        _prefetch_next(other, firsts[1], following, t)
        one_step(tapes[0], lanes[0], _U(t) * WIDTH)
        one_step(tapes[1], lanes[1], _U(t) * WIDTH)


@kernel
def _keep_state(tape, states, number, first, steps):
    """Keep the state after `steps` steps, and put it where the next tile starts."""
    end = _U(steps) * WIDTH
    for lane in range(WIDTH):
        tape[MEMBRANE + lane] = tape[MEMBRANE + end + lane]
        tape[CURRENT + lane] = tape[CURRENT + end + lane]
    for lane in range(min(LANES, states.shape[2] - first)):
        states[number, 0, first + lane] = tape[MEMBRANE + _U(lane)]
        states[number, 1, first + lane] = tape[CURRENT + _U(lane)]


@kernel
def forward_groups(x, parameters, reset, raises, spikes, potential, states, first, count):
    """Compute `count` (1 or 2) groups of LANES rows from row `first` on."""
    rows, length = x.shape
    firsts = (first, first + LANES)
    lanes = (
        lanes_of(parameters, firsts[0], rows, reset, raises, True),
        lanes_of(parameters, firsts[1], rows, reset, raises, True),
    )
    tapes = tape_of(4, x.dtype), tape_of(4, x.dtype)
    for start in range(0, length, TILE):
        steps = min(TILE, length - start)
        for group in range(count):
            load(x, tapes[group], X, firsts[group], start, steps)
        if count == 2:
            _walk_both(tapes, lanes, steps, x, spikes, firsts, start + TILE)
        else:
            _walk(tapes[0], lanes[0], steps, x, spikes, firsts[0], start + TILE)
        for group in range(count):
            store(tapes[group], X, spikes, firsts[group], start, steps)
            if potential.size > 0:
                store(tapes[group], _POTENTIAL, potential, firsts[group], start, steps)
            _keep_state(tapes[group], states, start // TILE, firsts[group], steps)


@Threaded
def _forward_kernel(x, parameters, reset, raises, spikes, potential, states, first, end):
    for group in range(first, end, 2):
        count = min(2, end - group)
        forward_groups(x, parameters, reset, raises, spikes, potential, states, LANES * group, count)


@kernel
def densities(potential, reciprocal, density, code, per_width):
    """Surrogate densities (models.ops.surrogate.SURROGATES) of potentials, each with the reciprocal of its threshold.

    One flat loop over a tile: what 16 lanes do in few operations is unrolled and then not vectorised.
    """
    one, pi = per_width / per_width, potential.dtype.type(np.pi)
    half = one / (one + one)
    if code == _PIECEWISE_QUADRATIC:
        for i in range(density.size):
            z = (potential[i] * reciprocal[i] - one) * per_width
            density[i] = (one - abs(z)) * per_width if abs(z) < one else one - one
    elif code == _ARCTAN:
        for i in range(density.size):
            z = (potential[i] * reciprocal[i] - one) * per_width
            density[i] = per_width / (one + pi * z * pi * z)
    elif code == _SIGMOID:
        for i in range(density.size):
            z = (potential[i] * reciprocal[i] - one) * per_width
            e = np.exp(-abs(z))
            density[i] = e * per_width / ((one + e) * (one + e))
    elif code == _RECTANGULAR:
        for i in range(density.size):
            z = (potential[i] * reciprocal[i] - one) * per_width
            density[i] = half * per_width if abs(z) < one else one - one
    elif code == _FAST_SIGMOID:
        for i in range(density.size):
            z = (potential[i] * reciprocal[i] - one) * per_width
            density[i] = half * per_width / ((one + abs(z)) * (one + abs(z)))
    else:
        tall, wide = potential.dtype.type(TALL), potential.dtype.type(WIDE)
        for i in range(density.size):
            z = (potential[i] * reciprocal[i] - one) * per_width
            square = z * z
            density[i] = (tall * np.exp(-square / half) - wide * np.exp(-square / potential.dtype.type(18))) * per_width


@kernel
def _step_back(tape, lanes, now):
    """The adjoint of `one_step`: the spike's gradient becomes that of x, and the parameters' are added up."""
    after = now + WIDTH
    for lane in range(WIDTH):
        w, s, eta = tape[_POTENTIAL + now + lane], tape[X + now + lane], tape[CURRENT + now + lane]
        by_membrane, by_current = tape[_BY_MEMBRANE + after + lane], tape[_BY_CURRENT + after + lane]
        hard, raises = lanes[_HARD_RESET + lane], lanes[_RAISES + lane]
        taken_off = lanes[_SOFT_RESET + lane] + hard * (w + raises * eta)
        through_reset = lanes[_REFRACTORY + lane] * by_current - taken_off * by_membrane
        by_s = tape[_GRAD + now + lane] + lanes[_THROUGH_RESET + lane] * through_reset
        by_z = by_s * tape[_DENSITY + now + lane]
        by_w = by_z * lanes[_PER_THRESHOLD + lane]
        by_u = by_w + by_membrane - hard * s * by_membrane
        tape[_GRAD + now + lane] = by_u
        tape[_BY_MEMBRANE + now + lane] = lanes[_LEAK + lane] * by_u
        lowered = raises * by_w + lanes[_LOWERS + lane] * by_u
        tape[_BY_CURRENT + now + lane] = lanes[_DECAY + lane] * by_current - lowered
        lanes[_BY_LEAK + lane] += by_u * tape[MEMBRANE + now + lane]
        lanes[_BY_Z + lane] += by_z * w
        lanes[_BY_RESET + lane] += by_membrane * s
        lanes[_BY_REFRACTORY + lane] += by_current * s
        lanes[_BY_DECAY + lane] += by_current * eta


@kernel(inline="always")
def _walk_back(tape, lanes, steps, code, per_width, array, first, following):
    """The adjoint of `_walk`, while the tile of `array` from step `following` on is fetched."""
    size = _U(steps) * WIDTH
    densities(
        tape[_POTENTIAL : _POTENTIAL + size],
        tape[_RECIPROCAL : _RECIPROCAL + size],
        tape[_DENSITY : _DENSITY + size],
        code,
        per_width,
    )
    for t in range(steps - 1, -1, -1):
        _prefetch_next(array, first, following, t)
        _step_back(tape, lanes, _U(t) * WIDTH)


@kernel
def backward_group(grad, x, states, parameters, reset, raises, code, width, detach, grad_x, grad_parameters, first):
    """Compute the gradients of a group of LANES rows from row `first` on."""
    rows, length = x.shape
    lanes = lanes_of(parameters, first, rows, reset, raises, detach)
    tape = tape_of(9, x.dtype)
    for i in range(min(TILE, length) * LANES):
        tape[_RECIPROCAL + _U(i)] = lanes[_PER_THRESHOLD + _U(i % LANES)]
    totals = np.zeros(5 * LANES, np.float64)  # thousands of float32 terms would lose digits
    for start in range((length - 1) // TILE * TILE, -1, -TILE):
        steps = min(TILE, length - start)
        end = _U(steps) * WIDTH
        for lane in range(WIDTH):
            row = min(first + np.int64(lane), rows - 1)
            tape[MEMBRANE + lane] = states[start // TILE - 1, 0, row] if start > 0 else 0
            tape[CURRENT + lane] = states[start // TILE - 1, 1, row] if start > 0 else 0
            tape[_BY_MEMBRANE + end + lane] = tape[_BY_MEMBRANE + lane]
            tape[_BY_CURRENT + end + lane] = tape[_BY_CURRENT + lane]
        load(x, tape, X, first, start, steps)
        load(grad, tape, _GRAD, first, start, steps)
        _walk(tape, lanes, steps, x, grad, first, start - TILE)
        _walk_back(tape, lanes, steps, code, width / width / width, grad_x, first, start - TILE)
        store(tape, _GRAD, grad_x, first, start, steps)
        totals += lanes[_BY_LEAK:]
        lanes[_BY_LEAK:] = 0
    by_leak, by_z, by_reset, by_refractory, by_decay = totals.reshape(5, LANES)
    for lane in range(min(LANES, rows - first)):
        threshold = lanes[_THRESHOLD + _U(lane)]
        through_reset = by_reset[lane] if reset == _SOFT else 0.0
        grad_parameters[0, first + lane] = by_leak[lane]
        grad_parameters[1, first + lane] = -by_z[lane] / (threshold * threshold) - through_reset
        grad_parameters[2, first + lane] = by_refractory[lane]
        grad_parameters[3, first + lane] = by_decay[lane]


@Threaded
def _backward_kernel(
    grad, x, states, parameters, reset, raises, code, width, detach, grad_x, grad_parameters, first, end
):
    for group in range(first, end):
        backward_group(
            grad, x, states, parameters, reset, raises, code, width, detach, grad_x, grad_parameters, LANES * group
        )


def rows_of(tensor: Tensor) -> np.ndarray:
    """Rows [B * H, L] of a tensor [B, H, L], in its own memory."""
    return tensor.numpy(force=True).reshape(-1, tensor.shape[-1])  # force: of a tensor that wants a gradient too


def numbers_of(rules: Rules) -> tuple[int, bool, int, float, bool]:
    """The rules as kernels take them; reset and surrogate are numbered in the order of their names."""
    code = tuple(SURROGATES).index(rules.surrogate)
    return RESETS.index(rules.reset), rules.raises_threshold, code, rules.surrogate_width, rules.detach_reset


def forward(x: Tensor, parameters: Tensor, rules: Rules, keep_potential: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes [B, H, L], potentials (likewise, or none if not kept) and states [S, 2, B * H]; see fused.py."""
    spikes, states = torch.empty_like(x), states_like(x)
    potential = x.new_empty(x.shape if keep_potential else (0, *x.shape[1:]))
    _forward_kernel(
        *groups_of(x, LANES),
        rows_of(x),
        parameters.numpy(force=True),
        *numbers_of(rules)[:2],
        rows_of(spikes),
        rows_of(potential),
        states.numpy(),
    )
    return spikes, potential, states


def backward(grad: Tensor, x: Tensor, states: Tensor, parameters: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """Gradients of x [B, H, L] and, per row, of the parameters [4, B * H]; see fused.py."""
    grad_x, per_row = torch.empty_like(x), x.new_empty(4, x.shape[0] * x.shape[1])
    plain = parameters.numpy(force=True)
    reset, raises, code, width, detach = numbers_of(rules)
    _backward_kernel(
        *groups_of(x, LANES),
        rows_of(grad),
        rows_of(x),
        states.numpy(),
        plain,
        reset,
        raises,
        code,
        plain.dtype.type(width),
        detach,
        rows_of(grad_x),
        per_row.numpy(),
    )
    return grad_x, per_row
