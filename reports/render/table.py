"""One plain structure for every table of a page: all its cells are text."""

from __future__ import annotations

from dataclasses import dataclass

from spike_ssm.reports.render.palette import Look

BEST = "best"


NEAR_BEST = "≈ best"


@dataclass(frozen=True)
class Heading:
    """A column's heading, with the group that spans it and its neighbours."""

    text: str
    group: str = ""


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

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Groups of headings with the number of columns each spans."""
        spans: list[tuple[str, int]] = []
        for heading in self.headings:
            if spans and spans[-1][0] == heading.group:
                spans[-1] = (heading.group, spans[-1][1] + 1)
            else:
                spans.append((heading.group, 1))
        return spans
