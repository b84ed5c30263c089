"""Which entries of a dictionary cite which: a stand-in for Retrieval, from FOLDOC in dictd's format.

FOLDOC is the Free On-line Dictionary of Computing. `foldoc.index` has a line for every headword: the
headword, where its entry begins and how long it is, in bytes, both as numbers in base 64. `foldoc.dict.dz` is a gzip
file with the entries; an entry cites others as {headword}.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from spike_ssm.harness.data.random_splits import DividedSettings, divide, draw_parts
from spike_ssm.harness.data.readers import places
from spike_ssm.harness.data.readers.common import (
    LARGEST_FILE,
    damaged,
    decode,
    find_file,
    lines,
    unreadable,
    wrong_line,
)
from spike_ssm.harness.data.settings import LONGEST, Kind, PartSettings
from spike_ssm.harness.data.task import PairTask
from spike_ssm.harness.data.vocabulary import Example

FOLDERS = ("foldoc", "usr/share/dictd", ".", "/usr/share/dictd")
"""Places of the two files; the last is where Debian's package puts them."""

SOURCE = "Debian's package dict-foldoc"
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
CITATION = re.compile(r"\{([^{}]+)\}")
NO_ENTRY = "00-database"
"""Beginning of headwords that stand for facts about the file."""

TRIES = 100
"""Number of draws of an entry that is not cited, before a citation is left out."""

Span = tuple[int, int]
"""Begin and length of an entry, in bytes."""


class Entry(NamedTuple):
    """A dictionary entry: its text, and the numbers of the entries it cites."""

    text: str
    cited: frozenset[int]


def read_foldoc(files: Path) -> list[Entry]:
    """All entries, in the order of the file.

    Blanks are made single, braces about citations removed. Of headwords with several entries, citations mean the
    first. Raises `UserError`: files missing or damaged.
    """
    index, path = _find(files)
    headwords, content = _read_index(index), _unpack(path)
    spans = sorted({span for found in headwords.values() for span in found})
    texts = [_cut(content, span, path) for span in spans]
    number_of = {span: number for number, span in enumerate(spans)}
    entries = []
    for number, text in enumerate(texts):
        names = (" ".join(name.split()).lower() for name in CITATION.findall(text))
        cited = {number_of[headwords[name][0]] for name in names if name in headwords}
        entries.append(Entry(" ".join(re.sub("[{}]", "", text).split()), frozenset(cited - {number})))
    return entries


def _find(files: Path) -> list[Path]:
    """The index and the entries."""
    return [
        find_file(files, places.inside(FOLDERS, name), f"FOLDOC's {name}", SOURCE)
        for name in ("foldoc.index", "foldoc.dict.dz")
    ]


def _read_index(path: Path) -> dict[str, list[Span]]:
    """Places of the entries of each headword, which is in lower case."""
    headwords: dict[str, list[Span]] = {}
    for number, line in lines(path):
        headword, *place = line.rstrip("\r\n").split("\t")
        if len(place) != 2 or not all(digits and set(digits) <= set(DIGITS) for digits in place):
            problem = "a headword and two numbers in base 64 are expected, parted by tabs"
            raise wrong_line(f"{path}, line {number}", problem, SOURCE)
        if not headword.startswith(NO_ENTRY):
            headwords.setdefault(headword.lower(), []).append((_number(place[0]), _number(place[1])))
    return headwords


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * len(DIGITS) + DIGITS.index(digit)
    return value


def _unpack(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(LARGEST_FILE + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged(path, error, SOURCE) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) > LARGEST_FILE:
        raise damaged(path, f"it unpacks to more than {LARGEST_FILE:,} bytes", SOURCE)
    return content


def _cut(content: bytes, span: Span, path: Path) -> str:
    start, length = span
    if start + length > len(content):
        raise damaged(path, f"its index has an entry up to byte {start + length} of {len(content)}", SOURCE)
    return decode(content[start : start + length], f"{path}, unpacked, from byte {start}")


@dataclass
class FoldocSettings(DividedSettings, PartSettings):
    """Entries of FOLDOC, cut to max_length characters with `<eos>`.

    Only citations within a split can be used: a larger share for validation and test leaves more of them there. train,
    validation, test: number of pairs used of each split, drawn at random; null: all. Raises `UserError`.
    """

    limits: ClassVar = {"max_length": (2, LONGEST)}
    kind: ClassVar[Kind] = "pairs"
    name: str = "foldoc"
    min_freq: int = 15
    validation_share: float = 0.2
    test_share: float = 0.2
    max_length: int = 1024


class Foldoc(PairTask):
    """Whether one entry of a dictionary of computing cites another (1) or not (0)."""

    source: ClassVar[str] = "The Free On-line Dictionary of Computing (Denis Howe, GFDL), Debian's package dict-foldoc."
    stand_in: ClassVar[str | None] = "task=bbc_order_pairs scale=laptop"

    def sources(self, files: Path) -> Sequence[Path]:
        """Its two files."""
        return _find(files)

    def examples(self, files: Path) -> tuple[dict[str, list[Example]], list[str]]:
        """Pairs of each split's entries. Raises `UserError`."""
        settings, entries = self.settings, read_foldoc(files)
        parts = divide([0] * len(entries), settings)
        pairs = {split: cited_or_not(entries, numbers, settings.split_seed) for split, numbers in parts.items()}
        chosen, notes = draw_parts(pairs, settings, settings.split_seed)
        note = (
            f"The {len(entries):,} entries are divided at random; pairs are within a split, as many citations as not."
        )
        return chosen, [note, *notes]


def cited_or_not(entries: Sequence[Entry], numbers: Sequence[int], seed: int) -> list[Example]:
    """Each citation among the entries of these `numbers` (1), followed by a pair of entries that do not cite (0).

    The latter has the same citing entry and another cited one, drawn as often as it is cited: neither text alone tells
    anything. A citation for which none is found is left out.
    """
    within = frozenset(numbers)
    citations = [(number, cited) for number in numbers for cited in sorted(entries[number].cited & within)]
    random = np.random.RandomState(seed)
    examples: list[Example] = []
    for citing, cited in citations:
        drawn_numbers = (citations[random.randint(len(citations))][1] for _ in range(TRIES))
        other = next((each for each in drawn_numbers if _neither_cites(entries, citing, each)), None)
        if other is not None:
            examples += [
                ((entries[citing].text, entries[second].text), int(second == cited)) for second in (cited, other)
            ]
    return examples


def _neither_cites(entries: Sequence[Entry], one: int, other: int) -> bool:
    """Whether these are two entries of which neither cites the other."""
    return one != other and other not in entries[one].cited and one not in entries[other].cited
