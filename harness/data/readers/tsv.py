r"""The tab-separated files of Long Range Arena (LRA, Tay et al. 2021): ListOps and the AAN pairs.

Neither file quotes anything, so a row is a line split at its tabs: no limit on the length of a field, and one line in
memory at a time. Every row of these files ends with a line end, so a last line without one has been cut off.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spike_ssm.harness.data.readers.common import damaged, lines, wrong_line
from spike_ssm.harness.data.readers.places import LRA_SOURCE
from spike_ssm.results.errors import UserError

LISTOPS_HEADER = ["Source", "Target"]
LISTOPS_LABELS = {str(digit): digit for digit in range(10)}
AAN_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


class ListOpsRow(NamedTuple):
    """Line number in the file, the expression as written, with all parentheses, and the digit that is its value."""

    line: int
    source: str
    target: int


class AanRow(NamedTuple):
    """Line number, whether one paper cites the other (1) or not (0), the papers' ids and their texts."""

    line: int
    label: int
    id1: str
    id2: str
    text1: str
    text2: str


def read_listops(path: Path) -> Iterator[ListOpsRow]:
    r"""The rows of `basic_{train,val,test}.tsv`: a header `Source\tTarget`, lines ending in `\r\n`.

    Raises `UserError`: unreadable, empty, no header, wrong columns, a label that is no digit, or cut off.
    """
    rows = _rows(path)
    _, header = next(rows, (1, []))
    if header != LISTOPS_HEADER:
        raise damaged(path, f"its first line is not the header {LISTOPS_HEADER[0]}<tab>{LISTOPS_HEADER[1]}", LRA_SOURCE)
    line = 1
    for line, fields in rows:
        _check_columns(path, line, fields, 2)
        yield ListOpsRow(line, fields[0], _label(path, line, fields[1], LISTOPS_LABELS))
    if line == 1:
        raise damaged(path, "it holds no example", LRA_SOURCE)


def read_aan(path: Path) -> Iterator[AanRow]:
    """The rows of `new_aan_pairs.{train,eval,test}.tsv`: label, two ids and two texts, no header.

    Raises `UserError`: unreadable, empty, wrong columns, a label other than 0 and 1, cut off, or the ids alone.
    """
    for line, fields in _rows(path):
        if len(fields) == 3:
            raise UserError(
                f"{path}, line {line}: label and two ids, but no texts: this is the release of the ids alone; "
                f"the file with both texts in five columns comes from {LRA_SOURCE}."
            )
        _check_columns(path, line, fields, 5)
        label, *others = fields
        yield AanRow(line, _label(path, line, label, AAN_LABELS), *others)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each line."""
    for number, line in lines(path):
        if not line.endswith("\n"):
            raise UserError(
                f"{path}, line {number}: the last line does not end, so the file has probably been cut off: "
                f"get it again from {LRA_SOURCE}, or end the line if you know that it is whole."
            )
        yield number, line.removesuffix("\n").removesuffix("\r").split("\t")


def _check_columns(path: Path, line: int, fields: list[str], expected: int) -> None:
    if len(fields) != expected:
        problem = f"the number of tab-separated columns is {len(fields)} where {expected} are expected"
        raise wrong_line(f"{path}, line {line}", problem, LRA_SOURCE)


def _label(path: Path, line: int, text: str, labels: dict[str, int]) -> int:
    if text not in labels:
        problem = f"the label is {text[:40]!r} where one of {', '.join(labels)} is expected"
        raise wrong_line(f"{path}, line {line}", problem, LRA_SOURCE)
    return labels[text]
