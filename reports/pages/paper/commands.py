"""The commands that fill what is missing on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spike_ssm.reports.pages.paper.definition import Entry, PaperTable


def commands(table: PaperTable, missing: Mapping[str, list[Entry]]) -> Iterator[str]:
    """The commands that give entries the runs that they miss in a column: one a protocol, for tasks that are alike."""
    tasks: dict[tuple[str, ...], dict[str, None]] = {}  # by the other words, in order
    for column in (each for each in table.columns if not each.mean):
        by_protocol: dict[str, list[str]] = {}
        for entry in missing.get(column.name, []):
            by_protocol.setdefault(entry.protocol, []).append(entry.fill)
        task, *narrowed = column.fill.split()
        for protocol, fills in by_protocol.items():
            words = (f"protocol={protocol}", *narrowed, *_merged(fills))
            tasks.setdefault(words, {})[task.removeprefix("task=")] = None
    for words, names in tasks.items():
        start = ("python -m harness.sweep", f"+sweep={table.sweep}", "scale=paper", words[0])
        yield " ".join([*start, f"task={','.join(names)}", *words[1:]])


def _merged(fills: list[str]) -> list[str]:
    """`axis=a` and `axis=b` as one word; none where there is nothing to narrow."""
    named = dict.fromkeys(filter(None, fills))
    return [f"{next(iter(named)).split('=')[0]}={','.join(fill.split('=')[1] for fill in named)}"] if named else []
