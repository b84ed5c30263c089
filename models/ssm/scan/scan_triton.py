"""The scan's GPU kernels (Triton).

Time goes in chunks of CHUNK steps, whose parts are products with small matrices of the channel, as in scan_cpu.py:
`inward` from inputs to states, `outward` from the states that enter a chunk to outputs, `within` from inputs to
outputs, and `kept`, by which states decay over a chunk. A block of threads walks a row (an example's channel) tile by
tile. A tile is TILE chunks, a matrix as it lies in memory; a scan over its chunks gives the states that enter them,
which stay in registers. Rounding a decay costs digits as often as it is applied: here once a chunk, not once a step.

A launch does one direction. That which looks ahead counts its steps from the last one back, and then only differs in
that its outputs come a step later; it adds to what the first direction wrote. What is read and written, per direction:

    forward   reads x and writes y.
    backward  first reads x and writes the states with which a walk arrives at each tile, a number of each column for
              every TILE x CHUNK steps. Then walks from the end: reads these, x and y's gradient, and writes x's.
              Gradients of the matrices are sums over rows: in registers over a stretch of STRETCH tiles, and in double
              precision in memory over the GROUP rows of a block.

The matrices are made by torch in double precision, and its autograd chains their gradients on to the parameters'.

The columns of states are their real numbers, and zeros up to a power of two. Those of complex states are their real
and imaginary parts in turn, the two `planes`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise ImportError("The GPU kernels need Triton, which is not installed; set model.convolution=fft.") from error

CHUNK = tl.constexpr(16)  # steps
TILE = tl.constexpr(16)  # chunks
STRETCH = tl.constexpr(32)  # tiles
GROUP = tl.constexpr(8)  # rows
# A single warp waits for no other and reads shared memory least; the backward's sums need the registers of four.
LAUNCH: dict[str, Any] = {"num_warps": 1, "num_stages": 1, "enable_fp_fusion": True}
LAUNCH_BACKWARD: dict[str, Any] = {**LAUNCH, "num_warps": 4}


def matrices(dt_a: Tensor, weights: Tensor, skip: Tensor, lag: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Matrices of one direction in double precision: inward, outward, within and kept.

    They are [H, CHUNK, columns] twice, [H, CHUNK, CHUNK] from one step to another, and [H, columns]. The direction's
    weights are [H, N], and an output sees the inputs up to `lag` steps before it: 0, or 1 if it looks ahead.
    """
    steps = torch.arange(CHUNK.value + 1, dtype=torch.float64, device=dt_a.device)
    powers = (steps[:, None] * dt_a[:, None]).exp()
    weighted = (1 + dt_a.is_complex()) * weights[:, None] * powers  # one of each conjugate pair stands for both
    lags = weighted.real.sum(-1)[:, :-1] + pad(skip[:, None] * (1 - lag), (0, CHUNK.value - 1))
    within = pad(lags, (CHUNK.value - 1 + lag, -lag)).unfold(-1, CHUNK.value, 1).flip(1)
    inward, outward = powers[:, :-1].flip(1), weighted[:, 1 - lag : CHUNK.value + 1 - lag].conj()
    return _in_columns(inward), _in_columns(outward), within, _in_columns(powers[:, -1])


