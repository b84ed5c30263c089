"""One plain structure for every table of a page: all its cells are text."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from spike_ssm.reports.render.palette import Look

BEST = "best"


NEAR_BEST = "≈ best"

MOST_COLUMNS = 6
"""Columns of a table that are seen before a reader asks for the rest, the rows' headings among them."""


@dataclass(frozen=True)
class Heading:
    """A column's heading, with the group that spans it and its neighbours."""

    text: str
    group: str = ""
    rest: bool = False  # seen on demand, also where there is room


class Group(NamedTuple):
    """Neighbouring columns under one heading."""

    text: str
    span: int
    seen: int  # of them, before a reader asks for the rest


@dataclass(frozen=True)
class Row:
    """A row: its heading, its cells, and how it is marked."""

    head: str
    cells: tuple[str, ...]
    look: Look | None = None
    mark: str = ""  # BEST, NEAR_BEST or nothing
    reference: bool = False
    title: str = ""  # said on hover
    kind: str = ""  # what the row holds, where rows hold different things
    link: str = ""  # where its heading leads

    @property
    def label(self) -> str:
        """The heading with its variant's tag, as text."""
        return f"{self.head} ({self.look.tag})" if self.look and self.look.tag else self.head


@dataclass(frozen=True)
class Table:
    """A table ready to be shown: every cell is text."""

    caption: str
    corner: str
    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    numeric: bool = True
    whole: bool = False  # all columns are seen at once, however many
    numbers: pd.DataFrame | None = field(default=None, compare=False)  # for its CSV; None: the cells as they are
    brief: Table | None = None  # what a paper has room for, in LaTeX

    @cached_property
    def seen(self) -> tuple[bool, ...]:
        """Which columns are seen before a reader asks for the rest: all where they are few or the table is whole.

        Of more the first ones that say something, which one that is empty or the same in every row does not; the first
        column always does. What rows say that are there for reference does not count.
        """
        columns = len(self.headings)
        if self.whole or columns < MOST_COLUMNS:
            return (True,) * columns
        telling = [self._tells(place) and not heading.rest for place, heading in enumerate(self.headings)]
        return tuple(tells and sum(telling[:place]) < MOST_COLUMNS - 1 for place, tells in enumerate(telling))

    def _tells(self, place: int) -> bool:
        values = {row.cells[place] for row in self.rows if not row.reference}
        alike = len(values) == 1 and sum(not row.reference for row in self.rows) > 1
        return place == 0 or (not alike and any(letter.isalnum() for value in values for letter in value))

    @property
    def groups(self) -> list[Group]:
        """Groups of headings, in their order."""
        spans: list[Group] = []
        for heading, seen in zip(self.headings, self.seen, strict=True):
            if spans and spans[-1].text == heading.group:
                spans[-1] = Group(heading.group, spans[-1].span + 1, spans[-1].seen + seen)
            else:
                spans.append(Group(heading.group, 1, int(seen)))
        return spans

    def as_numbers(self) -> pd.DataFrame:
        """What its CSV holds: the numbers behind it in full precision, or where there are none its cells."""
        if self.numbers is not None:
            return self.numbers
        heads = [self.corner, *(f"{heading.group} {heading.text}".strip() for heading in self.headings)]
        return pd.DataFrame([(row.label, *row.cells) for row in self.rows], columns=heads)
