"""Texts say what they are for: no link, no place on a machine, and nothing that a terminal obeys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spike_ssm.results.names import count, quoted, texts_in, visible
from spike_ssm.results.schema import OF_A_FAILURE, RUN, Manifest
from spike_ssm.results.verify.plain import read_object

LONGEST = 20_000
"""Characters of a text, at most; tracebacks and the last lines of a log are shorter."""

_TEXTUAL = [field.name for field in RUN if "string" in str(field.type)]
_JSON = ("config", "environment")
_AS_THEY_ARE = (*OF_A_FAILURE, "example_symbols")
"""Columns in which links and places may be: quotations of a machine, and of the data."""

_LINK = re.compile(r"\w{1,20}://")
_NAME = r"[\w.+-]+"
_PLACE = re.compile(
    rf"(?<![\w/\\.~$-])(?:(?:~|/{_NAME}|[A-Za-z]:)[/\\]+{_NAME}"  # ~/x, /home/x, C:\x
    rf"|\\\\{_NAME}\\{_NAME})"  # \\server\x
)


def strange_texts(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the texts of a run, in words that follow "run ID: "."""
    for name in _TEXTUAL:
        decoded = read_object(row[name]) if name in _JSON else {}  # where / may have been \\u002f
        yield from _strange(f"its {name}", [row[name], decoded], quotes=name in _AS_THEY_ARE)


def strange_plan(manifest: Manifest) -> Iterator[str]:
    """What is wrong with the texts of a sweep; places may be in the words of the command line that people typed."""
    content = manifest.to_json()
    typed = {"words": content.pop("words"), "asked": content.pop("asked")}
    typed["tuning"] = (content["tuning"] or {}).pop("command", None)
    what = f"the text of the sweep {manifest.name}"
    yield from _strange(what, content)
    yield from _strange(f"{what}'s command", typed, places=False)


def strange_times(times: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with the texts of the times in a pack."""
    yield from _strange(f"the text of {count(len(times), 'row')} of times", list(times))


def _strange(what: str, content: Any, *, quotes: bool = False, places: bool = True) -> Iterator[str]:
    """What is wrong with the texts within `content`, in sentences without their end.

    quotes: they quote what may hold anything, and only their length counts. places: name places on a machine too.
    """
    texts = [text for text in texts_in(content) if text]
    if any(len(text) > LONGEST for text in texts):
        yield f"{what} is longer than {LONGEST:,} characters"
        return
    if quotes:
        return
    if any(visible(text) != text for text in texts):
        yield f"{what} holds what a terminal obeys"
    for kind, pattern in (("a link", _LINK), ("a place on a machine", _PLACE)):
        found = next((match for text in texts if (match := pattern.search(text))), None)
        if found and (places or pattern is _LINK):
            yield f"{what} holds {kind}: {quoted(found.string[found.start() :])}"
