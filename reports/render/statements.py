"""Statements: what a page says in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """What may be said of some variants: a word for it, whom it is about, and the rest of the sentence."""

    tag: str
    variants: tuple[str, ...]
    text: str
    grouped: bool = False  # the text is about a list of variants and follows a colon


NAMED = 8
"""Variants that one statement names before it counts the rest."""


def of_several(tag: str, variants: Sequence[str], text: str) -> Statement:
    """One statement about many variants, the first `NAMED` by name; `text` follows a colon."""
    left = len(variants) - NAMED
    if left > 1:
        return Statement(tag, tuple(variants[:NAMED]), f"and {left} more: {text}")
    return Statement(tag, tuple(variants), text, grouped=True)


@dataclass(frozen=True)
class Findings:
    """Statements on one question."""

    title: str
    lead: str
    statements: tuple[Statement, ...] = ()
