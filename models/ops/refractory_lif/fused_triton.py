"""The fused solver's GPU kernels (Triton).

Rows (one per example and channel) are independent, their recurrences are serial: each thread walks one row with the
state in registers. It reads the row in vectors of 16 bytes, a stretch ahead of the walk because memory answers late.
Threads share nothing, so a block is a single warp and few rows still spread over many multiprocessors. The arithmetic
of the forward pass is the reference's, operation for operation, and compiled without fused multiply-adds, so that
both round alike.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spike_ssm.models.ops.refractory_lif.parameters import Rules
from spike_ssm.models.ops.refractory_lif.states import STEPS_PER_STATE
from spike_ssm.models.ops.surrogate import TALL, WIDE

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise ImportError("The GPU kernels need Triton, which is not installed; use solver='sequential'.") from error

STEPS = tl.constexpr(STEPS_PER_STATE["cuda"])  # of a stretch
DENSITY_TALL, DENSITY_WIDE = tl.constexpr(TALL), tl.constexpr(WIDE)
ROWS = tl.constexpr(32)  # of a block, one a thread
LAUNCH: dict[str, Any] = {"num_warps": 1, "num_stages": 1, "enable_fp_fusion": False}


@triton.jit
def density(z, surrogate: tl.constexpr, spread: tl.constexpr):
    """Surrogate gradient (models.ops.surrogate) at width `spread`, a constant because Triton's floats are float32."""
    z = tl.abs(z / spread)
    if surrogate == "piecewise_quadratic":
        g = tl.maximum(1.0 - z, 0.0)
    elif surrogate == "arctan":
        z = z * 3.141592653589793
        g = 1.0 / (1.0 + z * z)
    elif surrogate == "sigmoid":
        e = tl.exp(-z)
        g = e / ((1.0 + e) * (1.0 + e))
    elif surrogate == "rectangular":
        g = 0.5 * (z < 1.0).to(z.dtype)
    elif surrogate == "fast_sigmoid":
        g = 0.5 / ((1.0 + z) * (1.0 + z))
    else:
        tl.static_assert(surrogate == "double_gaussian")
        g = DENSITY_TALL * tl.exp(-2.0 * z * z) - DENSITY_WIDE * tl.exp(-z * z / 18.0)
    return g / spread


@triton.jit
def _columns(tile):
    """Columns of a tile [ROWS, 1, 2 or 4]; they lie in one thread, so this moves nothing."""
    if tile.shape[1] == 1:
        columns = (tl.reshape(tile, (tile.shape[0],)),)
    elif tile.shape[1] == 2:
        columns = tl.split(tile)
    else:
        even, odd = tl.split(tl.reshape(tile, (tile.shape[0], 2, 2)))
        first, third = tl.split(even)
        second, fourth = tl.split(odd)
        columns = (first, second, third, fourth)
    return columns


@triton.jit
def _tile(columns, width: tl.constexpr):
    """The tile of 1, 2 or 4 columns [ROWS]."""
    if width == 1:
        tile = columns[0][:, None]
    elif width == 2:
        tile = tl.join(columns[0], columns[1])
    else:
        halves = tl.join(tl.join(columns[0], columns[2]), tl.join(columns[1], columns[3]))
        tile = tl.reshape(halves, (halves.shape[0], 4))
    return tile


@triton.jit
def _load(source, inside, start, length, width: tl.constexpr):
    """The stretch from step `start` as columns [ROWS], zero outside; `source` [ROWS, width] is where rows begin."""
    columns = ()
    for k in tl.static_range(0, STEPS, width):
        step = start + k + tl.arange(0, width)[None, :]
        within = inside[:, None] & (step >= 0) & (step < length)
        columns += _columns(tl.load(source + (start + k), mask=within, other=0.0))
    return columns


@triton.jit
def _store(target, columns, inside, start, length, width: tl.constexpr):
    """Write the stretch from step `start`, the counterpart of `_load`."""
    for k in tl.static_range(0, STEPS, width):
        within = inside[:, None] & (start + k + tl.arange(0, width)[None, :] < length)
        tl.store(target + (start + k), _tile(columns[k : k + width], width), mask=within)


@triton.jit
def parameters_of(parameters, row, channels):
    """Parameters leak, threshold, refractory and decay of a row or, each [ROWS], of several."""
    place = parameters + row % channels
    leak, threshold = tl.load(place), tl.load(place + channels)
    return leak, threshold, tl.load(place + 2 * channels), tl.load(place + 3 * channels)


