"""Statements: what a page says in sentences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """What may be said of some variants: a word for it, whom it is about, and the rest of the sentence."""

    tag: str
    variants: tuple[str, ...]
    text: str
    grouped: bool = False  # the text is about a list of variants and follows a colon


@dataclass(frozen=True)
class Findings:
    """Statements on one question."""

    title: str
    lead: str
    statements: tuple[Statement, ...] = ()
