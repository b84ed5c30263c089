"""Energy of operations, at 45 nm.

Source: Horowitz 2014, "Computing's energy problem (and what we can do about it)": a 32-bit floating-point multiply and
add take 3.7 and 0.9 pJ. Memory traffic, leakage and control are not in it, and are more on most machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

E_MAC_NJ = 4.6e-3
"""Energy of a multiply-accumulate, nJ."""

E_AC_NJ = 0.9e-3
"""Energy of an accumulate, nJ."""


def energy_nj(multiply_accumulates: float, accumulates: float) -> float:
    """Energy of n operations of each kind, nJ."""
    return multiply_accumulates * E_MAC_NJ + accumulates * E_AC_NJ


def energy_of(rows: Iterable[Mapping[str, Any]], *parts: str) -> float:
    """Energy, nJ per token, of rows of `results.schema.OPERATIONS` that are of these parts; of all if none is named."""
    chosen = [row for row in rows if not parts or row["part"] in parts]
    return sum(energy_nj(row["multiply_accumulates"], row["accumulates"]) for row in chosen)
