"""Texts without the places of a machine: a page that is passed on says neither whose it was nor where its files lay."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

HOME, TEMPORARY = "~", "$TMPDIR"

_END = r"(?=[/\s'\":;,()<>\[\]{}]|$)"
_NAME = r"[^/\s'\":;,()<>\[\]{}]+"
_START = r"(?:(?<=file://)|(?<![\w/.~$-]))"  # not within another path or an address
_HOME = re.compile(rf"{_START}(?:(?:/[\w.+-]+)*?/(?:home|Users|users)/{_NAME}|/root{_END})")
_TEMPORARY = re.compile(
    rf"{_START}(?:/private)?/(?:tmp|var/tmp|dev/shm|var/folders/{_NAME}/{_NAME}/T){_END}(?P<below>(?:/{_NAME})*)"
)
_FRAME = re.compile(r'(?P<before>\s*File ")(?P<path>[^"]+)(?P<after>", line \d+.*)')
_LIBRARIES = re.compile(r"/(?:site|dist)-packages/|/lib(?:64)?/python\d|^<")
_OURS = re.compile(r".*/(?P<inner>(?:benchmarks|harness|models|reports|results|sweeps|tests)/.*)")


def without_places(text: str, results: Path | None = None) -> str:
    """`text` with paths in the folder `results` from there on, homes as `~`, and temporary files by their name alone.

    Homes and temporary folders of other machines are known by their usual names, this one's for certain.
    """
    if "/" not in text:
        return text
    if results is not None:
        text = text.replace(f"{results.absolute()}/", "")
    for folder, name in ((tempfile.gettempdir(), "/tmp"), (os.environ.get("HOME", ""), HOME)):
        if len(folder) > 1:
            text = re.sub(rf"{_START}{re.escape(folder.rstrip('/'))}{_END}", name, text)
    return _TEMPORARY.sub(_by_its_name, _HOME.sub(HOME, text))


def _by_its_name(found: re.Match[str]) -> str:
    *folders, last = found["below"].split("/")
    return "/".join([TEMPORARY, *(["…"] if len(folders) > 1 else []), *([last] if folders else [])])


def shortened(traceback: str) -> str:
    """A traceback with the project's own lines of code alone, files from its root on; of the others how many."""
    kept: list[str] = []
    others, hidden = 0, False
    for line in traceback.splitlines():
        frame = _FRAME.match(line)
        if frame:
            own = _own(frame["path"])
            others, hidden = others + (own is None), own is None
            line = f"{frame['before']}{own}{frame['after']}"
        elif hidden and line.startswith("    "):  # the code of the frame above
            continue
        if not frame or not hidden:
            kept += [*_said(others), line]
            others, hidden = 0, False
    return "\n".join([*kept, *_said(others)])


def _own(path: str) -> str | None:
    """The project's file at `path` from its root on; None for others."""
    _, package, inner = path.rpartition("/spike_ssm/")
    if package:
        return inner
    found = None if _LIBRARIES.search(path) else _OURS.fullmatch(path)
    return found["inner"] if found else None


def _said(others: int) -> list[str]:
    return [f"  … {others} {'call' if others == 1 else 'calls'} of other code"] if others else []