def _in_columns(values: Tensor) -> Tensor:
    """Values [..., N] as real numbers [..., columns], zeros where there is no state."""
    planes, states = 1 + values.is_complex(), values.shape[-1]
    values = pad(values, (0, max(16 // planes, triton.next_power_of_2(states)) - states))  # products need 16 columns
    return torch.view_as_real(values.resolve_conj()).flatten(-2) if values.is_complex() else values


@triton.jit
def _places(rows: tl.constexpr, columns: tl.constexpr):
    """Places [rows, columns] of the numbers of a matrix in memory."""
    return columns * tl.arange(0, rows)[:, None] + tl.arange(0, columns)[None, :]


@triton.jit
def _steps(start, length, ahead: tl.constexpr):
    """Places in a row of the steps of the tile from step `start`, [TILE, CHUNK], and whether they are inside it."""
    step = start + _places(TILE, CHUNK)
    return length - 1 - step if ahead else step, (step >= 0) & (step < length)


@triton.jit
def _load(row, start, length, ahead: tl.constexpr):
    """The tile [TILE, CHUNK] from step `start` of a row, zero outside it."""
    place, inside = _steps(start, length, ahead)
    return tl.load(row + place, mask=inside, other=0.0)


@triton.jit
def _write(row, tile, start, length, ahead: tl.constexpr):
    """Write a tile of the first direction, or add one of that which looks ahead."""
    place, inside = _steps(start, length, ahead)
    if ahead:
        tile += tl.load(row + place, mask=inside)
    tl.store(row + place, tile, mask=inside)


@triton.jit
def _split(values):
    """Real and imaginary parts [rows, N] of complex numbers in columns."""
    return tl.split(tl.reshape(values, (values.shape[0], values.shape[1] // 2, 2)))


@triton.jit
def _join(re, im):
    """Complex numbers in columns, the inverse of `_split`."""
    return tl.reshape(tl.join(re, im), (re.shape[0], 2 * re.shape[1]))


@triton.jit
def _conjugate(values, planes: tl.constexpr):
    """Conjugates of numbers in columns."""
    if planes == 2:
        re, im = _split(values)
        values = _join(re, -im)
    return values


@triton.jit
def _times(one, other, planes: tl.constexpr):
    """Products of numbers in columns."""
    if planes == 1:
        product = one * other
    else:
        re, im = _split(one)
        other_re, other_im = _split(other)
        product = _join(re * other_re - im * other_im, re * other_im + im * other_re)
    return product


@triton.jit
def _compose(kept_first, first, kept, second):
    """Composition of two maps z -> kept z + added, the first and then the second."""
    return kept_first * kept, kept * first + second


@triton.jit
def _compose_complex(kept_first_re, kept_first_im, first_re, first_im, kept_re, kept_im, second_re, second_im):
    """Composition as `_compose`, of maps of complex numbers."""
    return (
        kept_first_re * kept_re - kept_first_im * kept_im,
        kept_first_re * kept_im + kept_first_im * kept_re,
        kept_re * first_re - kept_im * first_im + second_re,
        kept_re * first_im + kept_im * first_re + second_im,
    )


@triton.jit
def _dot(a, b, total=None):
    """Matrix product, added to `total`, in the full precision of a and b."""
    return tl.dot(a, b, total, input_precision="ieee", out_dtype=a.dtype)


@triton.jit
def _states(inputs, matrix, kept, before, planes: tl.constexpr, last_first: tl.constexpr):
    """States [TILE, columns] that enter each chunk of a tile, given the inputs of the chunks gone through before these.

    before: [1, columns], what entered the chunk that was gone through before the tile.
    """
    z = _dot(inputs, matrix)
    first = tl.arange(0, TILE)[:, None] == (TILE - 1 if last_first else 0)
    z += tl.where(first, _times(kept, before, planes), 0.0)
    kept += tl.zeros_like(z)
    if planes == 1:
        _, z = tl.associative_scan((kept, z), 0, _compose, reverse=last_first)
    else:
        _, _, re, im = tl.associative_scan(_split(kept) + _split(z), 0, _compose_complex, reverse=last_first)
        z = _join(re, im)
    return z


@triton.jit
def _of_last(z, last_first: tl.constexpr):
    """States [1, columns] of the chunk of a tile that is gone through last, exact: all else that is added is zero."""
    last = tl.arange(0, TILE)[:, None] == (0 if last_first else TILE - 1)
    return tl.sum(tl.where(last, z, 0.0), 0, keep_dims=True)


@triton.jit
def _row():
    """Channel of a block and its row, where the grid is examples by channels."""
    h = tl.program_id(1)
    return h, tl.program_id(0).to(tl.int64) * tl.num_programs(1) + h


@triton.jit
def _forward_kernel(
    x, inward, outward, within, kept, y, length, columns: tl.constexpr, planes: tl.constexpr, ahead: tl.constexpr
):
    h, row = _row()
    matrix = h * CHUNK * columns + _places(CHUNK, columns)
    into, out = tl.load(inward + matrix), tl.trans(tl.load(outward + matrix))
    inside = tl.load(within + h * CHUNK * CHUNK + _places(CHUNK, CHUNK))
    decay = tl.load(kept + h * columns + _places(1, columns))
    before = tl.zeros_like(decay)
    for start in range(0, length, CHUNK * TILE):
        z = _states(_load(x + row * length, start - CHUNK, length, ahead), into, decay, before, planes, False)
        found = _dot(z, out, _dot(_load(x + row * length, start, length, ahead), inside))
        _write(y + row * length, found, start, length, ahead)
        before = _of_last(z, False)


@triton.jit
def _edges_kernel(x, inward, kept, edges, length, columns: tl.constexpr, planes: tl.constexpr, ahead: tl.constexpr):
    """Write the states that entered the last chunk before each tile, edges [B * H, tiles, columns]."""
    h, row = _row()
    into = tl.load(inward + h * CHUNK * columns + _places(CHUNK, columns))
    decay = tl.load(kept + h * columns + _places(1, columns))
    before = tl.zeros_like(decay)
    edge = edges + row * tl.cdiv(length, CHUNK * TILE) * columns + _places(1, columns)
    for start in range(0, length, CHUNK * TILE):
        tl.store(edge, before)
        edge += columns
        z = _states(_load(x + row * length, start - CHUNK, length, ahead), into, decay, before, planes, False)
        before = _of_last(z, False)


@triton.jit
def _add(sums, values):
    """Add values to the sums in memory. Returns zeros."""
    tl.store(sums, tl.load(sums) + values.to(tl.float64))
    return tl.zeros_like(values)


@triton.jit
def _backward_kernel(
    grad, x, inward, outward, within, kept, edges, grad_x, by_inward, by_outward, by_within, by_kept, batch, length,
    columns: tl.constexpr, planes: tl.constexpr, ahead: tl.constexpr,
):  # fmt: skip
    part, h, channels = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    matrix, square, vector = _places(CHUNK, columns), _places(CHUNK, CHUNK), _places(1, columns)
    into, out = tl.load(inward + h * CHUNK * columns + matrix), tl.load(outward + h * CHUNK * columns + matrix)
    inside = tl.load(within + h * CHUNK * CHUNK + square)
    decay = tl.load(kept + h * columns + vector)
    slot = part * channels + h
    tiles = tl.cdiv(length, CHUNK * TILE)
    by_into, by_out, by_inside = tl.zeros_like(into), tl.zeros_like(out), tl.zeros_like(inside)
    by_decay = tl.zeros([TILE, columns], into.dtype)
    for b in range(part * GROUP, tl.minimum(part * GROUP + GROUP, batch)):
        row = (b * channels + h).to(tl.int64)
        after = tl.zeros_like(decay)
        for back in range(1, tiles + 1):
            tile = tiles - back
            start = tile * CHUNK * TILE
            # in this order because it needs the fewest registers
            grads = _load(grad + row * length, start, length, ahead)
            grads_after = _load(grad + row * length, start + CHUNK, length, ahead)
            e = _states(grads_after, out, _conjugate(decay, planes), after, planes, True)
            after = _of_last(e, True)
            found = _dot(e, tl.trans(into), _dot(grads, tl.trans(inside)))
            _write(grad_x + row * length, found, start, length, ahead)
            inputs = _load(x + row * length, start, length, ahead)
            inputs_before = _load(x + row * length, start - CHUNK, length, ahead)
            edge = tl.load(edges + (row * tiles + tile) * columns + vector)
            z = _states(inputs_before, into, decay, edge, planes, False)
            by_decay += _times(_conjugate(z, planes), e, planes)
            by_out = _dot(tl.trans(grads), z, by_out)
            by_inside = _dot(tl.trans(inputs), grads, by_inside)
            by_into = _dot(tl.trans(inputs), e, by_into)
            if tile % STRETCH == 0:
                by_into = _add(by_inward + slot * CHUNK * columns + matrix, by_into)
                by_out = _add(by_outward + slot * CHUNK * columns + matrix, by_out)
                by_inside = _add(by_within + slot * CHUNK * CHUNK + square, by_inside)
                _add(by_kept + slot * columns + vector, tl.sum(by_decay, 0, keep_dims=True))
                by_decay = tl.zeros_like(by_decay)


def _sizes(x: Tensor, dt_a: Tensor, kept: Tensor, ahead: int) -> dict[str, int]:
    return {"length": x.shape[-1], "columns": kept.shape[-1], "planes": 1 + dt_a.is_complex(), "ahead": ahead}


def forward(x: Tensor, _affine: None, _lengths: None, dt_a: Tensor, weights: Tensor, skip: Tensor) -> Tensor:
    """Output [B, H, L]; see operator.py."""
    y = torch.empty_like(x)
    with torch.cuda.device_of(x):
        for ahead, one in enumerate(weights):
            found = [each.to(x.dtype).contiguous() for each in matrices(dt_a, one, skip, ahead)]
            _forward_kernel[x.shape[:2]](x, *found, y, **_sizes(x, dt_a, found[-1], ahead), **LAUNCH)
    return y


def backward(
    grad: Tensor, x: Tensor, _affine: None, _lengths: None, dt_a: Tensor, weights: Tensor, skip: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of x, of no affine map, of dt_a, weights and skip; see operator.py."""
    batch, channels, length = x.shape
    tiles, parts = triton.cdiv(length, CHUNK.value * TILE.value), triton.cdiv(batch, GROUP.value)
    leaves = [each.detach().requires_grad_() for each in (dt_a, weights, skip)]
    with torch.enable_grad():
        ways = [matrices(leaves[0], one, leaves[2], ahead) for ahead, one in enumerate(leaves[1])]
    grad_x, sums = torch.empty_like(x), []
    with torch.cuda.device_of(x):
        for ahead, way in enumerate(ways):
            found = [each.detach().to(x.dtype).contiguous() for each in way]
            sizes = _sizes(x, dt_a, found[-1], ahead)
            edges = x.new_empty(batch, channels, tiles, sizes["columns"])
            by = [x.new_zeros((parts, *each.shape), dtype=torch.float64) for each in way]
            _edges_kernel[batch, channels](x, found[0], found[-1], edges, **sizes, **LAUNCH)
            _backward_kernel[parts, channels](grad, x, *found, edges, grad_x, *by, batch, **sizes, **LAUNCH_BACKWARD)
            sums += [each.sum(0) for each in by]
    return grad_x, x.new_zeros(2, channels), *torch.autograd.grad([each for way in ways for each in way], leaves, sums)
