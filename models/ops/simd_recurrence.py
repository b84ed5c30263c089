"""Products of small matrices and recurrences of diagonal states, in vector registers, which numba does not offer.

Every number is one chain of fused multiply-adds in a fixed order, on any machine and in any block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spike_ssm.models.ops.simd import BLOCK, pointer, shuffle

ROWS = 4
"""Rows of a product that are computed at once: enough to keep a processor busy, few enough to stay in registers."""

SUMS = 4 * BLOCK
"""Sums that `accumulate` adds to at once: as many as stay in registers."""

_WIDTHS = (BLOCK, 8, 4, 2, 1)
"""States that go through time together, most first."""


class _Vectors:
    """Vectors of `count` numbers of one of numba's flat arrays, as the code that is being generated sees them."""

    def __init__(self, context: Any, builder: Any, kind: Any, array: Any, count: int) -> None:
        self._context, self._builder, self._kind, self._array, self.count = context, builder, kind, array, count
        self._size = kind.dtype.bitwidth // 8
        self.type = ir.VectorType(context.get_data_type(kind.dtype), count)

    def load(self, *terms: Any) -> Any:
        """The vector that begins at the sum of the terms."""
        return self._builder.load(self._pointer(terms), align=self._size)

    def store(self, value: Any, *terms: Any) -> None:
        """Store a vector that begins at the sum of the terms."""
        self._builder.store(value, self._pointer(terms), align=self._size)

    def variable(self, value: Any | None = None) -> Any:
        """A variable of this type, which begins as `value` or as zeros; it becomes a register."""
        place = cgutils.alloca_once(self._builder, self.type)
        self._builder.store(ir.Constant(self.type, [0.0] * self.count) if value is None else value, place)
        return place

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, rounded once."""
        name = f"llvm.fma.v{self.count}f{8 * self._size}"
        kind = ir.FunctionType(self.type, [self.type] * 3)
        return self._builder.call(cgutils.get_or_insert_function(self._builder.module, kind, name), [a, b, c])

    def _pointer(self, terms: Sequence[Any]) -> Any:
        first, *others = terms
        for term in others:
            first = self._builder.add(first, term)
        return pointer(self._context, self._builder, self._kind, self._array, [first], self.count)


def _broadcast(builder: Any, one: Any, vector: Any) -> Any:
    """A vector whose numbers are all that of a vector of one."""
    return shuffle(builder, one, one, [0] * vector.count)


@intrinsic
def multiply(
    _typing: Any,
    a: Any,
    a_start: Any,
    a_row: Any,
    a_column: Any,
    b: Any,
    b_start: Any,
    b_row: Any,
    c: Any,
    c_start: Any,
    c_row: Any,
    terms: Any,
    adds: Any,
) -> Any:
    """Compute a block of ROWS rows and BLOCK columns of a matrix product.

        c[c_start + c_row i + j] (+)= sum_k a[a_start + a_row i + a_column k] b[b_start + b_row k + j]

    for flat a, b and c of one type, k < `terms` in this order, and integers of one type. Nothing is checked.

    adds: 0 for the product alone; above 0 to begin each sum with what c holds; below 0 to add the whole sum to it,
    which loses fewer digits where very many are added.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        flat_a, a_start, a_row, a_column, flat_b, b_start, b_row, flat_c, c_start, c_row, terms, adds = arguments
        numbers = _Vectors(context, builder, a, flat_a, 1)
        factors, targets = (_Vectors(context, builder, kind, flat, BLOCK) for kind, flat in ((b, flat_b), (c, flat_c)))
        of_a, of_c = (
            [builder.mul(stride, ir.Constant(stride.type, i)) for i in range(ROWS)] for stride in (a_row, c_row)
        )
        sums = [targets.variable() for _ in range(ROWS)]
        with builder.if_then(builder.icmp_signed(">", adds, ir.Constant(adds.type, 0))):
            for place, total in zip(of_c, sums, strict=True):
                builder.store(targets.load(c_start, place), total)
        with cgutils.for_range(builder, terms) as loop:
            factor = factors.load(b_start, builder.mul(b_row, loop.index))
            column = builder.add(a_start, builder.mul(a_column, loop.index))
            for place, total in zip(of_a, sums, strict=True):
                number = _broadcast(builder, numbers.load(column, place), factors.type)
                builder.store(factors.fma(number, factor, builder.load(total)), total)
        with builder.if_then(builder.icmp_signed("<", adds, ir.Constant(adds.type, 0))):
            for place, total in zip(of_c, sums, strict=True):
                builder.store(builder.fadd(targets.load(c_start, place), builder.load(total)), total)
        for place, total in zip(of_c, sums, strict=True):
            targets.store(builder.load(total), c_start, place)
        return context.get_dummy_value()

    signature = types.void(a, a_start, a_row, a_column, b, b_start, b_row, c, c_start, c_row, terms, adds)
    return signature, generate


