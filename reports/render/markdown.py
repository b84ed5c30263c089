"""Text and tables as Markdown that shows every character as it is, whatever a title, label or note is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spike_ssm.reports.render.table import BEST, NEAR_BEST, Table

_MEANS_SOMETHING = re.compile(r"[\\`*\[\]<>&|~$#]|(?<![^\W_])_|_(?![^\W_])")  # `_` within a word is only itself
_FIRST = re.compile(r"[-+=]|\d{1,9}[.)]")


def escaped(text: str) -> str:
    """`text` within a line: neither markup, HTML, an entity nor the end of a cell."""
    return _MEANS_SOMETHING.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))


def paragraph(text: str) -> str:
    """`text` as a line of its own: no list, rule or heading either."""
    line = escaped(text)
    begins = _FIRST.match(line)
    return f"{begins[0][:-1]}\\{line[begins.end() - 1 :]}" if begins else line


def markdown(table: Table) -> str:
    """The table with its notes; the best is bold, what cannot be told from it is marked ≈."""
    heads = [table.corner, *(f"{heading.group} {heading.text}".strip() for heading in table.headings)]
    lines = [_line(map(escaped, heads)), _line(["---", *("---:" if table.numeric else "---" for _ in table.headings)])]
    for row in table.rows:
        emphasis = {BEST: "**{}**", NEAR_BEST: "≈ {}"}.get(row.mark, "{}")
        first, *others = map(escaped, row.cells)
        lines.append(_line([escaped(row.label), emphasis.format(first), *others]))
    notes = "".join(f"\n- {paragraph(note)}" for note in table.notes)
    return f"**{escaped(table.caption)}**\n\n" + "\n".join(lines) + "\n" + notes + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
