"""Two things a CPU does well and numba does not offer: prefetching, and transposing blocks in vector registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

BLOCK = 16
"""Side of the blocks that are transposed: a row of float32 is as long as a cache line."""

_PIECE, _REGISTER = 16, 32  # bytes: AVX shuffles cheaply within the first, and stores the second at once

_At = Callable[[int, int, int], Any]  # (i, j, count) -> pointer to `count` numbers from row i, column j of a block


def pointer(context: Any, builder: Any, kind: Any, array: Any, indices: list[Any], count: int = 1) -> Any:
    """Pointer to `count` numbers from array[indices] on, as a vector."""
    view = make_array(kind)(context, builder, array)
    vector = ir.VectorType(context.get_data_type(kind.dtype), count).as_pointer()
    return builder.bitcast(cgutils.get_item_pointer(context, builder, kind, view, indices, wraparound=False), vector)


def _plus(builder: Any, index: Any, offset: int) -> Any:
    return builder.add(index, ir.Constant(index.type, offset))


def _in_array(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> _At:
    """Block whose corner is array[row, column]."""

    def at(i: int, j: int, count: int) -> Any:
        indices = [_plus(builder, row, i), _plus(builder, column, j)]
        return pointer(context, builder, kind, array, indices, count)

    return at


def _in_flat(context: Any, builder: Any, kind: Any, flat: Any, start: Any, stride: Any) -> _At:
    """Block whose rows begin at flat[start], flat[start + stride], flat[start + 2 * stride]..."""

    def at(i: int, j: int, count: int) -> Any:
        row = builder.add(start, builder.mul(stride, ir.Constant(stride.type, i)))
        return pointer(context, builder, kind, flat, [_plus(builder, row, j)], count)

    return at


def shuffle(builder: Any, a: Any, b: Any, places: Sequence[int]) -> Any:
    """The vector of the numbers at `places` of two vectors, which are counted through."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
    return builder.shuffle_vector(a, b, mask)


def _columns(builder: Any, rows: list[Any]) -> list[Any]:
    """Columns of rows that are a piece long, one register per column.

    Rows k and k + count share a register: a load can put them there, and log2(count) perfect shuffles do the rest
    without crossing from one half to the other.
    """
    count, width = rows[0].type.count, len(rows)
    registers = [shuffle(builder, a, b, range(width)) for a, b in zip(rows[:count], rows[count:], strict=True)]
    lower = [place for half in (0, count) for k in range(count // 2) for place in (half + k, width + half + k)]
    upper = [place + count // 2 for place in lower]
    for _ in range(count.bit_length() - 1):
        halves = zip(registers[: count // 2], registers[count // 2 :], strict=True)
        registers = [shuffle(builder, a, b, places) for a, b in halves for places in (lower, upper)]
    return registers


def _move_transposed(builder: Any, size: int, source: _At, target: _At) -> None:
    """Move a block: row j of the target becomes column j of the source; a number has `size` bytes.

    All registers of a row are stored in turn: returning to a cache line later costs more than the shuffles do.
    """
    piece, width = _PIECE // size, _REGISTER // size
    starts = range(0, BLOCK, width)
    for j in range(0, BLOCK, piece):
        rows = [builder.load(source(i, j, piece), align=size) for i in range(BLOCK)]
        columns = [_columns(builder, rows[i : i + width]) for i in starts]
        for k in range(piece):
            for i, registers in zip(starts, columns, strict=True):
                builder.store(registers[k], target(j + k, i, width), align=size)


@intrinsic
def prefetch(_typing: Any, array: Any, row: Any, column: Any) -> Any:
    """Prefetch the cache line of array[row, column]: prefetch(array, row, column); nothing waits for it."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(pointer(context, builder, array, arguments[0], arguments[1:]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [place, word(0), word(3), word(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, row, column), generate


def _lowest_bit(_typing: Any, word: Any) -> Any:
    """Place of the lowest bit that is set in a word, which must not be 0."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return word(word), generate


def _fused(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c of three numbers of one type, rounded once, as vectors do in a loop."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = context.get_data_type(a)
        kind = ir.FunctionType(number, [number] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.f{a.bitwidth}")
        return builder.call(function, arguments)

    return a(a, b, c), generate


lowest_bit: Any = intrinsic(_lowest_bit)
fused: Any = intrinsic(_fused)


@intrinsic
def load_transposed(_typing: Any, array: Any, row: Any, column: Any, flat: Any, start: Any, stride: Any) -> Any:
    """Load flat[start + j * stride + i] = array[row + i, column + j] for i, j < BLOCK; nothing is checked."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source = _in_array(context, builder, array, *arguments[:3])
        target = _in_flat(context, builder, flat, *arguments[3:])
        _move_transposed(builder, array.dtype.bitwidth // 8, source, target)
        return context.get_dummy_value()

    return types.void(array, row, column, flat, start, stride), generate


@intrinsic
def store_transposed(_typing: Any, flat: Any, start: Any, stride: Any, array: Any, row: Any, column: Any) -> Any:
    """Store array[row + i, column + j] = flat[start + j * stride + i] for i, j < BLOCK; nothing is checked."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source = _in_flat(context, builder, flat, *arguments[:3])
        target = _in_array(context, builder, array, *arguments[3:])
        _move_transposed(builder, array.dtype.bitwidth // 8, source, target)
        return context.get_dummy_value()

    return types.void(flat, start, stride, array, row, column), generate