@triton.jit
def _step(x, membrane, current, neuron, reset: tl.constexpr, raises: tl.constexpr):
    """One step of the reference: the potential compared with the threshold, the spike, the state after it.

    Selects stand for products with the spike: they round alike, and what they choose from need not wait for it.
    """
    leak, threshold, refractory, decay = neuron
    u = leak * membrane + x
    if not raises:
        u = u - current
    w = u - current if raises else u
    fires = w >= threshold
    if reset == "soft":
        u = tl.where(fires, u - threshold, u)
    elif reset == "hard":
        u = tl.where(fires, 0.0, u)
    kept = decay * current
    return w, fires, u, tl.where(fires, kept + refractory, kept)


@triton.jit
def _forward_kernel(
    x,
    parameters,
    spikes,
    potentials,
    states,
    rows,
    channels,
    length,
    reset: tl.constexpr,
    raises: tl.constexpr,
    keep_potential: tl.constexpr,
    whole: tl.constexpr,
):
    width: tl.constexpr = 128 // x.dtype.element_ty.primitive_bitwidth if whole else 1  # steps of an aligned vector
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    places = row.to(tl.int64)[:, None] * length + tl.arange(0, width)[None, :]
    state = states + row
    neuron = parameters_of(parameters, row, channels)
    membrane, current = tl.zeros_like(neuron[0]), tl.zeros_like(neuron[0])
    ahead = _load(x + places, inside, 0, length, width)
    for start in range(0, length, STEPS):
        inputs = ahead
        ahead = _load(x + places, inside, start + STEPS, length, width)
        fired, compared = (), ()
        for k in tl.static_range(STEPS):
            w, fires, u, eta = _step(inputs[k], membrane, current, neuron, reset, raises)
            fired += (fires.to(w.dtype),)
            compared += (w,)
            # the last state is that of the last step, wherever in its stretch that is
            membrane = u if whole else tl.where(start + k < length, u, membrane)
            current = eta if whole else tl.where(start + k < length, eta, current)
        _store(spikes + places, fired, inside, start, length, width)
        if keep_potential:
            _store(potentials + places, compared, inside, start, length, width)
        tl.store(state, membrane, mask=inside)
        tl.store(state + rows, current, mask=inside)
        state += 2 * rows


@triton.jit
def _load_state(state, row, rows, start):
    """Membrane potential and refractory current [ROWS] kept at `state`; those at rest if no step precedes `start`."""
    within = row < tl.where(start > 0, rows, 0)
    return tl.load(state, mask=within, other=0.0), tl.load(state + rows, mask=within, other=0.0)


@triton.jit
def _walk_back(
    grads,
    potentials,
    currents,
    adjoints,
    neuron,
    reset: tl.constexpr,
    raises: tl.constexpr,
    surrogate: tl.constexpr,
    spread: tl.constexpr,
    detach: tl.constexpr,
):
    """The adjoint of a stretch of steps, given the gradients of its spikes.

    `adjoints` are those of the following step's potential and of the refractory current after the stretch. Returns
    the gradients of the inputs, the adjoints before the stretch, and what the stretch adds to the parameters' sums.
    """
    leak, threshold, refractory, decay = neuron
    of_next, of_current = adjoints
    per_threshold = 1.0 / threshold  # leaves the loop over stretches
    none = tl.zeros_like(leak)
    by_leak, by_z, by_reset, by_refractory, by_decay = none, none, none, none, none
    by_inputs = ()
    for j in tl.static_range(STEPS):
        w, eta = potentials[STEPS - 1 - j], currents[STEPS - 1 - j]
        u = w + eta if raises else w
        fires = w >= threshold
        of_membrane = leak * of_next
        of_z = grads[STEPS - 1 - j]
        if not detach:
            of_z += refractory * of_current
            if reset != "none":
                of_z -= (threshold if reset == "soft" else u) * of_membrane
        of_z *= density(w * per_threshold - 1.0, surrogate, spread)
        of_w = of_z * per_threshold
        by_z = tl.fma(of_z, w, by_z)
        by_refractory += tl.where(fires, of_current, 0.0)
        by_decay = tl.fma(of_current, eta, by_decay)
        if reset == "soft":
            u = tl.where(fires, u - threshold, u)
            by_reset += tl.where(fires, of_membrane, 0.0)
        elif reset == "hard":
            u = tl.where(fires, 0.0, u)
            of_membrane = tl.where(fires, 0.0, of_membrane)
        by_leak = tl.fma(of_next, u, by_leak)
        of_next = of_w + of_membrane
        of_current = decay * of_current - (of_w if raises else of_next)
        by_inputs = (of_next,) + by_inputs  # noqa: RUF005 - Triton's tuples cannot be unpacked into
    return by_inputs, (of_next, of_current), (by_leak, by_z, by_reset, by_refractory, by_decay)


