"""A table of the page as LaTeX: booktabs, numbers right, every character that means something to TeX escaped."""

from __future__ import annotations

from spike_ssm.reports.render.table import BEST, NEAR_BEST, Row, Table

_CHARACTERS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "*": "{*}", "`": "{`}",
    "\N{MINUS SIGN}": "$-$", "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{DIVISION SIGN}": r"$\div$", "\N{ALMOST EQUAL TO}": r"$\approx$", "\N{EN DASH}": "--", "\N{EM DASH}": "---",
    "\N{NO-BREAK SPACE}": "~", "\N{DAGGER}": r"\dag{}", "\N{DOUBLE DAGGER}": r"\ddag{}", "\N{MIDDLE DOT}": r"$\cdot$",
}  # fmt: skip


def escaped(text: str) -> str:
    """`text` as LaTeX shows it; white space of any kind is one blank, characters without a shape are left out."""
    joined = " ".join(text.replace("\N{NO-BREAK SPACE}", "\0").split())
    joined = joined.replace("\0", "\N{NO-BREAK SPACE}")
    return "".join(_CHARACTERS.get(c, c) for c in joined if c.isprintable() or c == "\N{NO-BREAK SPACE}")


def latex(table: Table) -> str:
    """The table as a floating `table` with its notes below; needs `\\usepackage{booktabs}` and nothing else."""
    columns = "l" + ("r" if table.numeric else "l") * len(table.headings)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
    ]
    lines += [r"\toprule", *_groups(table)]
    lines.append(_line([escaped(table.corner), *(escaped(heading.text) for heading in table.headings)]))
    lines.append(r"\midrule")
    lines += [_line(_cells(row)) for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {escaped(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _groups(table: Table) -> list[str]:
    """The line of group headings with a rule under each; none where there are no groups."""
    if not any(heading.group for heading in table.headings):
        return []
    cells, rules, place = [""], [], 2
    for group, span, _ in table.groups:
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escaped(group)}}}")
        if group:
            rules.append(rf"\cmidrule(lr){{{place}-{place + span - 1}}}")
        place += span
    return [_line(cells), "".join(rules)]


def _cells(row: Row) -> list[str]:
    first, *others = [escaped(cell) for cell in row.cells]
    if row.mark == BEST:
        first = rf"\textbf{{{first}}}"
    elif row.mark == NEAR_BEST:
        first = rf"$\approx$ {first}"
    return [escaped(row.label), first, *others]


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
