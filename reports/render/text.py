"""Numbers and lists in words: one place for signs, digits and the mark for "not measured"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from spike_ssm.reports.statistics.seeds import VERDICT_SEEDS, Interval
from spike_ssm.results.names import count as count  # which sentences of `results` have too

_NBSP = "\N{NO-BREAK SPACE}"
PERCENT_95 = f"95{_NBSP}%"
ABSENT = "\N{EN DASH}"  # in a table cell: not measured, or not applicable


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """`value` with `digits` decimals, thousands separated, a true minus sign; NaN as a dash."""
    if not math.isfinite(value):
        return ABSENT
    rounded = round(value, digits) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", "\N{MINUS SIGN}")


def bounds(interval: Interval, factor: float) -> str:
    """`−1.10 to +1.52`: the ends of an interval times `factor`; a dash where it has none."""
    if not math.isfinite(interval.half):
        return ABSENT
    return _span(interval.low * factor, interval.high * factor, signed=True)


def _span(low: float, high: float, digits: int = 2, *, signed: bool) -> str:
    return f"{number(low, digits, signed=signed)} to {number(high, digits, signed=signed)}"


def percent(value: float, digits: int = 1) -> str:
    """`17.9 %`, of a value in percent, kept on one line."""
    return f"{number(value, digits)}{_NBSP}%"


def digits_for(values: Iterable[float]) -> int:
    """Decimals that show the largest of `values` with three significant digits, at most four."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 2 if largest == 0 else min(4, max(0, 2 - math.floor(math.log10(largest))))


def estimate(found: Interval, factor: float = 1.0, digits: int = 2, *, signed: bool = False) -> str:
    """`68.05 ± 1.20`, a mean with its interval, times `factor`; with fewer seeds than that takes, as `mean_of`."""
    shown = mean_of(found, factor, digits, signed=signed)
    return f"{shown} ± {number(found.half * factor, digits)}" if math.isfinite(found.half) else shown


def mean_of(found: Interval, factor: float = 1.0, digits: int = 2, *, signed: bool = False) -> str:
    """`68.05`, a mean times `factor`; of too few seeds for an interval with them: `68.05 (64.05 to 72.05, 2 seeds)`."""
    shown = number(found.mean * factor, digits, signed=signed)
    seeds = few_seeds(found, factor, digits, signed=signed)
    return f"{shown} ({seeds}, {count(found.n, 'seed')})" if seeds else shown


def few_seeds(found: Interval, factor: float = 1.0, digits: int = 2, *, signed: bool = False) -> str:
    """`64.05 to 72.05`, the range of seeds that are several but too few for an interval; else empty."""
    several = 1 < found.n < VERDICT_SEEDS and math.isfinite(found.least)
    return _span(found.least * factor, found.most * factor, digits, signed=signed) if several else ""


def p_value(p: float) -> str:
    """`p = 0.034`, `p < 0.001`, kept on one line."""
    return f"p{_NBSP}<{_NBSP}0.001" if p < 0.001 else f"p{_NBSP}={_NBSP}{p:.3f}"


def bare_p_value(p: float) -> str:
    """`0.034`, `<0.001`, for a column of them; NaN as a dash."""
    return "<0.001" if p < 0.001 else number(p, 3)


def listing(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def duration(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 05 s` or `2 h 07 min`; NaN as a dash."""
    if not math.isfinite(seconds):
        return ABSENT
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def significant(value: float) -> str:
    """`value` with three significant digits; NaN as a dash."""
    return number(value, digits_for([value]))


def ranged(median: float, low: float, high: float) -> str:
    """`12.3 (11.9 to 12.8)`: a median over seeds with its range, where there is one."""
    shown = significant(median)
    return f"{shown} ({significant(low)} to {significant(high)})" if math.isfinite(median) and low < high else shown


def plain(value: float) -> str:
    """A setting as it was set, with a true minus sign: `0.5`, `3`."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