@triton.jit
def _backward_kernel(
    grad,
    x,
    states,
    parameters,
    grad_x,
    grad_parameters,
    rows,
    channels,
    length,
    reset: tl.constexpr,
    raises: tl.constexpr,
    surrogate: tl.constexpr,
    spread: tl.constexpr,
    detach: tl.constexpr,
    whole: tl.constexpr,
):
    width: tl.constexpr = 128 // x.dtype.element_ty.primitive_bitwidth if whole else 1  # steps of an aligned vector
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    places = row.to(tl.int64)[:, None] * length + tl.arange(0, width)[None, :]
    neuron = parameters_of(parameters, row, channels)
    adjoints = (tl.zeros_like(neuron[0]), tl.zeros_like(neuron[0]))
    zero = tl.zeros_like(neuron[0]).to(tl.float64)
    totals = (zero, zero, zero, zero, zero)  # thousands of float32 terms would lose digits
    start = (tl.cdiv(length, STEPS) - 1) * STEPS
    state = states + tl.cast(start // STEPS - 1, tl.int64) * 2 * rows + row
    inputs_ahead = _load(x + places, inside, start, length, width)
    grads_ahead = _load(grad + places, inside, start, length, width)
    state_ahead = _load_state(state, row, rows, start)
    for _ in range(0, length, STEPS):
        inputs, grads = inputs_ahead, grads_ahead
        membrane, current = state_ahead
        before = start - STEPS
        state -= 2 * rows
        inputs_ahead = _load(x + places, inside, before, length, width)
        grads_ahead = _load(grad + places, inside, before, length, width)
        state_ahead = _load_state(state, row, rows, before)
        potentials, currents = (), ()
        for k in tl.static_range(STEPS):
            currents += (current,)
            w, _fires, membrane, current = _step(inputs[k], membrane, current, neuron, reset, raises)
            potentials += (w,)
        by_inputs, adjoints, sums = _walk_back(
            grads, potentials, currents, adjoints, neuron, reset, raises, surrogate, spread, detach
        )
        _store(grad_x + places, by_inputs, inside, start, length, width)
        total_before = totals
        totals = ()
        for k in tl.static_range(5):
            totals += (total_before[k] + sums[k].to(tl.float64),)
        start = before
    by_leak, by_z, by_reset, by_refractory, by_decay = totals
    threshold = neuron[1].to(tl.float64)
    place = grad_parameters + row
    tl.store(place, by_leak, mask=inside)
    tl.store(place + rows, -by_z / (threshold * threshold) - by_reset, mask=inside)
    tl.store(place + 2 * rows, by_refractory, mask=inside)
    tl.store(place + 3 * rows, by_decay, mask=inside)


def forward(x: Tensor, parameters: Tensor, rules: Rules, keep_potential: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes [B, H, L], potentials (likewise, or none if not kept) and states [S, 2, B * H]; see fused.py."""
    batch, channels, length = x.shape
    rows = batch * channels
    spikes = torch.empty_like(x)
    potentials = x.new_empty(x.shape if keep_potential else (0, channels, length))
    states = x.new_empty(triton.cdiv(length, STEPS.value), 2, rows)
    with torch.cuda.device_of(x):
        _forward_kernel[triton.cdiv(rows, ROWS.value),](
            x,
            parameters,
            spikes,
            potentials,
            states,
            rows,
            channels,
            length,
            reset=rules.reset,
            raises=rules.raises_threshold,
            keep_potential=keep_potential,
            whole=length % STEPS.value == 0,
            **LAUNCH,
        )
    return spikes, potentials, states


def backward(grad: Tensor, x: Tensor, states: Tensor, parameters: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """Gradients of x [B, H, L] and, per row, of the parameters [4, B * H]; see fused.py."""
    batch, channels, length = x.shape
    rows = batch * channels
    grad_x, per_row = torch.empty_like(x), x.new_empty(4, rows)
    with torch.cuda.device_of(x):
        _backward_kernel[triton.cdiv(rows, ROWS.value),](
            grad,
            x,
            states,
            parameters,
            grad_x,
            per_row,
            rows,
            channels,
            length,
            reset=rules.reset,
            raises=rules.raises_threshold,
            surrogate=rules.surrogate,
            spread=rules.surrogate_width,
            detach=rules.detach_reset,
            whole=length % STEPS.value == 0,
            **LAUNCH,
        )
    return grad_x, per_row
