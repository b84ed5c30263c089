"""The sigmoid and its derivative, the same bits wherever they are computed.

exp(-|z|) is 2^-n times a polynomial, all in operations that are rounded once and no call of a library, so that LLVM
makes vectors of a loop of them and numbers do not depend on where in a vector they were, nor on the processor:

    n = |z| / ln 2, rounded    r = n ln 2 - |z|    e = 2^-n (1 + r + r²/2 + ...)
    sigmoid(z) = 1 / (1 + e) at z >= 0, else e / (1 + e)    derivative = sigmoid(z) sigmoid(-z)

They are within 2.5 units in the last place, and the derivative within 4.5, also where they are nearly 0. Where e would
be no normal number, which is beyond |z| = 87 in float32 and 708 in float64, it is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@dataclass(frozen=True)
class _Format:
    """A floating-point format: bits of a number and of its fraction, and the powers of r that it takes."""

    bits: int
    fraction: int
    degree: int

    @property
    def largest(self) -> float:
        """The largest whole |z| at which exp(-|z|) is a normal number."""
        least = 2 - 2 ** (self.bits - self.fraction - 2)  # exponent of the least normal number
        return float(math.floor(-least * math.log(2)))

    @property
    def rounder(self) -> float:
        """A number so large that its sum with n has n, rounded to an integer, as its last bits."""
        return math.ldexp(1.5, self.fraction)

    @property
    def logarithm(self) -> tuple[float, float]:
        """ln 2 as a number whose products with any n are exact, and the rest of it."""
        upper = math.ldexp(math.floor(math.ldexp(math.log(2), self.fraction // 2)), -(self.fraction // 2))
        return upper, float(Decimal(2).ln() - Decimal(upper))


_FORMATS = {types.float32: _Format(32, 23, 7), types.float64: _Format(64, 52, 13)}


class _Numbers:
    """Arithmetic of one format, as the code that is being generated sees it."""

    def __init__(self, context: Any, builder: Any, kind: Any) -> None:
        self._builder, self.type, self.of = builder, context.get_data_type(kind), _FORMATS[kind]

    def constant(self, value: float) -> Any:
        """A number that is known."""
        return ir.Constant(self.type, value)

    def call(self, name: str, *arguments: Any) -> Any:
        """Value of one of LLVM's own functions."""
        kind = ir.FunctionType(self.type, [self.type] * len(arguments))
        function = cgutils.get_or_insert_function(self._builder.module, kind, f"llvm.{name}.f{self.of.bits}")
        return self._builder.call(function, arguments)

    def product(self, a: Any, b: Any) -> Any:
        """a * b."""
        return self._builder.fmul(a, b)

    def decay(self, z: Any) -> Any:
        """exp(-|z|)."""
        builder, of, integer = self._builder, self.of, ir.IntType(self.of.bits)
        upper, lower = of.logarithm
        size = self.call("fabs", z)
        shifted = self.call("fma", size, self.constant(-1 / math.log(2)), self.constant(of.rounder))
        n = builder.fsub(self.constant(of.rounder), shifted)
        r = self.call("fma", n, self.constant(upper), builder.fneg(size))
        r = self.call("fma", n, self.constant(lower), r)
        power = self.constant(1 / math.factorial(of.degree))
        for k in reversed(range(of.degree)):
            power = self.call("fma", power, r, self.constant(1 / math.factorial(k)))
        places = builder.shl(builder.bitcast(shifted, integer), integer(of.fraction))  # the sign goes, -n is left
        value = builder.bitcast(builder.add(builder.bitcast(power, integer), places), self.type)
        return builder.select(builder.fcmp_ordered(">", size, self.constant(of.largest)), self.constant(0), value)

    def halves(self, z: Any) -> tuple[Any, Any]:
        """The sigmoids of z and -z."""
        builder, one, e = self._builder, self.constant(1), self.decay(z)
        above, whole = builder.fcmp_ordered(">=", z, self.constant(0)), builder.fadd(one, e)
        parts = builder.select(above, one, e), builder.select(above, e, one)
        return builder.fdiv(parts[0], whole), builder.fdiv(parts[1], whole)


def _function(value: Callable[[_Numbers, Any], Any]) -> Any:
    """A function of one number, of one of the formats, that numba compiles."""

    def typed(_typing: Any, z: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return value(_Numbers(context, builder, z), *arguments)

        return z(z), generate

    return intrinsic(typed)


sigmoid = _function(lambda numbers, z: numbers.halves(z)[0])
slope = _function(lambda numbers, z: numbers.product(*numbers.halves(z)))
"""The sigmoid's derivative; next to `sigmoid` of the same number it shares most of its work."""
