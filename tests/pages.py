"""Tables of documentation pages, and differences as these say them."""

from __future__ import annotations

import re

from spike_ssm.reports.render.text import estimate, number
from spike_ssm.reports.statistics.seeds import Comparison, Interval


def table(page: str) -> dict[str, list[str]]:
    """The cells of each row of a page's table by its first, without the row of headings."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0]: row[1:] for row in rows[1:]}


def section(page: str, title: str) -> str:
    """What stands below a page's heading, up to the next of its level."""
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def difference(found: Comparison) -> str:
    """In points, and where it is shown to be one, a word for it."""
    points = in_points(found.difference)
    return f"{points}, {found.verdict.value}" if found.verdict.decided else points


def in_points(found: Interval) -> str:
    """A difference of fractions, with the half width of its interval."""
    return estimate(found, 100, signed=True)


def unsigned(found: Interval) -> str:
    """A difference in points, as large as it is either way."""
    return in_points(found).lstrip("+\N{MINUS SIGN}")


def percent(value: float, digits: int = 1) -> str:
    """A share in percent, without the sign; NaN as a dash."""
    return number(value * 100, digits)


def label(svg: str) -> str:
    """What a figure says to who does not see it."""
    found = re.search(r'aria-label="([^"]+)"', svg)
    assert found is not None
    return found[1]