@intrinsic
def accumulate(
    _typing: Any,
    rows: Any,
    row_start: Any,
    row_pitch: Any,
    factors: Any,
    factor_start: Any,
    factor_pitch: Any,
    which: Any,
    sums: Any,
    start: Any,
    apart: Any,
) -> Any:
    """Add some rows, each times a factor, to SUMS sums.

        sums[start + j] += sum_k factors[factor_start + factor_pitch k] rows[row_start + row_pitch k + j]

    for flat arrays of one type and the bits k that are set in the word `which`, lowest first, each product and sum
    rounded once together. Integers but the word are of one type. apart: what is added is summed up first, which loses
    fewer digits of many small numbers. Nothing is checked.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        flat_rows, row_start, row_pitch, flat_factors, factor_start, factor_pitch, which, *others = arguments
        flat_sums, start, apart = others
        numbers = _Vectors(context, builder, factors, flat_factors, 1)
        terms = _Vectors(context, builder, rows, flat_rows, BLOCK)
        targets = _Vectors(context, builder, sums, flat_sums, BLOCK)
        offsets = [ir.Constant(start.type, first) for first in range(0, SUMS, BLOCK)]
        known = [targets.load(start, offset) for offset in offsets]
        zeros = ir.Constant(targets.type, [0.0] * BLOCK)
        totals = [targets.variable(builder.select(apart, zeros, each)) for each in known]
        left = cgutils.alloca_once_value(builder, which)
        loop, after = builder.append_basic_block("bits"), builder.append_basic_block("summed")
        some = builder.icmp_unsigned("!=", which, ir.Constant(which.type, 0))
        builder.cbranch(some, loop, after)
        builder.position_at_end(loop)
        word = builder.load(left)
        k = builder.cttz(word, ir.Constant(ir.IntType(1), 1))
        number = numbers.load(factor_start, builder.mul(factor_pitch, k))
        factor, row = _broadcast(builder, number, terms.type), builder.add(row_start, builder.mul(row_pitch, k))
        for offset, total in zip(offsets, totals, strict=True):
            builder.store(terms.fma(terms.load(row, offset), factor, builder.load(total)), total)
        rest = builder.and_(word, builder.sub(word, ir.Constant(word.type, 1)))
        builder.store(rest, left)
        builder.cbranch(builder.icmp_unsigned("!=", rest, ir.Constant(word.type, 0)), loop, after)
        builder.position_at_end(after)
        for offset, total, each in zip(offsets, totals, known, strict=True):
            value = builder.load(total)
            targets.store(builder.select(apart, builder.fadd(each, value), value), start, offset)
        return context.get_dummy_value()

    arguments = rows, row_start, row_pitch, factors, factor_start, factor_pitch, which, sums, start, apart
    return types.void(*arguments), generate


@contextmanager
def _groups(builder: Any, first: Any, states: Any, width: int) -> Iterator[Any]:
    """Generate a loop over the groups of `width` states from the one in variable `first` on, which moves past them."""
    size = ir.Constant(states.type, width)
    groups = builder.udiv(builder.sub(states, builder.load(first)), size)
    with cgutils.for_range(builder, groups):
        yield builder.load(first)
        builder.store(builder.add(builder.load(first), size), first)


def _each_group(builder: Any, states: Any, body: Callable[[Any, int], None]) -> None:
    """Generate `body` for groups of states that cover all, given the first state of a group and how many it has."""
    first = cgutils.alloca_once_value(builder, ir.Constant(states.type, 0))
    for width in _WIDTHS:
        with _groups(builder, first, states, width) as group:
            body(group, width)


def _kept(vectors: _Vectors, builder: Any, factor: list[Any], state: list[Any], added: list[Any]) -> list[Any]:
    """factor * state + added, of real numbers or of pairs of real and imaginary parts."""
    if len(state) == 1:
        return [vectors.fma(factor[0], state[0], added[0])]
    real = vectors.fma(builder.fneg(factor[1]), state[1], vectors.fma(factor[0], state[0], added[0]))
    return [real, vectors.fma(factor[1], state[0], vectors.fma(factor[0], state[1], added[1]))]


def _carry(planes: int) -> Any:
    """The intrinsic `carry_real` (one plane) or `carry_complex` (two)."""

    def typed(
        _typing: Any,
        z: Any,
        start: Any,
        stride: Any,
        rows: Any,
        states: Any,
        kept: Any,
        state: Any,
        seen: Any,
        sums: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            flat_z, start, stride, rows, states, flat_kept, flat_state, *others = arguments

            def group(first: Any, width: int) -> None:
                places = [first, builder.add(first, states)][:planes]
                of = [_Vectors(context, builder, kind, flat, width) for kind, flat in ((z, flat_z), (kept, flat_kept))]
                rows_of, factors = of
                states_of = _Vectors(context, builder, state, flat_state, width)
                factor = [factors.load(place) for place in places]
                now = [rows_of.variable(states_of.load(place)) for place in places]
                totals = None
                if seen != types.none:
                    before = _Vectors(context, builder, seen, others[0], width)
                    sums_of = _Vectors(context, builder, sums, others[1], width)
                    totals = [rows_of.variable(sums_of.load(place)) for place in places]
                with cgutils.for_range(builder, rows) as loop:
                    row = builder.add(start, builder.mul(stride, loop.index))
                    values = [builder.load(each) for each in now]
                    added = [rows_of.load(row, place) for place in places]
                    for value, place in zip(values, places, strict=True):
                        rows_of.store(value, row, place)
                    for value, each in zip(_kept(rows_of, builder, factor, values, added), now, strict=True):
                        builder.store(value, each)
                    if totals is not None:
                        known = [before.load(row, place) for place in places]
                        conjugated = [known[0], *map(builder.fneg, known[1:])]
                        summed = _kept(rows_of, builder, conjugated, values, [builder.load(each) for each in totals])
                        for value, each in zip(summed, totals, strict=True):
                            builder.store(value, each)
                for each, place in zip(now, places, strict=True):
                    states_of.store(builder.load(each), place)
                if totals is not None:
                    for each, place in zip(totals, places, strict=True):
                        sums_of.store(builder.load(each), place)

            _each_group(builder, states, group)
            return context.get_dummy_value()

        return types.void(z, start, stride, rows, states, kept, state, seen, sums), generate

    return typed


carry_real = intrinsic(_carry(1))
carry_complex = intrinsic(_carry(2))
