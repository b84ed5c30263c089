"""One plain structure for every table of a page: all its cells are text."""

from __future__ import annotations

from collections.abc import Sequence
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

    def markdown(self) -> str:
        """The table in Markdown; the best is bold, what cannot be told from it is marked ≈."""
        heads = [self.corner, *(f"{heading.group} {heading.text}".strip() for heading in self.headings)]
        lines = [_line(heads), _line(["---", *("---:" if self.numeric else "---" for _ in self.headings)])]
        for row in self.rows:
            emphasis = {BEST: "**{}**", NEAR_BEST: "≈ {}"}.get(row.mark, "{}")
            first, *others = [_escaped(cell) for cell in row.cells]
            lines.append(_line([_escaped(row.label), emphasis.format(first), *others]))
        notes = "".join(f"\n- {_escaped(note)}" for note in self.notes)
        return f"**{_escaped(self.caption)}**\n\n" + "\n".join(lines) + "\n" + notes + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
