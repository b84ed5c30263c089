"""WikiText-103 (Merity et al. 2017): words separated by spaces, one paragraph per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from spike_ssm.harness.data.readers.common import lines

EOS = "<eos>"

Split = Literal["train", "valid", "test"]


def names(split: Split) -> tuple[str, str]:
    """Names of a split's file: in the original archive, and in the reference code of S4 (state-spaces/s4)."""
    return f"wiki.{split}.tokens", f"{split}.txt"


def tokens(line: str) -> list[str]:
    """The words of a line, case kept, and the end token: a blank line has that alone."""
    return [*line.split(), EOS]


def read(path: Path) -> Iterator[list[str]]:
    """The tokens of each line. Raises `UserError`: unreadable, empty, or not UTF-8."""
    for _, line in lines(path):
        yield tokens(line)
