"""Two things a CPU does well and numba does not offer: prefetching, and transposing blocks in vector registers.

numba's on-disk cache watches the file of the kernel that uses these, not this one: change that file too.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

BLOCK = 8
"""Side of the blocks that are transposed."""

_LOWER = [place for k in range(BLOCK // 2) for place in (k, BLOCK + k)]
_UPPER = [place for k in range(BLOCK // 2, BLOCK) for place in (k, BLOCK + k)]


def _pointer(context: Any, builder: Any, kind: Any, array: Any, indices: list[Any]) -> Any:
    view = make_array(kind)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, kind, view, indices, wraparound=False)


def _vectors(context: Any, builder: Any, kind: Any, array: Any, places: list[list[Any]]) -> list[Any]:
    """Pointers to the vectors of BLOCK elements that start at `places`."""
    vector = ir.VectorType(context.get_data_type(kind.dtype), BLOCK).as_pointer()
    return [builder.bitcast(_pointer(context, builder, kind, array, place), vector) for place in places]


def _move_transposed(builder: Any, sources: list[Any], targets: list[Any], alignment: int) -> None:
    """Load BLOCK vectors, transpose them by log2(BLOCK) perfect shuffles, store them."""
    vectors = [builder.load(source, align=alignment) for source in sources]
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), mask) for mask in (_LOWER, _UPPER)]
    for _ in range(BLOCK.bit_length() - 1):
        halves = zip(vectors[: BLOCK // 2], vectors[BLOCK // 2 :], strict=True)
        vectors = [builder.shuffle_vector(a, b, mask) for a, b in halves for mask in masks]
    for vector, target in zip(vectors, targets, strict=True):
        builder.store(vector, target, align=alignment)


def _steps(builder: Any, start: Any, stride: Any) -> list[list[Any]]:
    return [[builder.add(start, builder.mul(stride, ir.Constant(stride.type, k)))] for k in range(BLOCK)]


def _rows(builder: Any, row: Any, column: Any) -> list[list[Any]]:
    return [[builder.add(row, ir.Constant(row.type, k)), column] for k in range(BLOCK)]


@intrinsic
def prefetch(_typing: Any, array: Any, row: Any, column: Any) -> Any:
    """prefetch(array, row, column): ask for the cache line of array[row, column]; nothing waits for it."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(_pointer(context, builder, array, arguments[0], arguments[1:]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [place, word(0), word(3), word(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, row, column), generate


@intrinsic
def load_transposed(_typing: Any, array: Any, row: Any, column: Any, flat: Any, start: Any, stride: Any) -> Any:
    """flat[start + j * stride + i] = array[row + i, column + j] for i, j < BLOCK; nothing is checked."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        array_value, row_value, column_value, flat_value, start_value, stride_value = arguments
        sources = _vectors(context, builder, array, array_value, _rows(builder, row_value, column_value))
        targets = _vectors(context, builder, flat, flat_value, _steps(builder, start_value, stride_value))
        _move_transposed(builder, sources, targets, array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, row, column, flat, start, stride), generate


@intrinsic
def store_transposed(_typing: Any, flat: Any, start: Any, stride: Any, array: Any, row: Any, column: Any) -> Any:
    """array[row + i, column + j] = flat[start + j * stride + i] for i, j < BLOCK; nothing is checked."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        flat_value, start_value, stride_value, array_value, row_value, column_value = arguments
        sources = _vectors(context, builder, flat, flat_value, _steps(builder, start_value, stride_value))
        targets = _vectors(context, builder, array, array_value, _rows(builder, row_value, column_value))
        _move_transposed(builder, sources, targets, array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(flat, start, stride, array, row, column), generate
